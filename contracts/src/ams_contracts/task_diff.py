"""What differs between two tasks: their trees aligned by type and name of the steps, level by level."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct

from ams_contracts.human import cut
from ams_contracts.task_tree import NAME_CHARS_MAX, TaskTree, TreeStep

ALIGNED_CHILDREN_MAX = 400
"""Children of one step that are aligned in order, which takes time in the square of their number. Beyond, the n-th of a name meets the n-th."""

PATH_CHARS_MAX = 300

Kind = Literal["only_a", "only_b", "changed"]


class Difference(Struct, frozen=True, kw_only=True):
    """A step that only one task has, or a pair of steps that differ in status or model.

    Attributes:
        path: Names from the root, joined by `` > ``.
        a: The step of the first task; null when it has none there.
        b: The same of the second task.
        below: Steps below it that are not listed one by one, because only one task has their parent.
    """

    kind: Kind
    path: str
    a: TreeStep | None
    b: TreeStep | None
    below: int = 0


class Comparison(Struct, frozen=True, kw_only=True):
    """Two tasks side by side.

    Attributes:
        matched: Pairs of steps of the same type and name in the same place.
        differences: In the order of the trees.
    """

    matched: int
    differences: list[Difference]


def compare(a: TaskTree, b: TaskTree) -> Comparison:
    """Align two trees and list what differs."""
    below_a, below_b = a.below()[0], b.below()[0]
    matched = 0
    differences: list[Difference] = []
    stack: list[tuple[int, int, str] | Difference] = []

    def push(children_a: list[int], children_b: list[int], path: str) -> None:
        found: list[tuple[int, int, str] | Difference] = []
        for left, right in _aligned(a, children_a, b, children_b):
            if left is not None and right is not None:
                found.append((left, right, _extended(path, a.steps[left].name)))
            elif left is not None:
                step = a.steps[left]
                found.append(Difference(kind="only_a", path=_extended(path, step.name), a=step, b=None, below=below_a[left]))
            elif right is not None:
                step = b.steps[right]
                found.append(Difference(kind="only_b", path=_extended(path, step.name), a=None, b=step, below=below_b[right]))
        stack.extend(reversed(found))

    push(a.roots, b.roots, "")
    while stack:
        item = stack.pop()
        if isinstance(item, Difference):
            differences.append(item)
            continue
        left, right, path = item
        matched += 1
        step_a, step_b = a.steps[left], b.steps[right]
        if (step_a.status, step_a.model) != (step_b.status, step_b.model):
            differences.append(Difference(kind="changed", path=path, a=step_a, b=step_b))
        push(a.children[left], b.children[right], path)
    return Comparison(matched=matched, differences=differences)


def _extended(path: str, name: str) -> str:
    """The path of a child. Of a deep tree the beginning is left out, so that all paths together stay small."""
    longer = f"{path} > {cut(name, NAME_CHARS_MAX)}" if path else cut(name, NAME_CHARS_MAX)
    return longer if len(longer) <= PATH_CHARS_MAX else f"… > {longer[-PATH_CHARS_MAX:].partition(' > ')[2] or longer[-NAME_CHARS_MAX:]}"


def _key(step: TreeStep) -> tuple[str, str]:
    return step.type, step.name


def _aligned(a: TaskTree, children_a: list[int], b: TaskTree, children_b: list[int]) -> Iterator[tuple[int | None, int | None]]:
    keys_a, keys_b = [_key(a.steps[index]) for index in children_a], [_key(b.steps[index]) for index in children_b]
    if len(keys_a) > ALIGNED_CHILDREN_MAX or len(keys_b) > ALIGNED_CHILDREN_MAX:
        yield from _aligned_by_count(keys_a, children_a, keys_b, children_b)
        return
    for word, from_a, to_a, from_b, to_b in SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_opcodes():
        if word == "equal":
            yield from zip(children_a[from_a:to_a], children_b[from_b:to_b], strict=True)
            continue
        yield from ((index, None) for index in children_a[from_a:to_a])
        yield from ((None, index) for index in children_b[from_b:to_b])


def _aligned_by_count(
    keys_a: list[tuple[str, str]], children_a: list[int], keys_b: list[tuple[str, str]], children_b: list[int]
) -> Iterator[tuple[int | None, int | None]]:
    waiting: dict[tuple[str, str], list[int]] = {}
    for key, index in zip(reversed(keys_b), reversed(children_b), strict=True):
        waiting.setdefault(key, []).append(index)
    for key, index in zip(keys_a, children_a, strict=True):
        others = waiting.get(key)
        yield index, others.pop() if others else None
    rest = {index for others in waiting.values() for index in others}
    yield from ((None, index) for index in children_b if index in rest)
