"""Steps as text: a tree that a test compares, and one with contents for snapshot files."""

import json
from collections.abc import Callable, Iterable
from difflib import unified_diff
from textwrap import dedent

from ams.testing.steps import RecordedStep

DIFF_LINES_MAX = 200
_LINE_CHARS_MAX = 100


class Tree(str):
    """A text that is equal to another one without its common indentation and the empty lines around it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return normal(self) == normal(other) if isinstance(other, str) else NotImplemented

    def __ne__(self, other: object) -> bool:  # str has one of its own
        return not self == other

    __hash__ = str.__hash__


def normal(text: str) -> str:
    """Without common indentation, spaces at ends of lines, and empty lines around."""
    return "\n".join(line.rstrip() for line in dedent(text).strip("\n").rstrip().splitlines())


def difference(expected: str, recorded: str) -> list[str]:
    """Lines with ``-`` are only expected, lines with ``+`` only recorded; two lines around them, at most 200 lines."""
    lines = list(unified_diff(normal(expected).splitlines(), normal(recorded).splitlines(), n=2, lineterm=""))[2:]
    shown = ["..." if line.startswith("@@") else line for line in lines]
    return shown[1:DIFF_LINES_MAX] if shown[:1] == ["..."] else shown[:DIFF_LINES_MAX]


def tree_of(steps: Iterable[RecordedStep]) -> Tree:
    """A line per step, indented by two spaces per level."""
    return Tree(_lines(steps, lambda _: []))


def contents_of(steps: Iterable[RecordedStep]) -> str:
    """The tree with model, tokens, inputs, outputs and log lines; without times and ids."""
    return _lines(steps, _details)


def _lines(steps: Iterable[RecordedStep], details: Callable[[RecordedStep], list[str]]) -> str:
    steps = list(steps)
    known = {step.id for step in steps}
    below: dict[str | None, list[RecordedStep]] = {}
    for step in steps:
        # a parent that was not recorded is a span of OpenTelemetry, or a step of another process
        below.setdefault(step.parent_id if step.parent_id in known else None, []).append(step)
    lines: list[str] = []
    waiting = [(step, 0) for step in reversed(below.get(None, []))]
    while waiting:
        step, level = waiting.pop()
        lines.extend("  " * level + line for line in (step.title, *details(step)))
        waiting.extend((child, level + 1) for child in reversed(below.get(step.id, [])))
    return "\n".join(lines)


def _details(step: RecordedStep) -> list[str]:
    lines: list[str] = []
    if step.model is not None:
        lines.append(f"| model {step.model}")
    if step.usage is not None:
        lines.append(f"| tokens {step.usage.input or 0} + {step.usage.output or 0}")
    for name, value in (("input", step.input), ("output", step.output)):
        if value is not None:
            lines.extend(_content(name, value))
    for line in step.logs:
        lines.extend(_content(line.level, line.text))
    return lines


def _content(name: str, value: object) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        return [f"| {name}", *(f"|   {line}".rstrip() for line in value.splitlines())]
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) <= _LINE_CHARS_MAX or isinstance(value, str):
        return [f"| {name} {text}"]
    return [f"| {name}", *(f"|   {line}" for line in json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2).splitlines())]
