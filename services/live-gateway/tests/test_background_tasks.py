"""Each background task of the gateway restarts after any failure, and sockets still get every record."""

import httpx

from ams_kit.testing.supervision import Running, until


async def test_each_task_restarts_after_an_unexpected_error_and_no_record_is_missed(live, project_id: str, task_id: str) -> None:
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}") as http,
        live.client(project_id) as client,
    ):
        gateway = Running(live.app, http)
        await client.subscribe(task_id)
        await live.publish(project_id, task_id, *range(5))
        await client.steps(5)

        names = await gateway.fail_each_task()

        await live.publish(project_id, task_id, *range(5, 10))
        frames = await client.steps(10)
        assert [frame["batch"]["n"] for frame in frames] == list(range(10))
    assert names == {"identity-events", "revocation-replica", "socket-access", "socket-sweep", "tail"}


async def test_a_tail_that_keeps_failing_makes_the_process_not_ready(live) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}") as http:
        said = await Running(live.app, http).fail_for_ever("tail")

    assert said.startswith("The background task tail failed ")


async def test_a_catch_up_reader_that_fails_restarts(live, project_id: str, task_id: str, monkeypatch) -> None:
    """The subscription waits for the restart and misses no record."""
    positions = await live.publish(project_id, task_id, *range(300), pad=2_000)
    partition = int(positions[0].split(".")[1])
    start = f"1.{partition}.0"
    ring, backlog = live.app.state.hub._ring, live.app.state.hub._backlog
    read_pass, failures = backlog._read_pass, [ZeroDivisionError(), OSError()]

    async def fail_first(*arguments):
        if failures:
            raise failures.pop()
        await read_pass(*arguments)

    monkeypatch.setattr(backlog, "_read_pass", fail_first)
    ring._bytes_max = 1  # an empty ring, so that all records come from the log
    async with live.client(project_id) as client:
        (last,) = await live.publish(project_id, task_id, 300)
        newest = int(last.rpartition(".")[2]) - 1

        async def only_the_newest_is_in_the_ring() -> bool:  # the log has it before the gateway's tail
            return ring.start(partition) == newest

        await until(only_the_newest_is_in_the_ring)
        await client.subscribe(task_id, after=start)
        frames = await client.steps(301)

    assert failures == []
    assert [frame["batch"]["n"] for frame in frames] == list(range(301))
