"""Tasks by user, tag and agent: each with the totals of its tasks, within the filter of the list, and bounded."""

from typing import Any

import pytest

from ams_trace_query import task_groups

T0 = 1_782_000_000_000_000  # 2026-06-21T00:00:00Z
SECOND = 1_000_000
SPAN = {"from": "2026-06-21T00:00:00Z", "to": "2026-06-21T04:00:00Z"}


async def groups(asking: Any, by: str, **parameters: str) -> list[dict[str, Any]]:
    return (await asking.get("tasks/groups", group_by=by, **parameters, **SPAN))["items"]


async def test_tasks_are_counted_by_user_with_their_totals(ada, store, foreign) -> None:
    for number in range(20):
        await store.task(
            started_at_us=T0, ended_at_us=T0 + 9, user_id="ann", duration_us=(number + 1) * SECOND, steps=3, cost_nusd=5_000_000, priced_steps=1,
        )  # fmt: skip
    await store.task(started_at_us=T0, user_id="bob", status="error", input_tokens=30, output_tokens=12, unpriced_steps=1)
    await store.task(started_at_us=T0)
    await foreign.task(started_at_us=T0, user_id="eve")

    found = await groups(ada, "user")

    assert [(item["key"], item["tasks"], item["failed"], item["tag"], item["other"]) for item in found] == [
        ("ann", 20, 0, None, False), ("", 1, 0, None, False), ("bob", 1, 1, None, False),
    ]  # fmt: skip
    assert (found[0]["p50_duration_us"], found[0]["p95_duration_us"]) == (10 * SECOND, 19 * SECOND)
    assert (found[0]["steps"], found[0]["cost_usd"], found[0]["unpriced_tasks"]) == (60, "0.1", 0)
    assert (found[2]["input_tokens"], found[2]["output_tokens"], found[2]["cost_usd"], found[2]["unpriced_tasks"]) == (30, 12, None, 1)


async def test_a_task_counts_for_each_of_its_tags_within_the_filter(ada, store) -> None:
    await store.task(started_at_us=T0, agent="planner", tags={"env": "prod", "team": "a"})
    await store.task(started_at_us=T0, agent="planner", tags={"env": "prod"})
    await store.task(started_at_us=T0, agent="critic", tags={"env": "test"})
    await store.task(started_at_us=T0, agent="critic")

    def shown(items: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
        return [(item["tag"], item["key"], item["tasks"]) for item in items]

    assert shown(await groups(ada, "tag")) == [("env", "prod", 2), ("env", "test", 1), ("team", "a", 1)]
    assert shown(await groups(ada, "tag", q="tag.env:prod", agent="planner")) == [("env", "prod", 2), ("team", "a", 1)]
    assert [(item["key"], item["tasks"]) for item in await groups(ada, "agent", q="tag.env:*")] == [("planner", 2), ("critic", 1)]


async def test_groups_beyond_the_limit_count_as_others(ada, store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_groups, "GROUPS_MAX", 2)
    for user in ("a", "a", "a", "b", "b", "c", "d"):
        await store.task(started_at_us=T0, user_id=user, ended_at_us=T0 + 1, duration_us=5, steps=1)

    found = await groups(ada, "user")

    assert [(item["key"], item["tasks"], item["steps"], item["other"]) for item in found] == [
        ("a", 3, 3, False),
        ("b", 2, 2, False),
        ("", 2, 2, True),
    ]
    assert found[2]["p95_duration_us"] is None
    short = await ada.get("tasks/groups", group_by="user", limit="1", **SPAN)
    assert (len(short["items"]), short["truncated"]) == (1, True)


async def test_an_unknown_dimension_is_refused(ada) -> None:
    for parameters in ({}, {"group_by": "kind"}):
        assert (await ada.problem("tasks/groups", **parameters))["code"] == "bad_group_by"
