"""The cases of ``tests/cases`` over a running platform: the steps, tasks and searches that REST shows after the same requests."""

import base64
import copy
import time
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.case_files import NAMES, Case, body_of, case_of, compare_step, differences, posts_of
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

BASE_NS = 1_795_000_000_000_000_000  # the time in the files; sent as if it were a minute ago
SECONDS_MAX = 120.0
TIMES = frozenset({"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "observedTimeUnixNano"})


def moved(node: Any, delta_ns: int) -> Any:
    """A JSON body at another time; 0 means absent and stays."""
    if isinstance(node, list):
        return [moved(item, delta_ns) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: str(int(item) + delta_ns) if key in TIMES and int(item) else moved(item, delta_ns) for key, item in node.items()}


def moved_protobuf(body: bytes, delta_ns: int) -> tuple[bytes, dict[str, str]]:
    """The same for protobuf, and the trace of each span."""
    request = ExportTraceServiceRequest.FromString(body)
    traces: dict[str, str] = {}
    for span in (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans):
        span.start_time_unix_nano += delta_ns
        span.end_time_unix_nano += delta_ns
        traces[span.span_id.hex()] = span.trace_id.hex()
    return request.SerializeToString(), traces


class Sent:
    """A case whose requests are sent one after the other."""

    def __init__(self, project: Project, name: str) -> None:
        self.project, self.name, self.case = project, name, case_of(name)
        self.tasks: dict[str, str] = {}

    def post(self, number: int, delta_ns: int) -> None:
        posts = posts_of(self.case)
        if number >= len(posts):
            return
        post = copy.deepcopy(posts[number])
        if "otlp_protobuf" in post:
            body, traces = moved_protobuf(base64.b64decode(post["otlp_protobuf"]), delta_ns)
            self.tasks |= traces
            post["otlp_protobuf"] = base64.b64encode(body).decode()
        else:
            key = "otlp" if "otlp" in post else "otlp_logs"
            post[key] = moved(post[key], delta_ns)
            for resource in post[key].get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    self.tasks |= {span["spanId"].lower(): span["traceId"].lower() for span in scope["spans"]}
        path, content_type, sent = body_of(post)
        answer = self.project.post(path, sent, **{"Content-Type": content_type})
        assert (answer.status_code, b"artial" in answer.content) == (200, False), f"{self.name}: {answer.text}"
        if "expect" in post:
            wrong = eventually(lambda: self.problems(post["expect"]), lambda found: not found)
            assert wrong == [], self.name

    def problems(self, expect: Case) -> list[str]:
        wrong: list[str] = []
        for step_id, want in expect.get("steps", {}).items():
            answer = self.project.http.get(f"/api/traces/{self.project.id}/tasks/{self.tasks[step_id]}/steps/{step_id}")
            if answer.status_code != 200:
                wrong.append(f"{self.name}: {step_id} is not there")
                continue
            found = answer.json()
            payloads = {payload["slot"]: payload for payload in found["payloads"]}
            wrong += [f"{self.name}: {step_id}: {line}" for line in compare_step(want, found["step"], payloads)]
        if "task" in expect:
            answer = self.project.http.get(f"/api/traces/{self.project.id}/tasks/{next(iter(self.tasks.values()))}")
            wrong += [f"{self.name}: {line}" for line in differences(expect["task"], answer.json().get("task", {}), "task")]
        for search in expect.get("q", []):
            wrong += self._search(search)
        return wrong

    def _search(self, search: Case) -> list[str]:
        step_id, task_id = next(iter(self.tasks.items()))
        key = "task_id" if search["in"] == "tasks" else "step_id"
        wanted = search.get("id") or (task_id if search["in"] == "tasks" else step_id)
        items = self.project.get(search["in"], q=search["q"], limit=200)["items"]
        rows = [row for row in items if row[key] == wanted and row["task_id"] in self.tasks.values()]
        if bool(rows) is not search["finds"]:
            return [f"{self.name}: {search['q']} finds {len(rows)} of {wanted}"]
        return [f"{self.name}: {line}" for line in differences(search["row"], rows[0], "row")] if rows and "row" in search else []


def test_every_case_is_right_over_rest(platform: Platform) -> None:
    project = Account(platform.url).project()
    sent = [Sent(project, name) for name in NAMES]
    delta_ns = time.time_ns() - 60 * 1_000_000_000 - BASE_NS

    for number in range(max(len(posts_of(one.case)) for one in sent)):
        for one in sent:
            one.post(number, delta_ns)

    wrong = eventually(
        lambda: [line for one in sent for line in one.problems(one.case["expect"])], lambda found: not found, timeout_seconds=SECONDS_MAX
    )
    assert wrong == []
