"""What tools answer. Fields without a value are left out, because a model pays for every character."""

from typing import NotRequired

from typing_extensions import TypedDict


class TaskLine(TypedDict):
    """A task of a list. ``cost`` and ``duration`` are written for people."""

    task: str
    name: str
    status: str
    started: NotRequired[str]
    duration: NotRequired[str]
    agent: NotRequired[str]
    steps: int
    errors: NotRequired[int]
    tokens: NotRequired[int]
    cost: NotRequired[str]
    error: NotRequired[str]
    input: NotRequired[str]
    output: NotRequired[str]


class TaskList(TypedDict):
    """Tasks, newest first. ``next`` says how to continue."""

    tasks: list[TaskLine]
    next: NotRequired[str]


class StepLine(TypedDict):
    """A step of a list."""

    task: str
    step: str
    type: str
    name: str
    status: str
    started: NotRequired[str]
    duration: NotRequired[str]
    model: NotRequired[str]
    tokens: NotRequired[str]
    cost: NotRequired[str]
    error: NotRequired[str]
    input: NotRequired[str]
    output: NotRequired[str]


class StepList(TypedDict):
    """Steps across tasks, newest first. ``next`` says how to continue."""

    steps: list[StepLine]
    next: NotRequired[str]


class TreeAnswer(TypedDict):
    """The outline of a task's tree: one step a line, indented by its depth, with the step's id at the end."""

    task: TaskLine
    tree: str
    shown: int
    of: int
    next: NotRequired[str]


class PayloadPart(TypedDict):
    """A part of a payload. ``from_character`` and ``characters`` say which; ``absent`` says why there is no text."""

    slot: str
    text: NotRequired[str]
    from_character: NotRequired[int]
    characters: NotRequired[int]
    truncated_by_the_agent: NotRequired[bool]
    absent: NotRequired[str]


class StepDetail(TypedDict):
    """A step with parts of its payloads. ``next`` says how to read on."""

    step: StepLine
    parent: NotRequired[str]
    facts: dict[str, str]
    payloads: list[PayloadPart]
    next: NotRequired[str]


class DifferenceLine(TypedDict):
    """A step that only one task has, or that differs in both. ``what`` is ``only in a``, ``only in b`` or what changed."""

    what: str
    path: str
    a: NotRequired[str]
    b: NotRequired[str]


class ComparisonAnswer(TypedDict):
    """Two tasks side by side."""

    a: TaskLine
    b: TaskLine
    matched_steps: int
    differences: list[DifferenceLine]
    next: NotRequired[str]


class ErrorGroup(TypedDict):
    """Failed steps of one name and error. ``task`` and ``step`` are the latest of them."""

    count: int
    type: str
    name: str
    error: str
    latest: str
    task: str
    step: str


class ErrorSummary(TypedDict):
    """The failures of the last minutes, the most frequent first. ``failed_steps`` were looked at."""

    since: str
    failed_steps: int
    groups: list[ErrorGroup]
    next: NotRequired[str]


class StatisticsLine(TypedDict):
    """Ended steps of one group."""

    key: str
    steps: int
    errors: int
    tokens: int
    cost: NotRequired[str]
    median: NotRequired[str]
    p95: NotRequired[str]


class StatisticsAnswer(TypedDict):
    """Statistics over complete UTC hours."""

    since: str
    until: str
    groups: list[StatisticsLine]
    next: NotRequired[str]
