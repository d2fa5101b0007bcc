"""Services start long-running tasks only through the supervisor."""

import ast
from collections.abc import Iterator
from pathlib import Path

SERVICES = Path(__file__).parents[2]
STARTS = {"create_task", "ensure_future", "TaskGroup", "start_soon", "run_coroutine_threadsafe"}
AWAITED = {
    "kit/src/ams_kit/background.py": "the supervisor itself",
    "kit/src/ams_kit/bus/tail.py": "a group inside one supervised session",
    "kit/src/ams_kit/testing/revocations.py": "people of a test that use their tokens until the test ends",
    "trace-query/src/ams_trace_query/alerts/deliverer.py": "attempts that a supervised turn awaits or cancels",
    "trace-ingest/src/ams_trace_ingest/projector/pipeline.py": "decoding that its caller awaits",
    "trace-ingest/src/ams_trace_ingest/replay/build.py": "a group that the command awaits",
    "trace-ingest/src/ams_trace_ingest/replay/replay.py": "tasks that the command awaits",
    "trace-ingest/src/ams_trace_ingest/store/connections.py": "a statement that its caller awaits",
    "trace-ingest/src/ams_trace_ingest/store/day_partitions.py": "a COPY that its caller awaits",
}
"""Files that start tasks which end within the call that started them, and why."""


def _starts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in STARTS:
            yield node.attr


def test_only_the_supervisor_starts_long_running_tasks() -> None:
    found = {str(path.relative_to(SERVICES)): sorted(set(_starts(path))) for path in SERVICES.glob("*/src/**/*.py") if any(_starts(path))}

    unsupervised = {path: calls for path, calls in found.items() if path not in AWAITED}
    assert unsupervised == {}, "spawn them with ams_kit.background, or add the file to AWAITED with a reason"
