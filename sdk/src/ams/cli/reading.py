"""What the commands that read tasks share: a task named by a person, its tree, and lines for a terminal."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec import Struct

from ams.cli.platform import FAILED, Platform, PlatformError, give_up
from ams_contracts.human import count_text, cut, duration_text, plural
from ams_contracts.task_tree import TaskTree, read_tree

LATEST = "latest"
FIRST_STEPS = 5_000
_TASK_ID = re.compile(r"(?:.*/t(?:asks)?/)?([0-9a-fA-F]{32})(?:[/?#].*)?")

P = ParamSpec("P")
R = TypeVar("R")


class Failure(Struct):
    """Why it failed."""

    type: str | None = None
    message: str | None = None


class TaskRow(Struct):
    """The fields of a task that the commands print."""

    task_id: str
    name: str
    status: str
    steps: int
    errors: int
    input_tokens: int
    output_tokens: int
    duration_us: int | None = None
    cost_usd: str | None = None
    agent: str | None = None
    error: Failure | None = None


class _TaskAnswer(Struct):
    task: TaskRow


class _TaskPage(Struct):
    items: list[TaskRow]


_answer = msgspec.json.Decoder(_TaskAnswer)
_page = msgspec.json.Decoder(_TaskPage)


def reporting(command: Callable[P, R], code: int = FAILED) -> Callable[P, R]:
    """The same command; what the platform refuses becomes one sentence on stderr and the exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except PlatformError as error:
            give_up(str(error), code)

    return run


def find_task(platform: Platform, name: str) -> TaskRow:
    """The task of an id, of the address of its page, or ``latest``.

    Raises:
        PlatformError: There is none.
    """
    if name == LATEST:
        found = _page.decode(platform.get("tasks", limit=1)).items
        if not found:
            raise PlatformError("This project has no task yet. Run the agent, or check the connection with 'ams doctor'.")
        return found[0]
    match = _TASK_ID.fullmatch(name)
    if match is None:
        raise PlatformError(f"{cut(name, 60)!r} is no task. Write its id (32 hex digits), the address of its page, or 'latest'.")
    return _answer.decode(platform.get(f"tasks/{match[1].lower()}")).task


def read_steps(platform: Platform, task: TaskRow) -> TaskTree:
    """The tree of a task; of one that is too large for a skeleton, its first steps."""
    try:
        return read_tree(platform.get(f"tasks/{task.task_id}/skeleton"))
    except PlatformError as error:
        if error.code != "too_large":
            raise
        return read_tree(platform.get(f"tasks/{task.task_id}/skeleton", first=FIRST_STEPS))


def headline(task: TaskRow) -> str:
    """A task on one line."""
    facts = [task.status, duration_text(task.duration_us), plural(task.steps, "step")]
    if task.errors:
        facts.append(f"{task.errors} failed")
    if task.input_tokens or task.output_tokens:
        facts.append(f"{count_text(task.input_tokens)}+{count_text(task.output_tokens)} tokens")
    if task.cost_usd is not None:
        cost = task.cost_usd.rstrip("0").rstrip(".") if "." in task.cost_usd else task.cost_usd
        facts.append(f"${cost or '0'}")
    if task.agent:
        facts.append(task.agent)
    return f"{cut(task.name, 80)}: {', '.join(facts)}"


def as_json(value: Any) -> str:
    """A line of JSON."""
    return msgspec.json.encode(value).decode()
