"""What a person and an agent do in the browser tests."""

import os
import subprocess
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect
from tests.installation import Platform

PATIENCE_MS = 20_000
# every line on stdin lets the agent take its next step: the test decides when something happens
AGENT = """
import ams

ams.init(heartbeat_seconds=0.5)


@ams.tool
def lookup(city: str) -> dict[str, int]:
    if city == "Atlantis":
        raise LookupError("no such city: Atlantis")
    return {"celsius": 21}


with ams.task("Weather report", tags={"tier": "gold"}) as task:
    with ams.step("guide", type="agent") as guide:
        guide.input = "How warm is it in Paris?"
        print(task.task_id, flush=True)
        input()
        try:
            lookup("Atlantis")
        except LookupError:
            lookup("Paris")
        with ams.llm("answer", input=[{"role": "user", "content": "How warm is it?"}]) as step:
            step.delta("It is **21** ")
            input()
            step.delta("degrees")
            step.output = "It is **21** degrees"
        guide.output = "21 degrees"
assert ams.flush(30).complete
"""


def register(page: Page) -> None:
    """Create an account; the page of its empty project is open then."""
    name = f"u{uuid.uuid4().hex[:12]}"
    page.goto("/register")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Email").fill(f"{name}@example.org")
    page.get_by_label("Password").fill("a long and plain sentence")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Send your first task")).to_be_visible(timeout=PATIENCE_MS)


def make_key(page: Page) -> str:
    """Press the button of an empty project; the key that it shows."""
    page.get_by_role("button", name="Create API key").click()
    return page.locator(".key-call code").inner_text()


@contextmanager
def agent(platform: Platform, key: str, folder: Path, source: str = AGENT) -> Generator[subprocess.Popen[str]]:
    """A program that uses the SDK, one line of stdin after the other."""
    program = folder / "agent.py"
    program.write_text(source)
    environment = {**os.environ, "AMS_ENDPOINT": platform.url, "AMS_API_KEY": key, "AMS_SPOOL_DIR": str(folder / "spool")}
    with subprocess.Popen(
        [sys.executable, str(program)], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def resume(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def task_id_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def row(page: Page, name: str) -> Locator:
    return page.locator("[role=treegrid] [role=row]").filter(has=page.get_by_text(name, exact=True))
