"""From a step's end in the agent to a live socket, at 1,000 steps a second. JSON lines.

    python -m tests.load.bench_latency --url http://localhost:8080 --data .ams [--rate 1000] [--seconds 15]

The agent is the SDK in a process of its own, 10 tasks at once; the browser is a websocket client that follows all ten. A step's latency is
the time between its ``ended_at_us`` and the arrival of the frame that says so: the SDK's 50 ms of gathering, HTTP, intake, the log and the
gateway's packing are in it. Beside it, in the same run and on the same broker, a bare path: aiokafka producer -> aiokafka consumer ->
``websockets`` -> client, a message of 1.4 KB for each step, no checks.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.client import Account, Project
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve

import ams

TASKS = 10
P50_TARGET_MS = 150
P99_TARGET_MS = 500
DRAIN_SECONDS = 20
TEXT = "what an agent reads and writes " * 16
ENDED = {"step.ended", "step.recorded"}
BARE_TOPIC = "ams.bench.latency"
BARE_PADDING = "x" * 1_350


def emit(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def quantiles(latencies_us: list[int]) -> dict[str, float]:
    ordered = sorted(latencies_us)
    return {f"p{share}_ms": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)] / 1_000, 1) for share in (50, 90, 99)}


# -- the agent, in a process of its own ----------------------------------------------------------------------------------


def agent(url: str, key: str, rate: int, seconds: float) -> None:
    """Open the tasks and print their ids; make steps at an even pace after a line arrives on stdin."""
    ams.init(api_key=key, endpoint=url)
    go = threading.Event()
    steps = int(rate * seconds / TASKS)

    def work(number: int) -> None:
        with ams.task(f"task {number}") as task:
            sys.stdout.write(f"{task.task_id}\n")
            sys.stdout.flush()
            go.wait()
            began = time.monotonic()
            for index in range(steps):
                with ams.step("work", type="tool", input=TEXT) as step:
                    step.output = TEXT
                time.sleep(max(0.0, began + (index + 1) * TASKS / rate - time.monotonic()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(TASKS)]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    go.set()
    for thread in threads:
        thread.join()
    ams.shutdown()


# -- the browser ---------------------------------------------------------------------------------------------------------


async def follow(url: str, project: Project, rate: int, seconds: float) -> list[int]:
    """Latencies in microseconds, one a step."""
    arguments = ["--agent", project.key, "--url", url, "--rate", str(rate), "--seconds", str(seconds)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.load.bench_latency", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    tasks = [(await process.stdout.readline()).decode().strip() for _ in range(TASKS)]
    ticket = project.http.post("/api/live/tickets", json={"project_id": project.id}).raise_for_status().json()["ticket"]
    latencies: list[int] = []
    address = f"{url.replace('http', 'ws', 1)}/api/live"
    async with connect(address, subprotocols=["ams.v1", f"ticket.{ticket}"], origin=url, max_size=None, compression=None) as socket:  # type: ignore[list-item,arg-type]  # words of the library's own types
        for task_id in tasks:
            await socket.send(json.dumps({"op": "subscribe", "id": task_id, "task_id": task_id}))
        for _ in tasks:
            await socket.recv()
        process.stdin.write(b"go\n")
        wanted = int(rate * seconds / TASKS) * TASKS
        try:
            async with asyncio.timeout(seconds + DRAIN_SECONDS):
                while len(latencies) < wanted:
                    message = await socket.recv()
                    now_us = time.time_ns() // 1_000
                    for frame in json.loads(message):
                        if frame["op"] == "frame":
                            latencies += [
                                now_us - event["step"]["ended_at_us"]
                                for event in frame["batch"]["events"]
                                if event["kind"] in ENDED and event["step"]["type"] == "tool"
                            ]
        except TimeoutError:
            emit(bench="latency.missing", steps=wanted - len(latencies))
    await process.wait()
    return latencies


# -- the bare path -------------------------------------------------------------------------------------------------------


async def bare(bootstrap: str, rate: int, seconds: float) -> list[int]:
    """The same number of messages over the same broker and one websocket, and nothing else."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(BARE_TOPIC, 1, 1)])
    clients: set = set()
    latencies: list[int] = []
    count = int(rate * seconds)
    done = asyncio.Event()

    async def hold(socket) -> None:
        clients.add(socket)
        await socket.wait_closed()

    async def read(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            async for message in socket:
                latencies.append(time.time_ns() // 1_000 - json.loads(message)["ended_at_us"])
                if len(latencies) == count:
                    done.set()

    partition = TopicPartition(BARE_TOPIC, 0)
    async with (
        serve(hold, "127.0.0.1", 0, compression=None) as server,
        AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, compression_type="zstd") as producer,
    ):
        consumer.assign([partition])
        await consumer.position(partition)

        async def forward() -> None:
            async for record in consumer:
                broadcast(clients, record.value)

        background = [asyncio.create_task(read(server.sockets[0].getsockname()[1])), asyncio.create_task(forward())]
        while not clients:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        for index in range(count):
            body = json.dumps({"ended_at_us": time.time_ns() // 1_000, "padding": BARE_PADDING}).encode()
            await producer.send(BARE_TOPIC, body)
            await asyncio.sleep(max(0.0, began + (index + 1) / rate - time.monotonic()))
        async with asyncio.timeout(DRAIN_SECONDS):
            await done.wait()
        for task in background:
            task.cancel()
    await admin.delete_topics([BARE_TOPIC])
    await admin.close()
    return latencies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--data", default=".ams")
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--agent", metavar="KEY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.agent:
        agent(arguments.url, arguments.agent, arguments.rate, arguments.seconds)
        return 0
    bootstrap = json.loads((Path(arguments.data) / "addresses.json").read_text())["kafka"]
    project = Account(arguments.url).project("latency")
    shown = quantiles(asyncio.run(follow(arguments.url, project, arguments.rate, arguments.seconds)))
    emit(bench="latency.step_to_socket", steps_per_second=arguments.rate, **shown, p50_target_ms=P50_TARGET_MS, p99_target_ms=P99_TARGET_MS)
    emit(
        bench="latency.bare", steps_per_second=arguments.rate, **quantiles(asyncio.run(bare(bootstrap, arguments.rate, arguments.seconds)))
    )
    return 0 if shown["p50_ms"] <= P50_TARGET_MS and shown["p99_ms"] <= P99_TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
