"""Many clients, large bodies, and a log that takes nothing: intake refuses and stays small."""

import json
import os
import secrets
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from tests.client import Account, Project
from tests.faults.beside import freeze, thaw
from tests.faults.load import ANSWER_TIMEOUT_SECONDS, RETRYABLE
from tests.faults.processes import RECOVERY_SECONDS_MAX
from tests.installation import Platform, until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(240)]
CLIENTS = 64
POSTS_PER_CLIENT = 3
SPANS, VALUE_BYTES = 16, 256 * 1024
MEMORY_MIB_MAX = 400


def four_megabytes() -> bytes:
    """An ordinary OTLP request with long inputs."""
    now, trace = time.time_ns(), secrets.token_hex(16)
    spans = [
        {
            "traceId": trace, "spanId": secrets.token_hex(8), "name": "run", "startTimeUnixNano": str(now), "endTimeUnixNano": str(now),
            "attributes": [{"key": "input.value", "value": {"stringValue": secrets.token_hex(VALUE_BYTES // 2)}}],
        }
        for _ in range(SPANS)
    ]  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def peak_mib(pid: int) -> int:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def post_all(project: Project, url: str, body: bytes) -> tuple[Counter[str], list[httpx.Response]]:
    """Every client posts some times, one after the other; what was answered, and what went wrong on the way."""
    seen: Counter[str] = Counter()
    answers: list[httpx.Response] = []
    turn = threading.Lock()

    def client() -> None:
        with httpx.Client(timeout=ANSWER_TIMEOUT_SECONDS * 3) as http:
            for _ in range(POSTS_PER_CLIENT):
                try:
                    answer = http.post(
                        f"{url}/v1/traces",
                        content=body,
                        headers={"Authorization": f"Bearer {project.key}", "Content-Type": "application/json"},
                    )
                except httpx.TransportError as error:
                    what = type(error).__name__
                else:
                    what = str(answer.status_code)
                    answers.append(answer)
                with turn:
                    seen[what] += 1

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen, answers


def test_large_bodies_are_refused_and_not_held_while_the_broker_is_frozen(own: Platform) -> None:
    project, body = Account(own.url).project(), four_megabytes()
    intake, kafka = (int(own.processes()[name]["pid"]) for name in ("intake", "kafka"))
    url = f"http://127.0.0.1:{own.port_of('intake')}"
    headers = {"Content-Type": "application/json"}
    assert project.post("/v1/traces", body, **headers).status_code == 200
    before = peak_mib(intake)

    freeze(kafka)
    seen, answers = post_all(project, url, body)
    thaw(kafka)

    peak = peak_mib(intake)
    print(f"\n{CLIENTS} clients, {len(body) >> 20} MiB each: {dict(seen)}, {before} -> {peak} MiB; load average {os.getloadavg()[0]:.1f}")
    assert {answer.status_code for answer in answers} <= RETRYABLE
    assert len(answers) > CLIENTS
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert peak < MEMORY_MIB_MAX
    until(lambda: project.post("/v1/traces", body, **headers).status_code == 200, RECOVERY_SECONDS_MAX, "intake accepts again")
    assert own.processes()["intake"]["pid"] == intake
