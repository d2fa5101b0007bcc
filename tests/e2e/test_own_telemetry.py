"""The services of a platform report about themselves to a receiver of their operator."""

import secrets
import time
from collections import defaultdict
from pathlib import Path

import pytest
from tests.client import Account, eventually
from tests.faults.load import otlp
from tests.installation import Platform, until
from tests.otlp_receiver import OtlpReceiver, otlp_receiver

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]  # one platform of its own at a time
SERVICES = {"ams-identity", "ams-intake", "ams-projector", "ams-trace-query", "ams-live-gateway"}
PATIENCE_SECONDS = 60


def traces(taking: OtlpReceiver) -> dict[bytes, set[str]]:
    """The names of the spans of each trace."""
    found: defaultdict[bytes, set[str]] = defaultdict(set)
    for span in taking.spans():
        found[span.trace_id].add(span.name)
    return found


def test_a_request_of_an_agent_is_one_trace_from_intake_to_its_rows(tmp_path: Path) -> None:
    task_id, root = secrets.token_hex(16), secrets.token_hex(8)
    with otlp_receiver() as taking:
        settings = {"AMS_OTEL_ENDPOINT": taking.url, "AMS_OTEL_HEADERS": "x-receiver=of%20the%20operator"}
        platform = Platform(tmp_path / "data", settings=settings)
        try:
            platform.start()
            account = Account(platform.url)
            project = account.project()
            project.post(
                "/v1/traces", otlp(task_id, root, [root], time.time_ns()), **{"Content-Type": "application/json"}
            ).raise_for_status()
            eventually(lambda: [task["task_id"] for task in project.items("tasks")], lambda found: found == [task_id])

            def followed() -> bool:
                return any({"POST /v1/traces", "publish", "process ams.steps.v1"} <= names for names in traces(taking).values())

            until(followed, PATIENCE_SECONDS, "the trace of the request")
            until(lambda: taking.services() == SERVICES, PATIENCE_SECONDS, "something of each service")
        finally:
            platform.stop()

    sent = b"".join(body for _, _, body in taking.requests)
    for value in (task_id, bytes.fromhex(task_id), project.id, project.key, account.name, account.password, "the input of"):
        assert (value if isinstance(value, bytes) else value.encode()) not in sent
    assert {headers["x-receiver"] for _, headers, _ in taking.requests} == {"of the operator"}
