"""The list of tasks in other orders, its histogram and its facets."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from ams_trace_query.task_facets import MATCHES_MAX
from ams_trace_query.task_filter import WINDOW_TASKS_TO_COUNT
from ams_trace_query.task_histogram import bucket_width

T0 = 1_782_000_000_000_000  # 2026-06-21T00:00:00Z
SECOND = 1_000_000
HOUR = 3_600 * SECOND
SPAN = {"from": "2026-06-21T00:00:00Z", "to": "2026-06-21T04:00:00Z"}
COPIES = """INSERT INTO g1.tasks SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', lpad(to_hex(n), 32, '0'), 'sort_at_us',
    t.sort_at_us - n, 'steps', n % 1000))).* FROM g1.tasks t, generate_series(1, $3) n WHERE t.project_id = $1 AND t.task_id = $2"""


@pytest.fixture
async def hurried(make_query_app: Callable[..., Litestar], store: Any, project_of: Callable[..., Any]) -> AsyncIterator[Any]:
    """Sends requests to an application whose time limit allows one window per request."""
    async with AsyncTestClient(make_query_app(search_ms_max=0)) as client:
        yield project_of(client, store.project_id)


async def pages(asking: Any, **parameters: Any) -> list[dict[str, Any]]:
    """All tasks of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await asking.get("tasks", **parameters, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("-started", "d c b a"),
        ("started", "a b c d"),
        ("-updated", "a d c b"),
        ("-duration", "b a d c"),
        ("duration", "a b d c"),
        ("-steps", "d c b a"),
        ("errors", "d c a b"),
        ("-tokens", "a d c b"),
        ("-cost", "d a c b"),
        ("cost", "a d c b"),
        ("name", "a b c d"),
        ("-name", "d c b a"),
        ("agent", "c d a b"),
        ("status", "b d a c"),
    ],
)
async def test_tasks_are_sorted_by_any_column_and_unknown_values_come_last(ada, store, sort: str, names: str) -> None:
    await store.task(
        name="a", started_at_us=T0, duration_us=5, input_tokens=9, cost_nusd=1, priced_steps=1, agent="Writer", last_event_at_us=T0 + 9
    )
    await store.task(name="B", started_at_us=T0 + 1, duration_us=7, steps=1, errors=2, agent=None, status="error")
    await store.task(name="c", started_at_us=T0 + 2, duration_us=None, steps=9, agent="critic", status="running")
    await store.task(
        name="d", started_at_us=T0 + 3, duration_us=None, steps=9, cost_nusd=5, priced_steps=1, agent="writer", output_tokens=3
    )
    expected = [{"b": "B"}.get(name, name) for name in names.split()]

    found = await pages(ada, sort=sort, limit="1")

    assert [task["name"] for task in found] == expected
    assert [task["name"] for task in (await ada.get("tasks", sort=sort))["items"]] == expected


async def test_a_sorted_list_keeps_its_filter_and_its_cursor_its_order(ada, store) -> None:
    for number in range(5):
        await store.task(steps=number, agent="planner" if number % 2 else "critic")

    found = await pages(ada, sort="-steps", q="agent:planner steps:<4", limit="1")
    cursor = (await ada.get("tasks", sort="-steps", limit="1"))["next_cursor"]

    assert [task["steps"] for task in found] == [3, 1]
    assert (await ada.problem("tasks", sort="steps", cursor=cursor))["code"] == "bad_cursor"
    assert (await ada.problem("tasks", sort="price"))["code"] == "bad_sort"


async def test_a_sorted_list_that_reaches_its_time_limit_compares_the_newest_tasks_on_all_its_pages(hurried, ada, store) -> None:
    oldest = await store.task(started_at_us=T0 - 100_000, steps=5_000)
    newest = await store.task(started_at_us=T0)
    await store.execute(COPIES, store.project_id, newest, WINDOW_TASKS_TO_COUNT)

    page = await hurried.get("tasks", sort="-steps", limit="1")
    following = await hurried.get("tasks", sort="-steps", limit="500", cursor=page["next_cursor"])

    assert page["items"][0]["steps"] == following["items"][0]["steps"] == 999
    assert page["sorted_back_to_us"] == following["sorted_back_to_us"] > T0 - 100_000
    assert page["scanned_back_to_us"] is None
    complete = await ada.get("tasks", sort="-steps", limit="1")
    assert (complete["items"][0]["task_id"], complete["sorted_back_to_us"]) == (oldest, None)


async def test_the_histogram_counts_tasks_by_time(ada, store, foreign) -> None:
    for number in range(20):
        await store.task(
            started_at_us=T0 + number, ended_at_us=T0 + 9, duration_us=(number + 1) * SECOND, cost_nusd=5_000_000, priced_steps=1
        )
    await store.task(started_at_us=T0 + 2 * HOUR, status="error", ended_at_us=T0 + 9, duration_us=7, input_tokens=30, output_tokens=12)
    await store.task(started_at_us=T0 + 2 * HOUR + 1, status="running", duration_us=99)
    await store.task(started_at_us=T0 + 4 * HOUR)
    await foreign.task(started_at_us=T0)

    found = await ada.get("tasks/histogram", buckets="4", **SPAN)

    assert (found["from_us"], found["to_us"], found["bucket_us"]) == (T0, T0 + 4 * HOUR, HOUR)
    assert (found["tasks"], found["counted_back_to_us"]) == (22, None)
    first, third = found["items"]
    assert first == {
        "start_us": T0, "tasks": 20, "failed": 0, "p95_duration_us": 19 * SECOND, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0.1",
    }  # fmt: skip
    assert third == {
        "start_us": T0 + 2 * HOUR, "tasks": 2, "failed": 1, "p95_duration_us": 7, "input_tokens": 30, "output_tokens": 12, "cost_usd": None,
    }  # fmt: skip


async def test_the_histogram_has_the_filter_of_the_list(ada, store) -> None:
    await store.task(started_at_us=T0, status="error", agent="planner", name="refund")
    await store.task(started_at_us=T0, status="ok", agent="planner", name="refund")
    await store.task(started_at_us=T0, status="error", agent="critic", name="trip")

    counts = [
        (await ada.get("tasks/histogram", **parameters, **SPAN))["tasks"]
        for parameters in ({}, {"status": "error"}, {"agent": "planner"}, {"q": "refund status:ok"}, {"q": "nowhere"})
    ]

    assert counts == [3, 2, 2, 1, 0]


async def test_without_a_range_the_histogram_reaches_from_the_first_task_until_now(ada, store) -> None:
    empty = await ada.get("tasks/histogram")
    await store.task(started_at_us=T0)
    found = await ada.get("tasks/histogram")
    await store.task(started_at_us=T0 - 400 * 24 * HOUR)
    longer = await ada.get("tasks/histogram")

    assert empty["items"] == []
    assert (found["from_us"], found["to_us"], found["bucket_us"]) == (T0, T0 + 12 * HOUR, 900 * SECOND)
    assert longer["tasks"] == 1
    assert longer["from_us"] > T0 - 93 * 24 * HOUR


async def test_a_histogram_that_reaches_its_time_limit_reports_how_far_it_counted(hurried, store) -> None:
    task_id = await store.task(started_at_us=T0 + HOUR)
    await store.execute(COPIES, store.project_id, task_id, WINDOW_TASKS_TO_COUNT + 10)

    found = await hurried.get("tasks/histogram", **SPAN)

    assert found["tasks"] == WINDOW_TASKS_TO_COUNT + 1
    assert found["counted_back_to_us"] == T0 + HOUR - WINDOW_TASKS_TO_COUNT


@pytest.mark.parametrize("buckets", ["0", "201", "1e2", "-1", "", "x"])
async def test_a_wrong_number_of_buckets_is_rejected(ada, buckets: str) -> None:
    assert (await ada.problem("tasks/histogram", buckets=buckets))["code"] == "bad_buckets"


@pytest.mark.parametrize(
    ("span_us", "buckets", "width_us"),
    [
        (1, 60, SECOND),
        (60 * SECOND, 60, SECOND),
        (61 * SECOND, 60, 2 * SECOND),
        (24 * HOUR, 60, HOUR / 2),
        (90 * 24 * HOUR, 1, 13 * 168 * HOUR),
    ],
)
def test_the_width_of_a_bucket_is_one_of_a_clock(span_us: int, buckets: int, width_us: int) -> None:
    assert bucket_width(span_us, buckets) == width_us


async def test_facets_count_the_values_of_the_matches(ada, store, foreign) -> None:
    await store.task(agent="planner", environment="prod", user_id="u1", tags={"tier": "gold", "team": "a"}, flags=["no_root"])
    await store.task(agent="planner", environment="dev", tags={"tier": "gold"}, status="error", error_type="TimeoutError")
    await store.task(agent=None, kind="session", tags={"tier": "free"})
    await foreign.task(agent="planner")

    found = await ada.get("tasks/facets")
    filtered = await ada.get("tasks/facets", q="tag.tier:gold", status="error")

    assert (found["tasks"], found["complete"]) == (3, True)
    shown = {facet["field"]: [(value["value"], value["tasks"]) for value in facet["values"]] for facet in found["items"]}
    assert shown == {
        "status": [("ok", 2), ("error", 1)],
        "agent": [("planner", 2)],
        "env": [("dev", 1), ("prod", 1)],
        "user": [("u1", 1)],
        "kind": [("task", 2), ("session", 1)],
        "error": [("TimeoutError", 1)],
        "flag": [("no_root", 1)],
        "tag.tier": [("gold", 2), ("free", 1)],
        "tag.team": [("a", 1)],
    }
    assert list(shown)[-2:] == ["tag.tier", "tag.team"]
    assert filtered["tasks"] == 1
    assert [facet["field"] for facet in filtered["items"]] == ["status", "agent", "env", "kind", "error", "tag.tier"]


async def test_each_facet_is_a_filter_that_finds_as_many_tasks(ada, store) -> None:
    await store.task(agent="a b", environment="prod", user_id="u:1", tags={"tier": "gold"}, flags=["no_root"], error_type="Oops")
    await store.task(agent="c")

    for facet in (await ada.get("tasks/facets"))["items"]:
        for value in facet["values"]:
            matches = (await ada.get("tasks", q=f'{facet["field"]}:"{value["value"]}"'))["items"]
            assert len(matches) == value["tasks"], (facet["field"], value)


async def test_facets_are_of_the_newest_ten_thousand_matches(ada, store) -> None:
    task_id = await store.task(started_at_us=T0, agent="planner")
    await store.execute(COPIES, store.project_id, task_id, MATCHES_MAX - 1)
    exact = await ada.get("tasks/facets")
    await store.task(started_at_us=T0 + 1, agent="planner")
    more = await ada.get("tasks/facets")

    assert (exact["tasks"], exact["complete"]) == (MATCHES_MAX, True)
    assert (more["tasks"], more["complete"]) == (MATCHES_MAX, False)
    assert more["items"][1]["values"] == [{"value": "planner", "tasks": MATCHES_MAX}]


async def test_a_facet_lists_its_most_frequent_values(ada, store) -> None:
    for number in range(25):
        await store.task(agent=f"agent {number:02}")
    await store.task(agent="agent 07")

    facet = (await ada.get("tasks/facets"))["items"][1]

    assert (facet["field"], facet["truncated"], len(facet["values"])) == ("agent", True, 20)
    assert facet["values"][0] == {"value": "agent 07", "tasks": 2}
