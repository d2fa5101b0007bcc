"""Frames reach the followers of a task: each once, in order, from any position."""

import asyncio
import secrets
import uuid
from typing import Any

import msgspec
import pytest

from ams_contracts.topics import task_key
from ams_kit.bus import Record


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["batch"]["n"] for frame in frames if frame["op"] == "frame"]


async def test_a_record_is_forwarded_unchanged(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)

        value = b'{"v":1,  "spaces":"kept", "umlaut":"\xc3\xa4</script>\\u2028"}'
        position = (await live.log.publish([Record(topic=live.steps, key=task_key(project_id, task_id), value=value)]))[0]

        message = await client.connection.recv(decode=False)
        assert value in message
        frame = msgspec.json.decode(message)[0]
        assert (frame["op"], frame["sub"], frame["prev"], frame["position"]) == ("frame", f"task:{task_id}", None, str(position))


async def test_each_frame_names_the_position_of_the_one_before_it(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)
        positions = await live.publish(project_id, task_id, 0, 1, 2)

        frames = await client.steps(3)

        assert [frame["position"] for frame in frames] == positions
        assert [frame["prev"] for frame in frames] == [None, *positions[:2]]


async def test_resuming_after_any_position_gives_each_later_frame_once(live, project_id: str, task_id: str) -> None:
    other = secrets.token_hex(16)
    positions: list[str] = []
    for number in range(10):
        positions += await live.publish(project_id, task_id, number)
        await live.publish(project_id, other, number)

    async with live.client(project_id) as client:
        for index, position in enumerate(positions):
            client.frames.clear()
            await client.subscribe(task_id, after=position)
            live_one = 100 + index
            await live.publish(project_id, task_id, live_one)
            await client.receive_until(lambda frame, last=live_one: frame["op"] == "frame" and frame["batch"]["n"] == last)

            assert numbers(client.frames) == [*range(index + 1, 10), *range(100, live_one + 1)]
            await client.send(op="unsubscribe", sub=f"task:{task_id}")
            await client.answer("unsubscribed")


async def test_two_clients_get_the_same_frames_and_other_tasks_none(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as one, live.client(project_id) as two, live.client(project_id) as third:
        await one.subscribe(task_id)
        await two.subscribe(task_id)
        await third.subscribe(secrets.token_hex(16))

        await live.publish(project_id, task_id, *range(50))

        assert numbers(await one.steps(50)) == numbers(await two.steps(50)) == list(range(50))
        assert await third.send(op="unsubscribe", sub="task:x")
        await third.answer("unsubscribed")
        assert numbers(third.frames) == []


async def test_a_task_of_another_project_sends_no_frames(live, project_id: str, task_id: str) -> None:
    async with live.client(str(uuid.uuid4())) as stranger:
        answer = await stranger.subscribe(task_id)
        positions = await live.publish(project_id, task_id, 1)
        again = await stranger.send(op="subscribe", task_id=secrets.token_hex(16))
        await stranger.receive_until(lambda frame: frame.get("id") == again)

        assert answer["op"] == "subscribed"
        assert positions
        assert numbers(stranger.frames) == []


async def test_subscribing_twice_is_one_stream(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)
        await client.subscribe(task_id)

        await live.publish(project_id, task_id, 1, 2)
        await live.publish(project_id, task_id, 3)

        await client.receive_until(lambda frame: frame["op"] == "frame" and frame["batch"]["n"] == 3)
        assert numbers(client.frames) == [1, 2, 3]


async def test_records_published_while_a_client_catches_up_arrive_once(live, project_id: str, task_id: str) -> None:
    first = await live.publish(project_id, task_id, *range(300), pad=4_000)

    async with live.client(project_id) as client:
        publishing = asyncio.create_task(live.publish(project_id, task_id, *range(300, 600), pad=4_000))
        await client.subscribe(task_id, after=f"1.{first[0].split('.')[1]}.0")
        await publishing

        assert numbers(await client.steps(600)) == list(range(600))


async def test_a_record_beyond_256_kib_is_a_reset_and_the_stream_continues(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)

        large = await live.publish(project_id, task_id, 1, pad=300_000)
        await live.publish(project_id, task_id, 2)

        await client.steps(1)
        reset = await client.answer("reset")
        assert reset["position"] == large[0]
        assert numbers(client.frames) == [2]


async def test_a_record_that_is_not_json_is_skipped(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)

        key = task_key(project_id, task_id)
        await live.log.publish([Record(topic=live.steps, key=key, value=value) for value in (b"{", b"\xff", b"[" * 100_000, b"{}]", b"")])
        await live.publish(project_id, task_id, 2)

        assert numbers(await client.steps(1)) == [2]


async def test_the_list_shows_changed_and_deleted_tasks_of_its_own_project_only(live, project_id: str, task_id: str) -> None:
    foreign = str(uuid.uuid4())
    async with live.client(project_id) as client:
        await client.send(op="subscribe", list=True)
        await client.answer("subscribed")

        await live.log.publish([Record(topic=live.tasks, key=task_key(foreign, task_id), value=b'{"n":0}')])
        await live.log.publish([Record(topic=live.tasks, key=task_key(project_id, task_id), value=b'{"n":1}')])
        await client.receive_until(lambda frame: frame["op"] == "task" and frame["change"] == {"n": 1})
        await live.log.publish([Record(topic=live.tasks, key=task_key(project_id, task_id), value=None)])
        await client.receive_until(lambda frame: frame["op"] == "task" and frame["change"] is None)

        assert [frame["change"] for frame in client.frames if frame["op"] == "task"] == [{"n": 1}, None]


@pytest.mark.parametrize(
    "after",
    ["x", "1.0", "-1", "1.5", "9223372036854775808", "1.0.-1", "2.0.0", "1.7.0", "1.0.9223372036854775807", "01.0.0", 1, 1.5, -1, [], {}],
)
async def test_a_position_of_another_task_is_a_bad_cursor(live, project_id: str, after: object) -> None:
    async with live.client(project_id) as client:
        request = await client.send(op="subscribe", task_id=secrets.token_hex(16), after=after)

        answer = (await client.receive_until(lambda frame: frame.get("id") == request))[0]
        assert (answer["op"], answer["code"]) == ("error", "bad_cursor")
