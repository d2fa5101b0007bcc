"""The gateway while the log is unavailable: sockets stay open and notify their clients, and no record is missing afterwards."""

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(180)


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["batch"]["n"] for frame in frames if frame["op"] == "frame"]


def stale(frame: dict[str, Any]) -> bool:
    return frame["op"] == "stale" and frame["stale"]


def fresh(frame: dict[str, Any]) -> bool:
    return frame["op"] == "stale" and not frame["stale"]


async def test_sockets_stay_while_the_log_is_frozen_and_get_everything_afterwards(
    live_on_own_broker, own_broker, project_id: str, task_id: str
) -> None:
    live = live_on_own_broker
    async with live.client(project_id) as client:
        await client.subscribe(task_id)
        await live.publish(project_id, task_id, *range(5))
        await client.steps(5)

        own_broker.freeze()
        await client.receive_until(stale)
        async with live.client(project_id) as late:
            await late.subscribe(task_id, after=client.frames[-2]["position"] if client.frames[-2]["op"] == "frame" else None)
            assert stale(late.frames[0])
        own_broker.thaw()
        await client.receive_until(fresh)

        await live.publish(project_id, task_id, *range(5, 10))
        assert numbers(await client.steps(10)) == list(range(10))


async def test_no_record_is_missing_after_the_broker_was_killed(live_on_own_broker, own_broker, project_id: str, task_id: str) -> None:
    live = live_on_own_broker
    async with live.client(project_id) as client:
        await client.subscribe(task_id)
        await live.publish(project_id, task_id, *range(5))
        await client.steps(5)

        own_broker.kill()
        await client.receive_until(stale)
        await own_broker.start()
        await client.receive_until(fresh)

        last = await live.publish(project_id, task_id, *range(5, 8))
        assert numbers(await client.steps(8)) == list(range(8))
        async with live.client(project_id) as other:
            await other.subscribe(task_id, after=f"1.{last[0].split('.')[1]}.0")
            assert numbers(await other.steps(8)) == list(range(8))
