"""A program with native steps and spans of OpenTelemetry's SDK, against the complete platform: one tree, visible while it runs."""

import os
import subprocess
import sys

import pytest
from tests.client import Account, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

PROGRAM_SECONDS = 120
AGENT = """
import ams
from opentelemetry import trace

ams.init(announce=False)
ams.instrument()
with ams.task("Weather"), ams.step("native"):
    with trace.get_tracer("client").start_as_current_span("chat gpt-4o-mini") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
        with ams.tool("lookup"):
            pass
        input()
        span.set_attribute("gen_ai.usage.input_tokens", 1000)
        span.set_attribute("gen_ai.usage.output_tokens", 100)
        span.set_attribute("gen_ai.output.messages", '[{"role":"assistant","parts":[{"type":"text","content":"key sk-abcdefghijklmnopqrstuvwxyz"}]}]')
"""


def test_spans_and_steps_are_one_tree_that_is_visible_while_it_runs(platform: Platform) -> None:
    project = Account(platform.url).project("opentelemetry")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AMS_", "OTEL_"))}
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT],
        env={**own, "AMS_ENDPOINT": platform.url, "AMS_API_KEY": project.key},
        stdin=subprocess.PIPE,
        text=True,
    )

    def steps() -> dict[str, dict[str, object]]:
        return {step["name"]: step for task in project.get("tasks")["items"] for step in project.items(f"tasks/{task['task_id']}/steps")}

    try:
        running = eventually(steps, lambda found: "chat gpt-4o-mini" in found and found.get("lookup", {}).get("status") == "ok")
    finally:
        agent.communicate("\n", timeout=PROGRAM_SECONDS)
    ended = eventually(steps, lambda found: {step["status"] for step in found.values()} == {"ok"})
    [task] = project.get("tasks")["items"]

    assert running["chat gpt-4o-mini"]["status"] == "running"
    assert set(ended) == {"Weather", "native", "chat gpt-4o-mini", "lookup"}
    parents = {name: step["parent_step_id"] for name, step in ended.items()}
    assert parents["chat gpt-4o-mini"] == ended["native"]["step_id"]
    assert parents["lookup"] == ended["chat gpt-4o-mini"]["step_id"]
    assert ended["chat gpt-4o-mini"]["type"] == "llm"
    assert ended["chat gpt-4o-mini"]["preview_output"] == "key [masked]"
    assert (task["input_tokens"], task["output_tokens"]) == (1000, 100)
