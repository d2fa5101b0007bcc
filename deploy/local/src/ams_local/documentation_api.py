"""``python -m ams_local.documentation_api [--check]``: writes ``docs/reference/python.md`` from the docstrings of the SDK."""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_overloads

from ams_local.workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "python.md"
GROUPS: dict[str, list[str]] = {
    "Start and end": ["ams.init", "ams.flush", "ams.FlushResult", "ams.shutdown", "ams.instrument"],
    "Steps and tasks": ["ams.step", "ams.tool", "ams.agent", "ams.task", "ams.Step", "ams.Task", "ams.current_step"],
    "Across threads and processes": ["ams.carry", "ams.inject", "ams.extract"],
    "Scores": ["ams.score"],
    "Tests": ["ams.testing.record", "ams.testing.Recorder", "ams.testing.RecordedStep", "ams.testing.CapturedEvents"],
    "Masking and OpenTelemetry": ["ams.masking.Masker", "ams.otel.export.AmsSpanProcessor"],
}
SAME_AS_TOOL = ["llm", "retrieval", "embedding", "rerank", "workflow", "guardrail", "evaluator", "handoff", "memory"]
"""``ams.<word>`` of the same class as ``ams.tool``, each for its own step type."""
LINE_CHARS_MAX = 100
HEAD = """\
# Python API

Every public name of the SDK, made from its docstrings by `./ams fmt`. The [guide](../sdk.md) shows how they are used together.

<!-- noexec page: these blocks are signatures -->
"""
_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$", re.MULTILINE)
_ITEM = re.compile(r"^(\*{0,2}\w+)(?: \([^)]*\))?: ", re.MULTILINE)
_TITLES = {"Args": "argument", "Attributes": "attribute", "Raises": "raises"}
_PLAIN = [
    (re.compile(r" at 0x[0-9a-f]+"), ""),
    (re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])"), ""),  # of a class, its module
    (re.compile(r"'([A-Z]\w*)'"), r"\1"),  # a class that is named before it exists
    (re.compile(r"\*<class '?(?:\w+\.)*(\w+)'?>"), r"Unpack[\1]"),
    (re.compile(r"<factory>"), "..."),
]
"""What ``inspect`` writes for machines -> what a reader expects."""


def find(name: str) -> Any:
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def render() -> str:
    """The page."""
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += _object(name, find(name))
    return "\n".join(parts)


def _object(name: str, thing: Any) -> Iterator[str]:
    yield f"### {name}\n"
    if inspect.isclass(thing):
        yield _signature(name, thing)
        yield from _text(thing)
        yield from _members(thing)
    elif inspect.isfunction(thing):
        yield _signature(name, thing)
        yield from _text(thing)
    else:  # an object that makes steps: what matters is its call with options
        call = type(thing).__call__
        called = get_overloads(call)[-1]
        yield _signature(name, called, bound=True)
        yield from _text(type(thing))
        yield from _text(call)
        if name == "ams.tool":
            yield f"The same for other types: {', '.join(f'`ams.{word}`' for word in SAME_AS_TOOL)}.\n"


def _members(thing: type) -> Iterator[str]:
    """Public methods and properties that the class itself or one of ours above it defines."""
    for member, value in _own(thing):
        raw = inspect.getattr_static(thing, member)
        if isinstance(raw, property):
            yield f"**`{member}`**: {_summary(raw)}\n"
        elif inspect.isfunction(raw) or isinstance(raw, (classmethod, staticmethod)):
            yield _signature(member, value, bound=inspect.isfunction(raw))
            yield from _text(value)


def _own(thing: type) -> list[tuple[str, Any]]:
    names = {name for base in thing.__mro__ if base.__module__.startswith("ams") for name in vars(base)}
    return [(name, getattr(thing, name)) for name in sorted(names) if not name.startswith("_")]


def _signature(name: str, thing: Any, *, bound: bool = False) -> str:
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return f"```python\n{name}(...)\n```\n"
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    signature = signature.replace(parameters=parameters)
    if inspect.isclass(thing):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = name + _plain(str(signature))
    if len(text) > LINE_CHARS_MAX:
        inner = [str(part) for part in _shown(parameters)]
        answer = signature.return_annotation
        arrow = "" if answer is inspect.Signature.empty else f" -> {inspect.formatannotation(answer)}"
        lines = "".join(f"    {_plain(one)},\n" for one in inner)
        text = f"{name}(\n{lines}){_plain(arrow)}"
    return f"```python\n{text}\n```\n"


def _plain(text: str) -> str:
    for pattern, instead in _PLAIN:
        text = pattern.sub(instead, text)
    return text


def _shown(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Parameters as in source, with the marks between kinds."""
    previous: Any = None
    for parameter in parameters:
        if previous is inspect.Parameter.POSITIONAL_ONLY and parameter.kind is not previous:
            yield "/"
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and previous not in (parameter.kind, inspect.Parameter.VAR_POSITIONAL):
            yield "*"
        yield str(parameter)
        previous = parameter.kind


def _summary(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def _text(thing: Any) -> Iterator[str]:
    """A docstring as Markdown: its prose, and a table for each section of items."""
    pieces = _SECTION.split(inspect.getdoc(thing) or "")
    if pieces[0].strip():
        yield _prose(pieces[0]) + "\n"
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        text = textwrap.dedent(body).strip()
        if title in ("Returns", "Yields"):
            yield f"**{title}:** {_prose(text)}\n"
        else:
            yield _table(_TITLES[title], text)


def _table(title: str, text: str) -> str:
    items = _ITEM.split(text)
    rows = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in zip(items[1::2], items[2::2], strict=True)]
    return "\n".join([f"| {title} | |", "|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return " ".join(_prose(text).split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """Double backquotes become single ones; an indented example becomes a block of code."""
    parts: list[str] = []
    for part in re.split(r"\n\n", text.strip().replace("``", "`")):
        indented = all(line.startswith("    ") for line in part.splitlines())
        parts.append(f"```python\n{textwrap.dedent(part)}\n```" if indented else part)
    return "\n\n".join(parts)


def main() -> int:
    """Write the page, or with ``--check`` compare it; then the exit code is 1 when it is stale."""
    text = render()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv:
        sys.stdout.write(f"{PAGE.relative_to(ROOT)} is not what the docstrings say: run ./ams fmt\n")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
