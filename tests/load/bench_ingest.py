"""OTLP spans until they can be read: spans a second through intake, log, projector and tables, load generator included. JSON lines.

    python -m tests.load.bench_ingest [--url http://localhost:8080] [--spans 40000] [--clients 4] [--batch 500] [--data .ams]

Talks to a platform that runs (``ams up``); registers a user and a project of its own. A run is over when the REST lists answer every
span, totals included. Bodies are made before the clock starts. With ``--data`` it says where the processor time went, in microseconds a
span by process: on a machine that others use too, compare those.
"""

import argparse
import json
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import httpx
from tests.load.bench_mapping import request_of
from tests.load.spent import since, spent

VISIBLE_TIMEOUT_SECONDS = 300
TASKS_PER_PAGE = 500
LOOK_SECONDS = 0.05


def emit(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Project:
    """A fresh project and what its owner can read of it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        name, password = f"bench{secrets.token_hex(5)}", secrets.token_urlsafe(24)
        self.http.post(
            "/api/auth/register", json={"username": name, "email": f"{name}@example.com", "password": password}
        ).raise_for_status()
        token = self.http.post("/api/auth/login", json={"login": name, "password": password}).raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.id = self.http.post("/api/projects", json={"name": "bench"}).raise_for_status().json()["project_id"]
        self.key = self.http.post(f"/api/projects/{self.id}/keys", json={"name": "bench"}).raise_for_status().json()["key"]

    def steps(self) -> int:
        """How many steps the lists show."""
        total, cursor = 0, None
        while True:
            parameters = {"limit": TASKS_PER_PAGE} | ({"cursor": cursor} if cursor else {})
            page = self.http.get(f"/api/traces/{self.id}/tasks", params=parameters).raise_for_status().json()
            total += sum(task["steps"] for task in page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return total


def send(url: str, key: str, bodies: "SimpleQueue[bytes]", answers: dict[int, int], latencies: list[float]) -> None:
    """One client: posts until nothing is left; retries when the server asks for it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
        while True:
            try:
                body = bodies.get_nowait()
            except Empty:
                return
            while True:
                began = time.perf_counter()
                answer = http.post("/v1/traces", content=body)
                latencies.append(time.perf_counter() - began)
                answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
                if answer.status_code != 503:
                    break
                time.sleep(float(answer.headers.get("Retry-After", "1")))


def run(url: str, *, spans: int, clients: int, batch: int, seed: int, data: Path | None) -> None:
    """One measurement."""
    project = Project(url)
    bodies: SimpleQueue[bytes] = SimpleQueue()
    total = sent = 0
    while sent < spans:
        count = min(batch, spans - sent)
        body = request_of(count, seed + sent).SerializeToString()
        bodies.put(body)
        total += len(body)
        sent += count
    answers: dict[int, int] = {}
    latencies: list[float] = []
    threads = [threading.Thread(target=send, args=(url, project.key, bodies, answers, latencies)) for _ in range(clients)]
    before = None if data is None else spent(data)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.perf_counter() - began
    visible = 0
    while visible < spans and time.perf_counter() - began < VISIBLE_TIMEOUT_SECONDS:
        time.sleep(LOOK_SECONDS)
        visible = project.steps()
    seconds = time.perf_counter() - began
    latencies.sort()
    emit(
        bench="ingest.visible",
        spans=spans,
        clients=clients,
        batch=batch,
        bytes_a_span=total // spans,
        visible=visible,
        spans_per_second=round(spans / seconds),
        accepted_per_second=round(spans / accepted),
        post_p50_ms=round(latencies[len(latencies) // 2] * 1000, 1),
        post_p99_ms=round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        answers=answers,
        cores=os.cpu_count(),
        load=os.getloadavg()[0],
        us_per_span=None if data is None or before is None else since(data, before, spans),
    )
    if visible != spans:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--spans", type=int, default=40_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--data", type=Path, help="the platform's data directory, to say where the time goes")
    arguments = parser.parse_args()
    for number in range(arguments.rounds):
        run(
            arguments.url,
            spans=arguments.spans,
            clients=arguments.clients,
            batch=arguments.batch,
            seed=time.time_ns() + number,
            data=arguments.data,
        )


if __name__ == "__main__":
    main()
