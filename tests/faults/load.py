"""Agents that post continuously and keep a ledger of acknowledged spans: after any failure, exactly these must exist."""

import json
import secrets
import threading
import time
from collections import Counter
from typing import Any, Self

import httpx
from tests.client import Project

RETRYABLE = frozenset({429, 502, 503, 504})  # what OTLP clients send again; all others they drop
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 0.5  # a client of the field backs off longer; the load should be felt
ANSWER_TIMEOUT_SECONDS = 10  # an OTLP client's
SPANS_PER_REQUEST = 5
REQUESTS_PER_TASK = 8
TOKENS_IN, TOKENS_OUT = 7, 3  # of every span that is a call of a model


class Ledger:
    """What was acknowledged, by task; and every answer that was neither an acknowledgement nor one to be sent again."""

    def __init__(self) -> None:
        self.steps: dict[str, set[str]] = {}
        self.calls: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.again: Counter[str] = Counter()
        self.longest_refusal_seconds = 0.0
        self._turn = threading.Lock()

    def acknowledged(self, task_id: str, step_ids: list[str], calls: int) -> None:
        with self._turn:
            self.steps.setdefault(task_id, set()).update(step_ids)
            self.calls[task_id] += calls

    def refused(self, why: str, since: float) -> None:
        with self._turn:
            self.again[why] += 1
            self.longest_refusal_seconds = max(self.longest_refusal_seconds, time.monotonic() - since)

    @property
    def count(self) -> int:
        with self._turn:
            return sum(len(steps) for steps in self.steps.values())


def otlp(task_id: str, root: str, steps: list[str], at_ns: int) -> bytes:
    """An OTLP request in JSON: the root, or calls of a model below it."""

    def text(key: str, value: str) -> dict[str, Any]:
        return {"key": key, "value": {"stringValue": value}}

    def span(step_id: str) -> dict[str, Any]:
        call = step_id != root
        return {
            "traceId": task_id, "spanId": step_id, "name": "chat" if call else "run",
            "startTimeUnixNano": str(at_ns), "endTimeUnixNano": str(at_ns + 1_000_000),
            **({"parentSpanId": root} if call else {}),
            "attributes": [
                text("openinference.span.kind", "LLM" if call else "AGENT"), text("input.value", f"the input of {step_id}"),
                *([{"key": "llm.token_count.prompt", "value": {"intValue": TOKENS_IN}}] if call else []),
                *([{"key": "llm.token_count.completion", "value": {"intValue": TOKENS_OUT}}] if call else []),
            ],
        }  # fmt: skip

    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span(step) for step in steps]}]}]}).encode()


class Agent:
    """Posts spans, each request again until it is acknowledged."""

    def __init__(self, project: Project, ledger: Ledger, stop: threading.Event, url: str | None = None) -> None:
        """``url``: of an intake that is asked by itself, past what routes."""
        self._project = project
        self._url = url or str(project.http.base_url)
        self._ledger = ledger
        self._stop = stop
        self._http = httpx.Client(base_url=self._url, timeout=ANSWER_TIMEOUT_SECONDS)

    def close(self) -> None:
        self._http.close()

    def post(self, task_id: str, root: str, steps: list[str]) -> bool:
        """Until it is acknowledged, or the load is over; whether it is."""
        body, since = otlp(task_id, root, steps, time.time_ns()), time.monotonic()
        pause = RETRY_SECONDS_MIN
        headers = {"Authorization": f"Bearer {self._project.key}", "Content-Type": "application/json"}
        while True:
            try:
                answer = self._http.post("/v1/traces", content=body, headers=headers)
            except httpx.TransportError as error:  # refused, or cut off: it may have been taken, and is sent again
                why = type(error).__name__
            else:
                if answer.status_code == 200 and "rejectedSpans" not in answer.text:
                    self._ledger.acknowledged(task_id, steps, sum(step != root for step in steps))
                    return True
                why = str(answer.status_code)
                if answer.status_code not in RETRYABLE:
                    self._ledger.wrong.append(f"{answer.status_code} {answer.text[:300]}")
                    return False
            self._ledger.refused(why, since)
            if self._stop.wait(pause):
                return False
            pause = min(pause * 2, RETRY_SECONDS_MAX)


class Load:
    """Several agents at once, 250 spans a second in all as long as they are answered, and one slow task that a person watches."""

    def __init__(self, project: Project, *, agents: int = 10, request_seconds: float = 0.2, also: str | None = None) -> None:
        """``also``: the address of another intake, to which every second agent sends."""
        self.project = project
        self._urls = [None, also]
        self.ledger = Ledger()
        self.watched = secrets.token_hex(16)
        self._request_seconds = request_seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(agents)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(ANSWER_TIMEOUT_SECONDS + 5)

    def canary(self) -> str:
        """Post a task of one span until it is acknowledged; its id."""
        agent, task_id, root = Agent(self.project, self.ledger, self._stop), secrets.token_hex(16), secrets.token_hex(8)
        try:
            assert agent.post(task_id, root, [root]) or self._stop.is_set()
        finally:
            agent.close()
        return task_id

    def _work(self, number: int) -> None:
        agent = Agent(self.project, self.ledger, self._stop, self._urls[number % 2])
        watched_root, due = secrets.token_hex(8), time.monotonic()
        try:
            while not self._stop.is_set():
                task_id, root = secrets.token_hex(16), secrets.token_hex(8)
                for turn in range(REQUESTS_PER_TASK):
                    steps = [secrets.token_hex(8) for _ in range(SPANS_PER_REQUEST)]
                    if turn == REQUESTS_PER_TASK - 1:
                        steps[-1] = root  # OpenTelemetry's roots come last
                    agent.post(task_id, root, steps)
                    if number == 0:
                        agent.post(self.watched, watched_root, [secrets.token_hex(8)])
                    due = max(due + self._request_seconds, time.monotonic())  # what an outage delayed is not made up for
                    if self._stop.wait(due - time.monotonic()):
                        break
        finally:
            agent.close()
