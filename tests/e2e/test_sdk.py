"""Programs that use the SDK, against the complete platform: the query API returns what they sent."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
AGENT = """
import asyncio
import ams

ams.init(announce=False, heartbeat_seconds=0.5)


@ams.tool
def lookup(city: str) -> dict[str, int]:
    if city == "Atlantis":
        raise LookupError("no such city")
    return {"celsius": 21}


@ams.agent
async def guide(question: str) -> str:
    try:
        lookup("Atlantis")
    except LookupError:
        lookup("Paris")
    with ams.llm("answer", input=[{"role": "user", "content": question}]) as step:
        for word in ("21 ", "degrees"):
            step.delta(word)
            await asyncio.sleep(0.1)
        step.set(provider="openai").model = "gpt-4o-mini"
        step.usage(input=1000, output=100)
    with ams.step("approve") as step, step.waiting("for a person"):
        print("waiting", flush=True)
        input()
    return "21 degrees"


with ams.task("Weather", user_id="ada", tags={"tier": "gold"}) as task:
    print(task.task_id, flush=True)
    task.output = asyncio.run(guide("How warm is it in Paris?"))
assert ams.flush(30).complete
"""


@pytest.fixture
def project(platform: Platform) -> Project:
    return Account(platform.url).project("sdk")


def environment(platform: Platform, key: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AMS_")} | {
        "AMS_ENDPOINT": platform.url,
        "AMS_API_KEY": key,
    }


def begin(platform: Platform, project: Project) -> tuple[subprocess.Popen[str], str]:
    """The agent, waiting for its person, and its task."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT], env=environment(platform, project.key), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert agent.stdout is not None
    task_id = agent.stdout.readline().strip()
    assert agent.stdout.readline() == "waiting\n"
    return agent, task_id


def steps(project: Project, task_id: str) -> dict[str, Any]:
    return {step["name"]: step for step in project.items(f"tasks/{task_id}/steps")}


def test_a_task_can_be_watched_while_it_runs_and_is_whole_in_the_end(platform: Platform, project: Project) -> None:
    agent, task_id = begin(platform, project)

    open_task = eventually(lambda: tasks(project), lambda found: [task["status"] for task in found] == ["waiting"])[0]
    agent.communicate("yes\n", timeout=60)
    ended = eventually(lambda: tasks(project), lambda found: found[0]["status"] == "ok")[0]

    assert (open_task["task_id"], open_task["name"], open_task["agent"]) == (task_id, "Weather", "guide")
    assert open_task["waiting_steps"] == 1
    assert agent.returncode == 0
    assert (ended["steps"], ended["errors"], ended["running_steps"]) == (6, 1, 0)
    assert (ended["input_tokens"], ended["output_tokens"], ended["cost_usd"]) == (1000, 100, "0.00021")
    assert (ended["user_id"], ended["tags"]) == ("ada", {"tier": "gold"})
    sent = steps(project, task_id)
    assert set(sent) == {"Weather", "guide", "lookup", "answer", "approve"}
    assert sent["guide"]["parent_step_id"] == sent["Weather"]["step_id"]
    assert sent["answer"]["preview_output"] == "21 degrees"


def tasks(project: Project) -> list[dict[str, Any]]:
    return project.get("tasks")["items"]


def test_payloads_are_what_went_in_and_came_out(platform: Platform, project: Project) -> None:
    agent, task_id = begin(platform, project)
    agent.communicate("yes\n", timeout=60)
    answer = eventually(lambda: steps(project, task_id).get("answer"), lambda step: step is not None and step["status"] == "ok")
    assert answer is not None

    def payloads() -> dict[str, Any]:
        found = project.get(f"tasks/{task_id}/steps/{answer['step_id']}")["payloads"]
        return {payload["slot"]: payload for payload in found}

    found = eventually(payloads, lambda slots: slots["output"]["text"] is not None and slots["input"]["text"] is not None)
    assert found["output"]["text"] == "21 degrees"
    assert found["input"]["mime"] == "application/vnd.ams.messages+json"
    assert "How warm is it in Paris?" in found["input"]["text"]


def test_a_killed_agent_leaves_what_it_had_sent(platform: Platform, project: Project) -> None:
    agent, task_id = begin(platform, project)
    eventually(lambda: tasks(project), lambda found: [task["status"] for task in found] == ["waiting"])

    agent.kill()
    agent.wait()

    assert steps(project, task_id)["answer"]["status"] == "ok"
    [task] = tasks(project)
    assert task["status"] == "waiting"


def test_sigterm_is_no_loss(platform: Platform, project: Project) -> None:
    agent, task_id = begin(platform, project)

    agent.terminate()

    assert agent.wait(30) == -signal.SIGTERM
    sent = eventually(lambda: steps(project, task_id), lambda found: "approve" in found and found["approve"]["status"] != "waiting")
    assert sent["approve"]["status"] == "cancelled"


@pytest.mark.parametrize("program", ["quickstart.py", "otel_quickstart.py"])
def test_the_first_traces_arrive(platform: Platform, project: Project, program: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / program)],
        env=environment(platform, project.key), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    [task] = eventually(lambda: tasks(project), lambda found: [task["status"] for task in found] == ["ok"])
    assert (task["name"], task["steps"]) == ("What is six times seven?", 2)


def test_check_says_that_all_is_well(platform: Platform, project: Project) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ams")), "check"],
        env=environment(platform, project.key), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    [task] = eventually(lambda: tasks(project), lambda found: len(found) == 1)
    assert task["task_id"] in done.stdout


def test_a_wrong_key_gives_a_clear_warning(platform: Platform) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ams")), "check"],
        env=environment(platform, "ams_nonsense"), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "does not accept the API key" in done.stderr


def test_a_task_shows_what_its_agent_had_to_drop(platform: Platform, project: Project) -> None:
    program = """
import ams, threading
ams.init(announce=False, waiting_items_max=200, follow_threads=True)
def loop():
    for _ in range(1_000):
        with ams.step("s"):
            pass
with ams.task("loop") as task:  # one thread is slowed down to what can be sent; a hundred are too many
    threads = [threading.Thread(target=loop) for _ in range(100)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(task.task_id, ams.flush(60).dropped)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(platform, project.key), capture_output=True, text=True, timeout=120, check=True
    )
    task_id, dropped = done.stdout.split()

    [producer] = eventually(
        lambda: list(project.items(f"tasks/{task_id}/delivery")),
        lambda found: bool(found) and found[0]["dropped"] == {"queue_full": int(dropped)},
    )

    assert int(dropped) > 0
    assert producer["gaps"] == []
    assert "queue of events is full" in done.stderr
