"""A task as text: one line a step, with what must not change from run to run."""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from tests import reference

from ams_contracts.derive import derive
from ams_trace_ingest.intake.otlp import Encoding

WORDS_MAX = 60
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Line(Struct, frozen=True, kw_only=True):
    """What a step's line shows; ``tokens`` are those that count."""

    step_id: str
    parent: str | None
    order: tuple[int, int, str]
    type: str
    name: str
    agent: str | None
    model: str | None
    tokens: tuple[int, int]
    asked: str | None
    answered: str | None
    error: str | None


def of_posts(bodies: Iterable[bytes]) -> tuple[str, tuple[int, int]]:
    """Everything that OTLP JSON requests say, without servers: the trees, and the tokens that count."""
    steps = reference.folded(reference.mapped(bodies, Encoding.JSON))
    counted = reference.counted_steps({key: state.document for key, state in steps.items() if state.document is not None})
    tasks: dict[str, list[Line]] = {}
    for task_id in {task_id for task_id, _ in steps}:
        states = {step_id: state for (of_task, step_id), state in steps.items() if of_task == task_id}
        derived = derive([one for step_id, state in states.items() if (one := reference.derive_step_of(step_id, state)) is not None])
        tasks[task_id] = []
        for step_id, state in states.items():
            document = state.document
            assert document is not None
            count = counted[task_id, step_id]
            failed = document.error is not None
            tasks[task_id].append(
                Line(
                    step_id=step_id,
                    parent=document.parent_step_id,
                    order=(document.started_at_us or 0, document.seq, step_id),
                    type=document.type.value,
                    name=document.name,
                    agent=derived.steps[step_id].agent,
                    model=document.model,
                    tokens=(count.input_tokens, count.output_tokens),
                    asked=document.preview_input,
                    answered=document.preview_output,
                    error=document.error.message if failed and document.error is not None else None,
                )
            )
    total = (sum(one.input_tokens for one in counted.values()), sum(one.output_tokens for one in counted.values()))
    return _texts(tasks), total


def of_rows(tasks: dict[str, list[dict[str, Any]]]) -> str:
    """The same from the steps that the query API lists, by task."""
    return _texts(
        {
            task_id: [
                Line(
                    step_id=row["step_id"],
                    parent=row["parent_step_id"],
                    order=(row["started_at_us"] or 0, row["seq"], row["step_id"]),
                    type=row["type"],
                    name=row["name"],
                    agent=row["agent"],
                    model=row["model"],
                    tokens=_tokens(row) if row["counted"] else (0, 0),
                    asked=row["preview_input"],
                    answered=row["preview_output"],
                    error=row["error"]["message"] if row["error"] else None,
                )
                for row in rows
            ]
            for task_id, rows in tasks.items()
        }
    )


def _tokens(row: dict[str, Any]) -> tuple[int, int]:
    usage = row["usage"] or {}
    return usage.get("input") or 0, usage.get("output") or 0


def _texts(tasks: dict[str, list[Line]]) -> str:
    """The tasks in a stable order, largest first: of concurrent ones the first to start is a matter of luck."""
    texts = ["\n".join(_tree(lines)) for lines in tasks.values()]
    return "\n\n".join(sorted(texts, key=lambda text: (-text.count("\n"), text))) + "\n"


def _tree(lines: list[Line]) -> list[str]:
    known = {line.step_id for line in lines}
    below: dict[str | None, list[Line]] = {}
    for line in sorted(lines, key=lambda one: one.order):
        below.setdefault(line.parent if line.parent in known else None, []).append(line)
    found: list[str] = []
    stack = [(line, 0) for line in reversed(below.get(None, []))]
    while stack:
        line, depth = stack.pop()
        found.append("  " * depth + _text(line))
        stack += [(one, depth + 1) for one in reversed(below.get(line.step_id, []))]
    return found


def _text(line: Line) -> str:
    parts = [line.type, _words(line.name), f"by {_words(line.agent)}"]
    if line.model is not None:
        parts.append(f"with {line.model}")
    if line.tokens != (0, 0):
        parts.append(f"{line.tokens[0]}+{line.tokens[1]} tokens")
    if line.asked:
        parts.append(f"<- {_words(line.asked)}")
    if line.answered:
        parts.append(f"-> {_words(line.answered)}")
    if line.error is not None:
        parts.append(f"! {_words(line.error)}")
    return " ".join(parts)


def _words(text: str | None) -> str:
    return _ID.sub("ID", text or "nobody")[:WORDS_MAX].rstrip()
