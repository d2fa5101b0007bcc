"""The tree of a task for programs and people outside a browser: read from a skeleton, and outlined within a budget.

The command line and the tools of coding agents show the same lines.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.human import cost_text, count_text, cut, duration_text

NAME_CHARS_MAX = 60
CHILDREN_MAX = 25
"""Steps that an outline shows below one step before it sums up the rest."""

FAILED = frozenset({"error", "lost"})
FAILED_EXTRA_MAX = 5
"""Failed steps that an outline shows besides these."""


class _Columns(Struct, frozen=True):
    step_id: list[str]
    parent: list[int]
    type: list[int]
    name: list[int]
    agent: list[int]
    status: list[int]
    start: list[int | None]
    duration: list[int | None]
    model: list[int]
    input_tokens: list[int | None]
    output_tokens: list[int | None]
    cost_nusd: list[int | None]


class _Skeleton(Struct, frozen=True):
    task_id: str
    complete: bool
    base_us: int
    types: list[str]
    names: list[str]
    agents: list[str]
    statuses: list[str]
    models: list[str]
    columns: _Columns


class TreeStep(Struct, frozen=True, gc=False, kw_only=True):
    """A step in its tree.

    Attributes:
        parent: Index of the parent in the tree's steps; negative: it is a root, or its parent is not known.
        start_us: Microseconds since the first step of the task; null when unknown.
        duration_us: Microseconds; null while it runs.
    """

    step_id: str
    parent: int
    type: str
    name: str
    agent: str | None = None
    status: str
    start_us: int | None = None
    duration_us: int | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nusd: int | None = None


class TaskTree(Struct, frozen=True, kw_only=True):
    """The steps of a task in order of time, with the indexes of the children of each.

    Attributes:
        complete: Whether these are all steps of the task.
        base_us: Microseconds UTC of the first step.
        children: Per step, the indexes of the steps directly below it.
        roots: The indexes of steps without a known parent.
    """

    task_id: str
    complete: bool
    base_us: int
    steps: list[TreeStep]
    children: list[list[int]]
    roots: list[int]

    def index_of(self, step_id: str) -> int | None:
        """The index of a step; null when the tree does not have it."""
        return next((index for index, step in enumerate(self.steps) if step.step_id == step_id), None)

    def below(self) -> tuple[list[int], list[int]]:
        """Per step, how many steps are below it at any depth, and how many of these failed."""
        counts, failed = [0] * len(self.steps), [0] * len(self.steps)
        order = [index for index, _ in self.depth_first()]
        for index in reversed(order):
            for child in self.children[index]:
                counts[index] += counts[child] + 1
                failed[index] += failed[child] + (self.steps[child].status in FAILED)
        return counts, failed

    def depth_first(self) -> Iterator[tuple[int, int]]:
        """Index and depth of every step, parents before children."""
        stack = [(root, 0) for root in reversed(self.roots)]
        while stack:
            index, depth = stack.pop()
            yield index, depth
            stack += [(child, depth + 1) for child in reversed(self.children[index])]


_skeleton = msgspec.json.Decoder(_Skeleton)


def read_tree(skeleton: bytes) -> TaskTree:
    """Read the answer of ``GET /api/traces/{project}/tasks/{task}/skeleton``.

    Raises:
        msgspec.MsgspecError: It is something else.
    """
    read = _skeleton.decode(skeleton)
    columns = read.columns

    def word(values: list[str], index: int) -> str | None:
        return values[index] if index >= 0 else None

    steps = [
        TreeStep(
            step_id=columns.step_id[row],
            parent=columns.parent[row],
            type=word(read.types, columns.type[row]) or "span",
            name=word(read.names, columns.name[row]) or "",
            agent=word(read.agents, columns.agent[row]),
            status=word(read.statuses, columns.status[row]) or "running",
            start_us=columns.start[row],
            duration_us=columns.duration[row],
            model=word(read.models, columns.model[row]),
            input_tokens=columns.input_tokens[row],
            output_tokens=columns.output_tokens[row],
            cost_nusd=columns.cost_nusd[row],
        )
        for row in range(len(columns.step_id))
    ]
    return make_tree(read.task_id, steps, base_us=read.base_us, complete=read.complete)


def make_tree(task_id: str, steps: list[TreeStep], *, base_us: int = 0, complete: bool = True) -> TaskTree:
    """Link steps to a tree. A parent that is not among them makes a root; cycles must have been opened."""
    children: list[list[int]] = [[] for _ in steps]
    roots: list[int] = []
    for index, step in enumerate(steps):
        (children[step.parent] if 0 <= step.parent < len(steps) else roots).append(index)
    return TaskTree(task_id=task_id, complete=complete, base_us=base_us, steps=steps, children=children, roots=roots)


def facts_of(step: TreeStep) -> list[str]:
    """What a line says of a step after its name: model, status when it is not ok, duration, tokens, cost."""
    facts = [step.model] if step.model else []
    if step.status != "ok":
        facts.append(step.status.upper() if step.status in FAILED else step.status)
    if step.duration_us is not None:
        facts.append(duration_text(step.duration_us))
    if step.input_tokens is not None or step.output_tokens is not None:
        facts.append(f"{count_text(step.input_tokens or 0)}+{count_text(step.output_tokens or 0)} tokens")
    if step.cost_nusd is not None:
        facts.append(cost_text(step.cost_nusd))
    return facts


def line_of(step: TreeStep) -> str:
    """A step on one line: type, name, facts and id."""
    return ", ".join([f"{step.type} {cut(step.name, NAME_CHARS_MAX) or '(no name)'}", *facts_of(step)]) + f" [{step.step_id}]"


class Outline(Struct, frozen=True, kw_only=True):
    """Some lines of a tree.

    Attributes:
        lines: Each indented by two spaces per level.
        shown: Steps that have a line.
        total: Steps at and below where the outline starts.
        next_offset: Where the outline continues at its first level; null when that level is complete.
        closed: Ids of steps whose children are not all shown, those with failures first.
    """

    lines: list[str]
    shown: int
    total: int
    next_offset: int | None
    closed: list[str]


def outline(
    tree: TaskTree,
    *,
    characters_max: int,
    under: int | None = None,
    offset: int = 0,
    depth_max: int = 64,
    children_max: int = CHILDREN_MAX,
) -> Outline:
    """Outline a tree within a budget: as many levels as fit, and below a step with many children the first and some failed ones.

    Args:
        tree: The tree.
        characters_max: Of all lines together. At least one line is shown.
        under: Index of the step to start at; null: the roots.
        offset: Leave out this many children of the step at which the outline starts (or roots).
        depth_max: Levels below the start.
        children_max: Children of one step that are shown one by one.
    """
    counts, failed = tree.below()
    first = (tree.children[under] if under is not None else tree.roots)[offset:]
    total = sum(counts[index] + 1 for index in first)
    best = Outline(lines=[], shown=0, total=total, next_offset=None, closed=[])
    for depth in range(1, max(depth_max, 1) + 1):
        writer = _Writer(tree, counts, failed, children_max, characters_max)
        writer.write(first, depth)
        if best.lines and writer.is_full:
            break
        shown_first = min(writer.shown_at_first_level, children_max)
        closed = sorted(dict.fromkeys(writer.closed), key=lambda index: -failed[index])
        best = Outline(
            lines=writer.lines,
            shown=writer.shown,
            total=total,
            next_offset=offset + shown_first if shown_first < len(first) else None,
            closed=[tree.steps[index].step_id for index in closed],
        )
        if writer.is_full or not writer.cut_by_depth:
            break
    return best


class _Writer:
    """Writes the lines of one attempt: at most ``characters_left`` of them."""

    def __init__(self, tree: TaskTree, counts: list[int], failed: list[int], children_max: int, characters_left: int) -> None:
        self._tree = tree
        self._counts = counts
        self._failed = failed
        self._children_max = children_max
        self._characters_left = characters_left
        self.lines: list[str] = []
        self.shown = 0
        self.shown_at_first_level = 0
        self.is_full = False
        self.cut_by_depth = False
        self.closed: list[int] = []

    def write(self, first: list[int], levels: int) -> None:
        """Write these siblings and ``levels - 1`` levels below them, depth first."""
        pending: list[int | str] = list(reversed(self._chosen(first, None)))
        depths = [0] * len(pending)
        while pending and not self.is_full:
            item, depth = pending.pop(), depths.pop()
            if isinstance(item, str):
                self._line(depth, item)
                continue
            children = self._tree.children[item]
            is_open = depth + 1 < levels
            below = ""
            if children and not is_open:
                self.cut_by_depth = True
                self.closed.append(item)
                below = f" (+{self._counts[item]} below{f', {self._failed[item]} failed' if self._failed[item] else ''})"
            if not self._line(depth, line_of(self._tree.steps[item]) + below):
                return
            self.shown += 1
            self.shown_at_first_level += depth == 0
            if children and is_open:
                chosen = list(reversed(self._chosen(children, item)))
                pending += chosen
                depths += [depth + 1] * len(chosen)

    def _chosen(self, siblings: list[int], parent: int | None) -> list[int | str]:
        """The siblings to show, and a line about the others."""
        if len(siblings) <= self._children_max:
            return list(siblings)
        rest = siblings[self._children_max :]
        failing = [index for index in rest if self._tree.steps[index].status in FAILED or self._failed[index]]
        extra = failing[:FAILED_EXTRA_MAX]
        words = f"... {len(rest) - len(extra)} more here"
        below = sum(self._counts[index] for index in rest)
        words += f", {below} below them" if below else ""
        words += f", {len(failing) - len(extra)} with failures" if len(failing) > len(extra) else ""
        if parent is not None:
            self.closed.append(parent)
            words += f" (under {self._tree.steps[parent].step_id} from offset {self._children_max})"
        return [*siblings[: self._children_max], *extra, words]

    def _line(self, depth: int, text: str) -> bool:
        line = "  " * depth + text
        self._characters_left -= len(line) + 1
        if self._characters_left < 0 and self.lines:
            self.is_full = True
            return False
        self.lines.append(line)
        return True


def as_json(tree: TaskTree) -> list[dict[str, Any]]:
    """The steps as dictionaries with ``parent_step_id``, for programs."""
    found: list[dict[str, Any]] = []
    for step in tree.steps:
        item = msgspec.structs.asdict(step)
        parent = item.pop("parent")
        item["parent_step_id"] = tree.steps[parent].step_id if parent >= 0 else None
        found.append(item)
    return found
