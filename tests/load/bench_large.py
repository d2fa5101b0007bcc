"""One task of many steps: posted in small requests and in large ones, its totals right, time and memory flat, followed live. JSON lines.

    python -m tests.load.bench_large [--steps 100000] [--url URL --data DIR]

Posts one task in requests of 5 spans and another in requests of 10,000, and looks after every tenth of them: how long it took until the
task shows them all, the processor time that projector and Postgres took for a step, and what the processes weigh (PSS). A live socket
follows from the beginning, a second one comes when all is posted and asks for everything. ``flat`` compares the second half's
time with the first's and the last tenth's memory with the second's: neither may grow with the task. Then it reads all windows of steps and the skeleton. Without ``--url`` it starts
a platform of its own.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import httpx
import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.installation import Platform
from tests.load.bench_ingest import Project, emit
from tests.load.bench_mapping import NOW_US, put
from tests.load.following import Follower
from tests.load.spent import spent

VISIBLE_TIMEOUT_SECONDS = 600
LOOK_SECONDS = 0.05
PARTS = 10
NOT_FOUND, UNAVAILABLE = 404, 503
CLIENTS = 4
TOKENS_IN, TOKENS_OUT = 1_000, 50
CALL_EVERY = 2  # every second step is a call of a model, with tokens
TASKS = {5: "a1" * 16, 10_000: "b2" * 16}
FLAT_TIMES = 1.5  # what the second half may cost of the first: single tenths differ, for texts are indexed when there is time
FLAT_MB = 40.0  # what a process may weigh more after the last tenth than after the second
BOUNDED_MB = {"live-gateway": 64.0, "postgres": 128.0}  # what is there to be filled: the ring, the shared buffers
SERVICES = ("intake", "projector", "live-gateway", "trace-query", "postgres")
PAGE = 500
LATE_SECONDS = 60


def bodies(task_id: str, first: int, until: int, per_request: int) -> Iterator[bytes]:
    """Requests with the steps ``first`` to ``until``; step 0 is the root, the parent of all."""
    for start in range(first, until, per_request):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        put(resource.resource.attributes, "service.name", "agents")
        scope = resource.scope_spans.add()
        for number in range(start, min(start + per_request, until)):
            begins = (NOW_US + number * 100) * 1_000
            span = scope.spans.add(
                trace_id=bytes.fromhex(task_id),
                span_id=(number + 1).to_bytes(8, "big"),
                parent_span_id=(1).to_bytes(8, "big") if number else b"",
                name=f"step {number % 100}",
                start_time_unix_nano=begins,
                end_time_unix_nano=begins + 50_000,
            )
            call = number % CALL_EVERY == 1
            put(span.attributes, "openinference.span.kind", "LLM" if call else "TOOL" if number else "AGENT")
            put(span.attributes, "input.value", f"question {number} " * 8)
            put(span.attributes, "output.value", f"answer {number} " * 8)
            if call:
                put(span.attributes, "llm.model_name", "gpt-4o-mini")
                put(span.attributes, "llm.token_count.prompt", TOKENS_IN)
                put(span.attributes, "llm.token_count.completion", TOKENS_OUT)
        yield request.SerializeToString()


def post_all(url: str, key: str, requests: Iterator[bytes]) -> None:
    """By some clients at once; what is refused for a moment is sent again."""
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for body in requests:
        waiting.put(body)

    def client() -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            while True:
                try:
                    body = waiting.get_nowait()
                except Empty:
                    return
                while (answer := http.post("/v1/traces", content=body)).status_code == UNAVAILABLE:
                    time.sleep(float(answer.headers.get("Retry-After", "1")))
                answer.raise_for_status()

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()


def weigh(data: Path) -> dict[str, float]:
    """Megabytes of the processes that a task passes (PSS), with their children."""
    processes = json.loads((data / "status.json").read_text())["processes"]
    weights: dict[str, float] = {}
    for name in SERVICES:
        process = psutil.Process(processes[name]["pid"])
        weights[name] = sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True))) / 1024 / 1024
    return weights


def write_cost(data: Path) -> float:
    """Processor seconds so far of those who make rows of events."""
    now = spent(data)
    return now["projector"] + now["postgres: ams_writer"]


def windows(project: Project, address: str) -> tuple[list[float], set[str]]:
    """All pages of steps: milliseconds of each, and the ids."""
    times: list[float] = []
    ids: set[str] = set()
    cursor = None
    while True:
        began = time.perf_counter()
        page = (
            project.http.get(f"{address}/steps", params={"limit": PAGE} | ({"cursor": cursor} if cursor else {})).raise_for_status().json()
        )
        times.append((time.perf_counter() - began) * 1_000)
        ids.update(step["step_id"] for step in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return times, ids


def catch_up(project: Project, url: str, task_id: str, position: str, steps: int) -> dict[str, int | float | None]:
    """A socket that comes late and asks for the task from the log's beginning."""
    began = time.perf_counter()
    late = Follower(url, project.http, project.id, task_id, f"{position.rpartition('.')[0]}.0")
    while len(late.steps) < steps and not late.resets and time.perf_counter() - began < LATE_SECONDS:
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    return {**late.stop(), "seconds": round(seconds, 1)}


def follow(project: Project, url: str, data: Path, steps: int, per_request: int) -> bool:
    """Post one task and measure it. Whether all is as it must be."""
    task_id = TASKS[per_request]
    address = f"/api/traces/{project.id}/tasks/{task_id}"
    seconds: list[float] = []
    costs: list[float] = []
    weights: list[dict[str, float]] = []
    task, position = {"steps": 0}, ""
    live = Follower(url, project.http, project.id, task_id, None)
    live.subscribed.wait(LATE_SECONDS)
    for part in range(PARTS):
        first, until = steps * part // PARTS, steps * (part + 1) // PARTS
        began, before = time.perf_counter(), write_cost(data)
        post_all(url, project.key, bodies(task_id, first, until, per_request))
        while task["steps"] < until and time.perf_counter() - began < VISIBLE_TIMEOUT_SECONDS:
            time.sleep(LOOK_SECONDS)
            answer = project.http.get(address)
            if answer.status_code != NOT_FOUND:
                answer.raise_for_status()
                task, position = answer.json()["task"], answer.json()["position"]
        seconds.append(time.perf_counter() - began)
        costs.append((write_cost(data) - before) / (until - first) * 1e6)
        weights.append(weigh(data))
    calls = steps // CALL_EVERY
    wanted = {"steps": steps, "errors": 0, "input_tokens": calls * TOKENS_IN, "output_tokens": calls * TOKENS_OUT}
    exact = {name: task.get(name) for name in wanted} == wanted
    grown = {name: weights[-1][name] - weights[1][name] for name in SERVICES}
    allowed = {name: FLAT_MB + BOUNDED_MB.get(name, 0) for name in SERVICES}
    flat = sum(costs[PARTS // 2 :]) <= FLAT_TIMES * sum(costs[: PARTS // 2]) and all(grown[name] <= allowed[name] for name in SERVICES)
    followed = live.stop()
    late = catch_up(project, url, task_id, position, steps)
    every = {"steps": steps, "twice": 0, "gaps": 0, "resets": 0, "closed": None}
    received = followed == every and (late["resets"] == 1 or every.items() <= late.items())
    times, ids = windows(project, address)
    began = time.perf_counter()
    skeleton = project.http.get(f"{address}/skeleton").raise_for_status()
    skeleton_ms = (time.perf_counter() - began) * 1_000
    whole = len(skeleton.json()["columns"]["step_id"]) == len(ids) == steps
    few = max(1, len(times) // 10)
    emit(
        bench="large",
        steps=steps,
        spans_per_request=per_request,
        exact=exact,
        flat=flat,
        whole=whole,
        received=received,
        spans_per_second=round(steps / sum(seconds)),
        seconds=[round(one, 2) for one in seconds],
        write_us_a_step=[round(one) for one in costs],
        mb_after_second_tenth={name: round(weights[1][name]) for name in SERVICES},
        mb_after_last_tenth={name: round(weights[-1][name]) for name in SERVICES},
        live=followed,
        live_late=late,
        window_ms={name: round(statistics.median(part), 1) for name, part in parts_of(times, few).items()},
        skeleton_ms=round(skeleton_ms, 1),
        skeleton_bytes_a_step=round(len(skeleton.content) / steps, 1),
        load=round(os.getloadavg()[0], 1),
    )
    return exact and flat and whole and received


def parts_of(times: list[float], few: int) -> dict[str, list[float]]:
    """The first, the middle and the last ones."""
    middle = (len(times) - few) // 2
    return {"start": times[:few], "middle": times[middle : middle + few], "end": times[-few:]}


def measure(url: str, data: Path, steps: int) -> bool:
    """Both tasks, each in a project of its own: on a busy machine one of them outlives a token."""
    outcomes = [follow(Project(url), url, data, steps, per_request) for per_request in TASKS]  # both, whatever the first one says
    return all(outcomes)


def main() -> None:
    """Measure on the platform that is named, or on one of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--url", help="of a platform that runs; with --data")
    parser.add_argument("--data", type=Path, help="its data directory")
    arguments = parser.parse_args()
    if arguments.url:
        good = measure(arguments.url, arguments.data, arguments.steps)
    else:
        with tempfile.TemporaryDirectory(prefix="ams-bench-") as folder:
            platform = Platform(Path(folder) / "data").start()
            try:
                good = measure(platform.url, platform.data, arguments.steps)
            finally:
                platform.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
