"""Statistics of a project: groups, sums and percentiles."""

from datetime import UTC, datetime

import pytest

from ams_contracts.histograms import bucket_of
from ams_contracts.tables import hourly_rollups

HOUR_US = 3_600_000_000
DAY = datetime(2026, 6, 1, tzinfo=UTC).date()
HOUR = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) // 3_600


def buckets(*numbers: int) -> list[int]:
    found = [0] * (max(map(bucket_of, numbers), default=-1) + 1)
    for number in numbers:
        found[bucket_of(number)] += 1
    return found


async def rollup(store, hour: int, durations: list[int], project_id: str | None = None, **values) -> None:
    common = {"agent": "a", "model": "m", "type": "llm", "status": "ok", "tool": "", "partition": 0, "input_tokens": 0, "output_tokens": 0}
    sums = {"cost_nusd": 0, "priced_steps": 0, "duration_us": sum(durations), "timed_steps": len(durations), "steps": len(durations)}
    await store.insert(
        hourly_rollups,
        project_id=project_id or store.project_id,
        hour=hour,
        day=DAY,
        durations=buckets(*durations),
        **{"tokens": [], "costs": [], **common, **sums, **values},
    )


async def test_statistics_of_all_steps_and_by_group(ada, store, foreign) -> None:
    await rollup(store, HOUR, [100, 200, 300, 400])
    await rollup(store, HOUR, [1_000], partition=1, agent="b", cost_nusd=5_000_000, priced_steps=1, costs=buckets(5_000_000))
    await rollup(store, HOUR + 1, [50_000], agent="b", input_tokens=30, output_tokens=10, tokens=buckets(40))
    await rollup(store, HOUR, [7] * 9, project_id=foreign.project_id)
    span = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-01T02:00:00Z"}

    whole = await ada.get("statistics", **span)
    by_agent = await ada.get("statistics", group_by="agent", **span)
    by_hour = await ada.get("statistics", group_by="hour", limit="1", **span)

    assert [(item["key"], item["steps"], item["cost_usd"], item["input_tokens"]) for item in whole["items"]] == [("", 6, "0.005", 30)]
    assert (whole["from_us"], whole["to_us"], whole["truncated"]) == (HOUR * HOUR_US, (HOUR + 2) * HOUR_US, False)
    assert [(item["key"], item["steps"], item["mean_duration_us"]) for item in by_agent["items"]] == [("a", 4, 250), ("b", 2, 25_500)]
    assert by_agent["items"][0]["duration_us"]["p50"] == pytest.approx(200, rel=0.125)
    assert by_agent["items"][0]["duration_us"]["p99"] == pytest.approx(400, rel=0.125)
    assert by_agent["items"][1]["tokens"]["p50"] == pytest.approx(40, rel=0.125)
    assert by_agent["items"][0]["cost_usd"] is None
    assert ([item["key"] for item in by_hour["items"]], by_hour["truncated"]) == ([str(HOUR * HOUR_US)], True)


async def test_hours_outside_the_time_range_are_left_out(ada, store) -> None:
    await rollup(store, HOUR, [1])
    await rollup(store, HOUR + 5, [1, 1])

    found = await ada.get("statistics", **{"from": "2026-06-01T01:00:00Z", "to": "2026-06-01T09:00:00Z"})

    assert [item["steps"] for item in found["items"]] == [2]


async def test_failed_steps_are_counted_and_filters_narrow_every_group(ada, store) -> None:
    await rollup(store, HOUR, [10, 20], model="gpt", agent="a")
    await rollup(store, HOUR + 30, [30], model="gpt", agent="b", status="error")
    await rollup(store, HOUR + 30, [40], model="", type="tool", tool="search", agent="b")
    span = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-03T00:00:00Z"}

    async def counts(**parameters: str) -> list[tuple[str, int, int]]:
        return [(item["key"], item["steps"], item["errors"]) for item in (await ada.get("statistics", **parameters, **span))["items"]]

    assert await counts() == [("", 4, 1)]
    assert await counts(group_by="day") == [(str(HOUR * HOUR_US), 2, 0), (str((HOUR + 24) * HOUR_US), 2, 1)]
    assert await counts(group_by="agent", model="gpt") == [("a", 2, 0), ("b", 1, 1)]
    assert await counts(group_by="tool", agent="b", type="tool") == [("search", 1, 0)]
    assert await counts(model="") == [("", 1, 0)]
    narrowed = (await ada.get("statistics", agent="b", model="gpt", **span))["items"][0]
    assert narrowed["duration_us"]["p95"] == pytest.approx(30, rel=0.125)


async def test_no_steps_give_no_groups_and_an_unknown_dimension_is_rejected(ada) -> None:
    assert (await ada.get("statistics"))["items"] == []
    assert (await ada.problem("statistics", group_by="price"))["code"] == "bad_group_by"
