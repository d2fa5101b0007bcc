"""Agents that are killed with SIGKILL at random instants lose nothing that a step's call had returned for, and nothing arrives twice.

    python -m tests.load.killed_agents --agents 200
    python -m tests.load.killed_agents --agents 200 --transport kafka

Starts a platform of its own. Each agent is a forked process with ``spool="always"`` that writes the id of each step to a file after the step's call has
returned. When all are killed, ``ams flush`` sends what they left, and the steps of the platform are compared with the files. Prints a JSON line; the
exit code is 1 when a step is missing or counted twice.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.client import Account, Project
from tests.installation import Platform

import ams

# before the forks: agents would spend their lives with importing
for module in ("ams.sending.client", "ams.sending.kafka", "ams.setting_sources"):
    import_module(module)

LIFE_SECONDS = (0.0, 1.0)
START_SECONDS_MAX = 30.0
SETTLE_SECONDS = 120.0
AMS = str(Path(sys.executable).with_name("ams"))


def work(key: str, url: str, transport: str, spool: Path, ledger: Path) -> None:
    """Trace steps until the end, which comes from outside."""
    options: dict[str, Any] = {"transport": transport, "spool": "always", "spool_dir": str(spool)}
    ams.init(key, endpoint=url, announce=False, flush_interval_seconds=0.02, **options)
    written = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with ams.task("killed") as task:
        while True:
            with ams.tool("step") as step:
                step.output = "x" * 100
            os.write(written, f"{task.task_id} {step.step_id}\n".encode())
            time.sleep(random.uniform(0, 0.01))


def start(key: str, url: str, transport: str, folder: Path, number: int) -> int:
    """Fork an agent; the parent has no thread of the SDK, because it never calls ``ams.init``."""
    child = os.fork()
    if child == 0:
        try:
            work(key, url, transport, folder / "spool", folder / f"agent-{number}.txt")
        finally:
            os._exit(3)
    return child


def kill_all(key: str, url: str, arguments: argparse.Namespace, folder: Path) -> None:
    """Start the agents, a few at a time, and kill each at an instant of its own after its first step."""
    starting: dict[int, tuple[Path, float]] = {}
    alive: dict[int, float] = {}
    begun = 0
    while begun < arguments.agents or starting or alive:
        while begun < arguments.agents and len(starting) + len(alive) < arguments.parallel:
            starting[start(key, url, arguments.transport, folder, begun)] = folder / f"agent-{begun}.txt", time.monotonic()
            begun += 1
        for pid, (ledger, since) in list(starting.items()):
            if (ledger.exists() and ledger.stat().st_size) or time.monotonic() - since > START_SECONDS_MAX:
                del starting[pid]
                alive[pid] = time.monotonic() + random.uniform(*LIFE_SECONDS)
        for pid in [pid for pid, end in alive.items() if time.monotonic() >= end]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del alive[pid]
        time.sleep(0.002)


def flush(key: str, url: str, arguments: argparse.Namespace, folder: Path) -> None:
    """Send what the agents left, with the command for it."""
    names = {"AMS_API_KEY": key, "AMS_ENDPOINT": url, "AMS_SPOOL_DIR": str(folder / "spool")}
    while True:
        command = [AMS, "flush", "--json", "--timeout", str(SETTLE_SECONDS)]
        done = subprocess.run(command, env=os.environ | names, capture_output=True, text=True, check=False)
        if done.returncode == 0 and json.loads(done.stdout)["found"] == 0:
            return
        if done.returncode == 2:
            raise RuntimeError(done.stderr)


def ledger_of(folder: Path) -> dict[str, set[str]]:
    """Task -> the ids of its steps whose calls returned. A last line without an end is not one."""
    tasks: dict[str, set[str]] = {}
    for path in folder.glob("agent-*.txt"):
        for line in path.read_text(encoding="ascii").split("\n")[:-1]:
            task_id, step_id = line.split()
            tasks.setdefault(task_id, set()).add(step_id)
    return tasks


def compare(project: Project, tasks: dict[str, set[str]]) -> dict[str, int]:
    """What the platform has, once nothing changes any more or all is there."""
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + SETTLE_SECONDS
    for task_id, expected in tasks.items():
        while True:
            found = [row["step_id"] for row in project.items(f"tasks/{task_id}/steps")]
            if expected <= set(found) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        counts["steps"] += len(expected)
        counts["lost"] += len(expected - set(found))
        counted = project.get(f"tasks/{task_id}")["task"]["steps"]
        counts["twice"] += len(found) - len(set(found)) + max(0, counted - len(set(found)))
    return {name: counts[name] for name in ("steps", "lost", "twice")}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--transport", choices=["https", "kafka"], default="https")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ams-killed-") as name:
        folder = Path(name)
        platform = Platform(folder / "data")
        try:
            platform.start()
            project = Account(platform.url).project()
            kill_all(project.key, platform.url, arguments, folder)
            tasks = ledger_of(folder)
            flush(project.key, platform.url, arguments, folder)
            result = compare(project, tasks)
        finally:
            platform.stop()
    print(
        json.dumps({"load": "killed_agents", "transport": arguments.transport, "agents": arguments.agents, "tasks": len(tasks), **result})
    )
    return 1 if result["lost"] or result["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
