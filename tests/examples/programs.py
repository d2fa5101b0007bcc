"""The programs of ``examples/``: how each is run without a platform, and what it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from ams.testing.steps import steps_of
from ams.testing.tree import contents_of
from ams_contracts.native import NativeRequest

ROOT = Path(__file__).parents[2]
TREES = Path(__file__).parent / "trees"
_ADDRESS = re.compile(r'("port": )\d+')


class Program(Struct, frozen=True, kw_only=True):
    """A program, its answers on stdin, its exit code and what it prints."""

    name: str
    typed: str = ""
    code: int = 0
    printed: str


PROGRAMS = [
    Program(name="two_processes", printed="The museum opens at 10.\n"),
    Program(
        name="human_in_the_loop",
        typed="y\n",
        printed="Refund 80.00 euros for order 17? [y/n] 80.00 euros for order 17 are on their way\n",
    ),
    Program(name="streaming", printed="(One sentence about otters.)\nOtters sleep hand in hand.\n"),
    Program(name="mcp_agent", printed="Shelf 7\n"),
    Program(name="failing_agent", code=1, printed=""),
]


class Done(Struct, frozen=True):
    """What a program left."""

    code: int
    printed: str
    errors: str
    tree: str
    task_ids: set[str]


def run(program: Program, folder: Path) -> Done:
    """Run a program to its end, with its events in a file."""
    events = folder / "events.jsonl"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMS_", "OTEL_"))}
    environment |= {"AMS_TRANSPORT": "file", "AMS_TRANSPORT_FILE": str(events)}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{program.name}.py")],
        env=environment, cwd=folder, input=program.typed, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    requests = [msgspec.json.decode(line, type=NativeRequest) for line in events.read_bytes().splitlines()]
    recorded = [(batch.task_id, event) for request in requests for batch in request.batches for event in batch.events]
    steps = steps_of(recorded)
    tree = _ADDRESS.sub(r"\1PORT", contents_of(steps)) + "\n"
    return Done(ended.returncode, ended.stdout, ended.stderr, tree, {step.task_id for step in steps})


def expected(name: str) -> str:
    """The steps as they were recorded."""
    return (TREES / f"{name}.txt").read_text(encoding="utf-8")
