"""One task of many steps: posted in small requests and in large ones, its totals right, time and memory flat. JSON lines.

    python -m tests.load.bench_large [--steps 100000] [--url URL --data DIR]

Posts one task in requests of 5 spans and another in requests of 10,000, and looks after every tenth of them: how long it took until the
task shows them all, and what the services weigh (PSS). ``flat`` compares the last tenth with the second: time and memory must not grow with
the task. Then it reads the first window of steps and the skeleton. Without ``--url`` it starts a platform of its own.
"""

import argparse
import json
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

VISIBLE_TIMEOUT_SECONDS = 600
LOOK_SECONDS = 0.05
PARTS = 10
OK, UNAVAILABLE = 200, 503
CLIENTS = 4
TOKENS_IN, TOKENS_OUT = 1_000, 50
CALL_EVERY = 2  # every second step is a call of a model, with tokens
TASKS = {5: "a1" * 16, 10_000: "b2" * 16}
FLAT_TIMES = 2.0  # what the last tenth may cost of the second: the machine may be busy
FLAT_MB = 80.0
SERVICES = ("intake", "projector", "live-gateway", "trace-query")


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


def weigh(data: Path) -> float:
    """Megabytes of the services that a task passes (PSS)."""
    processes = json.loads((data / "status.json").read_text())["processes"]
    return sum(psutil.Process(processes[name]["pid"]).memory_full_info().pss for name in SERVICES) / 1024 / 1024


def follow(project: Project, url: str, data: Path, steps: int, per_request: int) -> bool:
    """Post one task and measure it. Whether all is as it must be."""
    task_id = TASKS[per_request]
    address = f"/api/traces/{project.id}/tasks/{task_id}"
    seconds: list[float] = []
    weights: list[float] = []
    task = {"steps": 0}
    for part in range(PARTS):
        first, until = steps * part // PARTS, steps * (part + 1) // PARTS
        began = time.perf_counter()
        post_all(url, project.key, bodies(task_id, first, until, per_request))
        while task["steps"] < until and time.perf_counter() - began < VISIBLE_TIMEOUT_SECONDS:
            time.sleep(LOOK_SECONDS)
            answer = project.http.get(address)
            task = answer.json()["task"] if answer.status_code == OK else task
        seconds.append(time.perf_counter() - began)
        weights.append(weigh(data))
    calls = steps // CALL_EVERY
    wanted = {"steps": steps, "errors": 0, "input_tokens": calls * TOKENS_IN, "output_tokens": calls * TOKENS_OUT}
    exact = {name: task.get(name) for name in wanted} == wanted
    flat = seconds[-1] <= FLAT_TIMES * max(seconds[1], 0.2) and weights[-1] - weights[1] <= FLAT_MB
    began = time.perf_counter()
    window = project.http.get(f"{address}/steps", params={"limit": 500}).raise_for_status().json()
    window_ms = (time.perf_counter() - began) * 1_000
    began = time.perf_counter()
    skeleton = project.http.get(f"{address}/skeleton").raise_for_status()
    skeleton_ms = (time.perf_counter() - began) * 1_000
    whole = len(skeleton.json()["columns"]["step_id"]) == steps and len(window["items"]) == min(500, steps)
    emit(
        bench="large",
        steps=steps,
        spans_per_request=per_request,
        exact=exact,
        flat=flat,
        whole=whole,
        spans_per_second=round(steps / sum(seconds)),
        seconds=[round(one, 2) for one in seconds],
        services_mb=[round(one) for one in weights],
        window_ms=round(window_ms, 1),
        skeleton_ms=round(skeleton_ms, 1),
        skeleton_bytes_a_step=round(len(skeleton.content) / steps, 1),
    )
    return exact and flat and whole


def measure(url: str, data: Path, steps: int) -> bool:
    """Both tasks, in one project."""
    project = Project(url)
    outcomes = [follow(project, url, data, steps, per_request) for per_request in TASKS]  # both, whatever the first one says
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
