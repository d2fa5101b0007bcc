"""The list of tasks of a project, and a single task."""

import asyncio

import asyncpg
import pytest

DAY_US = 86_400_000_000
T0 = 1_782_000_000_000_000


async def test_tasks_are_listed_newest_first_with_their_totals(ada, store) -> None:
    old = await store.task(started_at_us=T0)
    new = await store.task(
        started_at_us=T0 + 5,
        ended_at_us=T0 + 105,
        duration_us=100,
        name="trip to Kyoto",
        agent="planner",
        tags={"team": "travel"},
        steps=3,
        errors=1,
        input_tokens=1200,
        output_tokens=345,
        cost_nusd=2_100_000,
        priced_steps=1,
        error_type="TimeoutError",
        flags=["no_root"],
        preview="Plan a trip",
    )

    page = await ada.get("tasks")

    assert [item["task_id"] for item in page["items"]] == [new, old]
    assert page["next_cursor"] is None
    shown = page["items"][0]
    assert shown["cost_usd"] == "0.0021"
    assert shown["tags"] == {"team": "travel"}
    assert shown["error"] == {"type": "TimeoutError"}
    assert (shown["steps"], shown["errors"], shown["input_tokens"], shown["duration_us"]) == (3, 1, 1200, 100)


async def test_an_unknown_cost_is_null_and_a_free_task_costs_zero(ada, store) -> None:
    unknown = await store.task(cost_nusd=0, priced_steps=0, unpriced_steps=1)
    free = await store.task(cost_nusd=0, priced_steps=1)

    costs = {item["task_id"]: item["cost_usd"] for item in (await ada.get("tasks"))["items"]}

    assert costs == {unknown: None, free: "0"}


async def test_a_task_has_the_position_of_its_partition_as_of_its_row(ada, store) -> None:
    task_id = await store.task(partition=7)
    await store.position(7, 4211)
    await store.position(7, 99, projection="payloads")

    assert (await ada.get(f"tasks/{task_id}"))["position"] == "1.7.4211"
    assert (await ada.get("tasks"))["positions"]["7"] == "1.7.4211"


async def test_without_a_projected_record_the_position_is_null(ada, store) -> None:
    task_id = await store.task(partition=11)

    assert (await ada.get(f"tasks/{task_id}"))["position"] is None


async def test_a_task_is_found_by_its_id_in_either_case(ada, store) -> None:
    task_id = await store.task()

    assert (await ada.get(f"tasks/{task_id.upper()}"))["task"]["task_id"] == task_id


async def test_an_unknown_task_is_not_found(ada) -> None:
    assert (await ada.problem(f"tasks/{'a' * 32}"))["code"] == "task_not_found"


@pytest.mark.parametrize(
    "bad", ["not-uuid", "{" + "a" * 32 + "}", "a" * 31, "0198f3aa-0000-7000-8000-0000000000aa", "%00" * 32, "a" * 5000]
)
async def test_q30_a_malformed_task_id_is_rejected(ada, bad: str) -> None:
    response = await ada.answer(f"tasks/{bad}")

    assert (response.status_code, response.json()["code"]) == (400, "bad_task_id")


async def test_filters_by_status_agent_and_time(ada, store) -> None:
    running = await store.task(status="running", agent="planner", started_at_us=T0)
    failed = await store.task(status="error", agent="critic", started_at_us=T0 + DAY_US)

    async def ids(**parameters: str) -> list[str]:
        return [item["task_id"] for item in (await ada.get("tasks", **parameters))["items"]]

    assert await ids(status="running") == [running]
    assert await ids(status="running,error") == [failed, running]
    assert await ids(agent="critic") == [failed]
    assert await ids(agent="critic", status="running") == []
    assert await ids(**{"from": "2026-06-22T00:00:00Z"}) == [failed]
    assert await ids(**{"from": "2026-06-21T00:00:00Z", "to": "2026-06-21T23:00:00+00:00"}) == [running]
    assert await ids(status="") == [failed, running]


async def test_q38_q40_pages_skip_and_repeat_nothing_when_times_are_equal_and_rows_are_deleted(ada, store) -> None:
    ids = sorted([await store.task(started_at_us=T0) for _ in range(40)])
    newest = await store.task(started_at_us=T0 + 1)
    oldest = await store.task(started_at_us=T0 - 1)
    seen: list[str] = []
    cursor: dict[str, str] = {}

    for _ in range(20):
        page = await ada.get("tasks", limit="7", **cursor)
        seen += [item["task_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        await store.execute("DELETE FROM g1.tasks WHERE task_id = $1", seen[-1])  # the row that the cursor refers to
        cursor = {"cursor": page["next_cursor"]}

    assert seen == [newest, *ids, oldest]


async def test_q35_a_cursor_is_valid_for_its_query_only(ada, http, store, foreign) -> None:
    for _ in range(3):
        await store.task(status="ok")
        await foreign.task(status="ok")
    cursor = (await ada.get("tasks", limit="1", status="ok"))["next_cursor"]

    assert len((await ada.get("tasks", limit="2", status="ok", cursor=cursor))["items"]) == 2
    for path, parameters in (
        ("tasks", {"status": "error"}),
        ("tasks", {}),
        ("tasks", {"status": "ok", "q": "trip"}),
        ("tasks", {"status": "ok", "from": "2026-06-21T00:00:00Z"}),
        ("steps", {}),
        ("agents", {}),
    ):
        assert (await ada.problem(path, cursor=cursor, **parameters))["code"] == "bad_cursor", (path, parameters)
    other = await http.get(
        f"/api/traces/{foreign.project_id}/tasks", params={"cursor": cursor, "status": "ok"}, headers={"Authorization": "Bearer both"}
    )
    assert other.json()["code"] == "bad_cursor"


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "%00", "a" * 2_000, "AQ" * 60, "1.7.4211", "Kz9-" * 20])
async def test_q36_a_forged_cursor_is_rejected(ada, cursor: str) -> None:
    assert (await ada.problem("tasks", cursor=cursor))["code"] == "bad_cursor"


async def test_row_level_security_hides_other_projects_from_any_statement(traces_url: str, store, foreign) -> None:
    mine, theirs = await store.task(), await foreign.task()
    connection = await asyncpg.connect(f"{traces_url}?role=ams_reader")

    try:
        assert await connection.fetch("SELECT task_id FROM g1.tasks") == []
        await connection.fetchval("SELECT set_config('ams.project_id', $1, false)", store.project_id)
        seen = {row["task_id"] for row in await connection.fetch("SELECT task_id FROM g1.tasks")}
        assert mine in seen
        assert theirs not in seen
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM g1.tasks")
    finally:
        await connection.close()


async def test_concurrent_readers_see_their_own_project_only(http, store, foreign) -> None:
    mine, theirs = await store.task(), await foreign.task()

    async def ids(project_id: str) -> list[str]:
        response = await http.get(f"/api/traces/{project_id}/tasks", headers={"Authorization": "Bearer both"})
        return [item["task_id"] for item in response.json()["items"]]

    answers = await asyncio.gather(*(ids(project) for _ in range(20) for project in (store.project_id, foreign.project_id)))

    assert answers == [[mine], [theirs]] * 20


async def test_a_task_that_only_repeats_another_is_listed_only_where_the_query_asks_for_it(ada, store) -> None:
    original = await store.task(run_id="team")
    copy = await store.task(duplicate_of=original, repeated_steps=1, run_id="team")

    async def found(q: str) -> set[str]:
        return {item["task_id"] for item in (await ada.get("tasks", q=q))["items"]}

    assert {item["task_id"] for item in (await ada.get("tasks"))["items"]} == {original}
    assert await found("run:team") == {original}
    assert await found("duplicate:true") == await found(f"duplicate_of:{original}") == {copy}
    assert await found("run:team (duplicate:true OR duplicate:false)") == await found("run:team duplicate:true,false") == {original, copy}
    assert await found(f"task:{copy}") == {copy}
    task = (await ada.get(f"tasks/{copy}"))["task"]
    assert (task["duplicate_of"], task["run_id"], task["repeated_steps"]) == (original, "team", 1)


async def test_a_task_that_only_passes_messages_is_listed_only_where_the_query_asks_for_it(ada, store) -> None:
    work = await store.task(run_id="team", steps=3, messaging_steps=2)
    message = await store.task(run_id="team", steps=1, messaging_steps=1, folded_into="team")

    async def found(**query: str) -> set[str]:
        return {item["task_id"] for item in (await ada.get("tasks", **query))["items"]}

    assert await found() == await found(q="folded:false") == {work}
    assert await found(q="folded:true") == await found(q="folded_into:team") == {message}
    assert await found(q="run:team") == {work, message}
    assert (await ada.get(f"tasks/{message}"))["task"]["folded_into"] == "team"
