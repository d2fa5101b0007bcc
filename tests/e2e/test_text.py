"""A rare word in an output, posted by OpenTelemetry, is found by search: among steps, and as the task of its step."""

import json
import secrets
import time
from typing import Any

import pytest
from tests.client import Account, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(120)]


def a_span(trace: str, name: str, output: str) -> dict[str, Any]:
    at_ns = time.time_ns()
    attributes = {"openinference.span.kind": "LLM", "input.value": "What was it?", "output.value": output}
    return {
        "traceId": trace,
        "spanId": secrets.token_hex(8),
        "name": name,
        "startTimeUnixNano": str(at_ns - 10**6),
        "endTimeUnixNano": str(at_ns),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def test_a_rare_word_in_an_output_finds_its_step_and_its_task(platform: Platform) -> None:
    project = Account(platform.url).project("words")
    word, trace = f"zebra{secrets.token_hex(4)}", secrets.token_hex(16)
    beyond_the_preview = "blah " * 400 + f"and then: {word.upper()}!"
    spans = [a_span(trace, "teller", beyond_the_preview), a_span(secrets.token_hex(16), "other", "nothing of the kind")]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()

    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()

    steps = eventually(lambda: project.get("steps", q=word), lambda page: bool(page["items"]))
    assert [step["name"] for step in steps["items"]] == ["teller"]
    assert [task["task_id"] for task in project.get("tasks", q=f"{word} teller")["items"]] == [trace]
    level = eventually(lambda: project.get("steps", q=word), lambda page: page["text_lag_records"] == 0)
    assert (level["text_lag_records"], level["text_until_us"]) == (0, None)
