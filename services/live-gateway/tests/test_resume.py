"""A client that reconnects receives the records that it missed, from the ring or the log, or a reset."""

import asyncio
import socket
from typing import Any

import pytest
import websockets
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

SMALL_RING = {"live_ring_bytes": 20_000}


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["batch"]["n"] for frame in frames if frame["op"] == "frame"]


async def publish_until_read(live, project_id: str, task_id: str, count: int) -> list[str]:
    """Publish records that the gateway has read on return, so that its ring no longer has the first ones. Returns the positions after them."""
    async with live.client(project_id) as follower:
        await follower.subscribe(task_id)
        positions = await live.publish(project_id, task_id, *range(count), pad=500)
        await follower.steps(count)
    return positions


def start_of(position: str) -> str:
    """The first position of a position's partition."""
    return f"1.{position.split('.')[1]}.0"


@pytest.mark.parametrize("live", [SMALL_RING], indirect=True)
async def test_records_evicted_from_the_ring_come_from_the_log(live, project_id: str, task_id: str) -> None:
    positions = await publish_until_read(live, project_id, task_id, 500)

    async with live.client(project_id) as client:
        await client.subscribe(task_id, after=start_of(positions[0]))
        await live.publish(project_id, task_id, 500)

        assert numbers(await client.steps(501)) == list(range(501))
        frames = await client.steps(501)
        assert [frame["prev"] for frame in frames[1:]] == [frame["position"] for frame in frames[:-1]]


@pytest.mark.parametrize("live", [SMALL_RING], indirect=True)
async def test_many_clients_that_reconnect_at_once_each_get_every_record_once(live, project_id: str, task_id: str) -> None:
    positions = await live.publish(project_id, task_id, *range(300), pad=500)

    async def come_back(index: int) -> list[int]:
        async with live.client(project_id) as client:
            await client.subscribe(task_id, after=positions[index])
            return numbers(await client.steps(299 - index + 20))

    comers = [asyncio.create_task(come_back(index)) for index in range(0, 200, 10)]
    await live.publish(project_id, task_id, *range(300, 320), pad=500)

    for index, comer in zip(range(0, 200, 10), comers, strict=True):
        assert await comer == list(range(index + 1, 320))


@pytest.mark.parametrize("live", [SMALL_RING | {"live_catch_up_records": 100}], indirect=True)
async def test_a_client_too_far_behind_receives_a_reset(live, project_id: str, task_id: str) -> None:
    positions = await publish_until_read(live, project_id, task_id, 500)

    async with live.client(project_id) as client:
        await client.subscribe(task_id, after=start_of(positions[0]))

        reset = await client.answer("reset")
        assert reset == {"op": "reset", "sub": f"task:{task_id}", "position": positions[-1]}
        await client.subscribe(task_id, after=reset["position"])
        await live.publish(project_id, task_id, 501)
        assert numbers(await client.steps(1)) == [501]


@pytest.mark.parametrize("live", [SMALL_RING], indirect=True)
async def test_a_position_that_the_log_has_deleted_is_a_reset(live, project_id: str, task_id: str) -> None:
    positions = await publish_until_read(live, project_id, task_id, 200)
    _, partition, offset = (int(part) for part in positions[99].split("."))
    admin = AIOKafkaAdminClient(bootstrap_servers=live.settings.kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(live.steps.name, partition): RecordsToDelete(before_offset=offset)})
    await admin.close()

    async with live.client(project_id) as client:
        await client.subscribe(task_id, after=positions[10])
        await client.answer("reset")
        await client.subscribe(task_id, after=positions[99])
        assert numbers(await client.steps(100)) == list(range(100, 200))


async def test_a_new_gateway_fills_its_ring_back_before_it_is_ready(live, project_id: str, task_id: str) -> None:
    positions = await live.publish(project_id, task_id, *range(20))

    await live.restart()

    async with live.client(project_id) as client:
        await client.subscribe(task_id, after=positions[4])
        assert numbers(await client.steps(15)) == list(range(5, 20))
    assert live.app.state.hub._ring.start(int(positions[0].split(".")[1])) == 0


async def test_a_socket_that_does_not_read_is_closed_while_others_continue(live, project_id: str, task_id: str) -> None:
    slow_end = socket.socket()
    slow_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    slow_end.connect(("127.0.0.1", live.port))
    async with live.client(project_id) as quick, live.client(project_id, sock=slow_end, max_queue=1) as slow:
        await quick.subscribe(task_id)
        await slow.subscribe(task_id)

        for first in range(0, 400, 50):
            await live.publish(project_id, task_id, *range(first, first + 50), pad=20_000)
            await quick.receive_until(lambda frame, last=first + 49: frame["op"] == "frame" and frame["batch"]["n"] == last)

        assert numbers(quick.frames) == list(range(400))
        async with asyncio.timeout(20):  # the gateway waits for 10 s without progress
            while len(live.app.state.hub.sockets) > 1:
                await live.publish(project_id, task_id, 400)
                await quick.receive_until(lambda frame: frame["op"] == "frame" and frame["batch"]["n"] == 400)
                quick.frames.clear()
        assert await slow.close_code() == 4409
        got = numbers(slow.frames)
        assert got == list(range(len(got)))
        assert len(got) < 400


async def test_a_burst_beyond_the_queue_reaches_clients_that_read(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)

        await live.publish(project_id, task_id, *range(200), pad=60_000)

        assert numbers(await client.steps(200)) == list(range(200))


async def test_a_client_misses_nothing_when_the_gateway_restarts(live, project_id: str, task_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe(task_id)
        await live.publish(project_id, task_id, *range(5))
        last = (await client.steps(5))[-1]["position"]
        await live.restart()
        assert await client.close_code() == 1012

    await live.publish(project_id, task_id, *range(5, 8))
    async with live.client(project_id) as client:
        await client.subscribe(task_id, after=last)
        assert numbers(await client.steps(3)) == [5, 6, 7]


async def test_half_open_connections_are_closed_and_no_longer_counted(live, project_id: str) -> None:
    async with live.client(project_id) as client:
        transport = client.connection.transport
        transport.abort()
        with pytest.raises(websockets.ConnectionClosed):
            await client.connection.recv()

    async with live.client(project_id) as client:
        await client.send(op="unsubscribe", sub="x")
        await client.answer("unsubscribed")
        assert len(live.app.state.hub.sockets) == 1
