"""What was acknowledged, held against what the platform answers."""

from tests.client import Project, eventually
from tests.faults.load import TOKENS_IN, TOKENS_OUT, Load

SAMPLE_TASKS = 5
VISIBLE_SECONDS = 60


def check_ledger(project: Project, load: Load) -> None:
    """Each acknowledged step is there once, each total is right."""
    wanted = load.ledger.steps
    tasks = eventually(
        lambda: {task["task_id"]: task for task in project.items("tasks")},
        lambda found: all(task_id in found and found[task_id]["steps"] >= len(steps) for task_id, steps in wanted.items()),
        VISIBLE_SECONDS,
    )
    lost = {task_id: len(steps) - tasks.get(task_id, {"steps": 0})["steps"] for task_id, steps in wanted.items()}
    assert not any(missing > 0 for missing in lost.values()), f"lost: {sum(filter(lambda n: n > 0, lost.values()))} of {load.ledger.count}"
    for task_id, steps in wanted.items():
        task = tasks[task_id]
        skeleton = project.get(f"tasks/{task_id}/skeleton")
        there = skeleton["columns"]["step_id"]
        assert len(there) == len(set(there)) == task["steps"]
        assert steps <= set(there)
        calls = task["steps"] - sum(skeleton["types"][kind] == "agent" for kind in skeleton["columns"]["type"])
        assert (task["input_tokens"], task["output_tokens"]) == (calls * TOKENS_IN, calls * TOKENS_OUT)
    for task_id, steps in list(wanted.items())[:: max(1, len(wanted) // SAMPLE_TASKS)]:
        step_id = min(steps)
        payloads = project.get(f"tasks/{task_id}/steps/{step_id}")["payloads"]
        assert [payload["text"] for payload in payloads if payload["slot"] == "input"] == [f"the input of {step_id}"]
