"""Tree to SQLAlchemy Core. Values are always bound; names come from the field lists below and nowhere else.

A field is a function from a clause to a condition. ``TASK_FIELDS`` and ``STEP_FIELDS`` say which there are.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.documents import CostSource, Status, StepType
from ams_contracts.ids import INT64_MAX
from ams_contracts.tables import steps, tasks
from ams_trace_query.search.text import NO_LOOKUPS, Found, step_contains, task_contains
from ams_trace_query.search.tree import And, Clause, Node, Not, Or, QueryError, Value, Words

Condition = ColumnElement[bool]
Field = Callable[[Clause], Condition]

NANO = 1_000_000_000
_UNITS_US = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000}
_MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s?(us|µs|ms|s|m|min|h)")
_MONEY = re.compile(r"\$?([0-9]{1,10}(?:\.[0-9]{1,9})?)")
_COUNT = re.compile(r"([0-9]{1,18})([kKmM]?)")
_LIKE_SPECIAL = re.compile(r"([\\%_])")


class SearchTarget(Struct, frozen=True):
    """What a query is about.

    Attributes:
        fields: Its fields.
        texts: The columns in which free words are looked for, whatever they are part of.
        other_fields: Fields that exist, but not here: name to a sentence.
    """

    fields: Mapping[str, Field]
    texts: Sequence[ColumnElement[Any]]
    other_fields: Mapping[str, str]


def compile_query(node: Node | None, searched: SearchTarget, in_text: Callable[[Value], Condition | None]) -> Condition | None:
    """The condition that a tree means.

    Args:
        node: From ``parse``: its depth is bounded, so recursion is.
        searched: Tasks or steps.
        in_text: The condition that a word is in the text of it; null when it cannot be.

    Raises:
        QueryError: An unknown field, or a value that its field cannot have.
    """
    match node:
        case None:
            return None
        case And(nodes):
            return and_(*(required(compile_query(part, searched, in_text)) for part in nodes))
        case Or(nodes):
            return or_(*(required(compile_query(part, searched, in_text)) for part in nodes))
        case Not(part):
            # what has no model is not "model:gpt-4o": unknown counts as false before it is negated
            return not_(func.coalesce(required(compile_query(part, searched, in_text)), false()))
        case Words(value):
            pattern = f"%{like_pattern(value)}%"
            written = or_(*(column.ilike(pattern, escape="\\") for column in searched.texts))
            said = in_text(value)
            return written if said is None else or_(written, said)
        case Clause():
            return _field(node, searched.fields, searched.other_fields)(node)


def required(condition: Condition | None) -> Condition:
    """The condition of a part of a query, which has one."""
    if condition is None:
        raise AssertionError("only a whole query can be empty")
    return condition


def _field(clause: Clause, fields: Mapping[str, Field], other_fields: Mapping[str, str]) -> Field:
    field = fields.get(clause.field)
    if field is None:
        if clause.field in other_fields:
            raise QueryError(other_fields[clause.field], column=clause.column, code="unknown_field")
        close = difflib.get_close_matches(clause.field, fields, n=1)
        suggestion = f"{close[0]}:" if close else f"one of {', '.join(fields)}, or quotation marks around words with a colon"
        raise QueryError(f"There is no field {clause.field[:64]!r}.", column=clause.column, code="unknown_field", suggestion=suggestion)
    if (clause.key is not None) != (clause.field == "tag"):
        suggestion = "tag.name:value" if clause.field == "tag" else f"{clause.field}:value"
        raise QueryError(f"This is written {suggestion}.", column=clause.column, code="unknown_field", suggestion=suggestion)
    return field


def like_pattern(value: Value) -> str:
    """A LIKE pattern, with the backslash as escape, that matches the value as written; unquoted, ``*`` is any text."""
    escaped = _LIKE_SPECIAL.sub(r"\\\1", value.text)
    return escaped if value.quoted else escaped.replace("*", "%")


def _bad(clause: Clause, detail: str, suggestion: str | None = None) -> QueryError:
    return QueryError(detail, column=clause.values[0].column, code="bad_value", suggestion=suggestion)


def _equals_only(clause: Clause) -> None:
    if clause.operator != "=":
        raise _bad(clause, f"{clause.field} has no order; it is equal or not.", f"{clause.field}:value")


def _matches(clause: Clause, expression: ColumnElement[Any]) -> Condition:
    """Equal to one of the values, or like one of those with ``*``."""
    exact = [value.text for value in clause.values if value.quoted or "*" not in value.text]
    conditions: list[Condition] = []
    if len(exact) == 1:
        conditions.append(expression == literal(exact[0], Text))
    elif exact:
        conditions.append(expression == func.any(literal(exact, ARRAY(Text))))
    conditions.extend(
        expression.like(like_pattern(value), escape="\\") for value in clause.values if not value.quoted and "*" in value.text
    )
    return or_(*conditions)


def _text(*columns: ColumnElement[Any]) -> Field:
    """A word in any of these columns: exact, a list, or with ``*``."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return or_(*(_matches(clause, column) for column in columns))

    return field


def _choice(column: ColumnElement[Any], choices: Sequence[str]) -> Field:
    """One of a fixed set of words."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        wanted: list[str] = []
        for value in clause.values:
            word = value.text.lower()
            if word not in choices:
                close = difflib.get_close_matches(word, choices, n=1)
                suggestion = f"{clause.field}:{close[0]}" if close else f"one of {', '.join(choices)}"
                raise QueryError(f"{value.text[:64]!r} is no {clause.field}.", column=value.column, code="bad_value", suggestion=suggestion)
            wanted.append(word)
        return column == literal(wanted[0], Text) if len(wanted) == 1 else column == func.any(literal(wanted, ARRAY(Text)))

    return field


def _number(expression: ColumnElement[Any], read: Callable[[Clause], int], known: Condition | None = None) -> Field:
    """An int64 with an order. ``known`` says when the column means something."""

    def field(clause: Clause) -> Condition:
        if len(clause.values) > 1:
            raise _bad(clause, f"{clause.field} takes one number.")
        number = read(clause)
        if number > INT64_MAX:
            raise _bad(clause, "This number is too large.")
        bound = literal(number, BigInteger)
        condition = {
            "=": expression == bound,
            ">": expression > bound,
            ">=": expression >= bound,
            "<": expression < bound,
            "<=": expression <= bound,
        }[clause.operator]
        return condition if known is None else and_(condition, known)

    return field


def _duration(clause: Clause) -> int:
    match = _DURATION.fullmatch(clause.values[0].text)
    if match is None:
        unit_missing = clause.values[0].text.replace(".", "", 1).isdecimal()
        suggestion = (
            f"{clause.field}:{clause.operator.strip('=') if clause.operator == '=' else clause.operator}{clause.values[0].text}s"
            if unit_missing
            else f"{clause.field}:>2s"
        )
        raise _bad(clause, "A duration is a number with a unit: us, ms, s, m or h.", suggestion)
    exact = Decimal(match[1]) * _UNITS_US[match[2]]
    if exact != exact.to_integral_value():
        raise _bad(clause, "Durations are whole microseconds.")
    return int(exact)


def _money(clause: Clause) -> int:
    match = _MONEY.fullmatch(clause.values[0].text)
    if match is None:
        raise _bad(clause, "A cost is a number of US dollars with at most nine decimals.", f"{clause.field}:>0.01")
    return int(Decimal(match[1]) * NANO)


def _count(clause: Clause) -> int:
    match = _COUNT.fullmatch(clause.values[0].text)
    if match is None:
        raise _bad(clause, "This is a whole number, such as 1000 or 10k.", f"{clause.field}:>1000")
    return int(match[1]) * _MULTIPLES[match[2].lower()]


def _tag(column: ColumnElement[Any]) -> Field:
    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return _matches(clause, column.op("->>")(literal(clause.key, Text)))

    return field


def _contains(*columns: ColumnElement[Any]) -> Field:
    """Text somewhere in these columns, in any case; ``*`` alone: there is some."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        patterns = [f"%{like_pattern(value)}%" for value in clause.values]
        return or_(*(column.ilike(pattern, escape="\\") for column in columns for pattern in patterns))

    return field


def _array_contains(column: ColumnElement[Any]) -> Field:
    """A word in an array of words."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return or_(*(literal(value.text, Text) == func.any(column) for value in clause.values))

    return field


def _id(column: ColumnElement[Any], digits: int) -> Field:
    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        ids = [value.text.lower() for value in clause.values]
        if not all(re.fullmatch(rf"[0-9a-f]{{{digits}}}", item) for item in ids):
            raise _bad(clause, f"{clause.field} is {digits} hex digits.")
        return column == func.any(literal(ids, ARRAY(Text)))

    return field


def _sum(one: ColumnElement[Any], two: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(one, literal(0, BigInteger)) + func.coalesce(two, literal(0, BigInteger))


_task_cost_known = tasks.c.priced_steps > literal(0, BigInteger)
_step_tokens_known = or_(steps.c.input_tokens.is_not(None), steps.c.output_tokens.is_not(None))

TASK_FIELDS: dict[str, Field] = {
    "status": _choice(tasks.c.status, tuple(Status)),
    "agent": _text(tasks.c.agent),
    "name": _text(tasks.c.name),
    "kind": _text(tasks.c.kind),
    "latency": _number(tasks.c.duration_us, _duration),
    "duration": _number(tasks.c.duration_us, _duration),
    "cost": _number(tasks.c.cost_nusd, _money, _task_cost_known),
    "tokens": _number(tasks.c.input_tokens + tasks.c.output_tokens, _count),
    "input_tokens": _number(tasks.c.input_tokens, _count),
    "output_tokens": _number(tasks.c.output_tokens, _count),
    "steps": _number(tasks.c.steps, _count),
    "errors": _number(tasks.c.errors, _count),
    "error": _contains(tasks.c.error_type, tasks.c.error_message),
    "conversation": _text(tasks.c.conversation_id),
    "user": _text(tasks.c.user_id),
    "env": _text(tasks.c.environment),
    "tag": _tag(tasks.c.tags),
    "flag": _array_contains(tasks.c.flags),
    "task": _id(tasks.c.task_id, 32),
}

STEP_FIELDS: dict[str, Field] = {
    "status": _choice(steps.c.status, tuple(Status)),
    "type": _choice(steps.c.type, tuple(StepType)),
    "name": _text(steps.c.name),
    "agent": _text(steps.c.agent),
    "model": _text(steps.c.model, steps.c.model_requested),
    "provider": _text(steps.c.provider),
    "tool": _text(steps.c.tool_name),
    "latency": _number(steps.c.duration_us, _duration),
    "duration": _number(steps.c.duration_us, _duration),
    "ttft": _number(steps.c.ttft_us, _duration),
    "cost": _number(steps.c.cost_nusd, _money),
    "cost_source": _choice(steps.c.cost_source, tuple(CostSource)),
    "tokens": _number(_sum(steps.c.input_tokens, steps.c.output_tokens), _count, _step_tokens_known),
    "input_tokens": _number(steps.c.input_tokens, _count),
    "output_tokens": _number(steps.c.output_tokens, _count),
    "error": _contains(steps.c.error_type, steps.c.error_message),
    "conversation": _text(steps.c.conversation_id),
    "user": _text(steps.c.user_id),
    "env": _text(steps.c.environment),
    "tag": _tag(steps.c.tags),
    "flag": _array_contains(steps.c.flags),
    "task": _id(steps.c.task_id, 32),
    "step": _id(steps.c.step_id, 16),
}

_PARSERS_OF_NUMBERS = {"cost": _money, "latency": _duration, "duration": _duration, "tokens": _count}


def number_at_least(clause: Clause) -> int | None:
    """The smallest number that a clause of one lets through, in the unit of its column; null when there is no such end."""
    parse = _PARSERS_OF_NUMBERS.get(clause.field)
    return parse(clause) if parse is not None and clause.operator in {"=", ">", ">="} else None


STEP_ONLY = {name: f"{name} is a field of steps; tasks do not have it." for name in STEP_FIELDS if name not in TASK_FIELDS}
TASK_ONLY = {name: f"{name} is a field of tasks; steps do not have it." for name in TASK_FIELDS if name not in STEP_FIELDS}


TASKS = SearchTarget(TASK_FIELDS, (tasks.c.name, tasks.c.preview), STEP_ONLY)
STEPS = SearchTarget(STEP_FIELDS, (steps.c.name, steps.c.preview_input, steps.c.preview_output), TASK_ONLY)


def task_condition(node: Node | None, found: Found = NO_LOOKUPS) -> Condition | None:
    """What a query means for tasks.

    Args:
        node: From ``parse``.
        found: What the index knows of its words.
    """
    return compile_query(node, TASKS, lambda value: task_contains(found[value]) if value in found else None)


def step_condition(node: Node | None, found: Found = NO_LOOKUPS) -> Condition | None:
    """What a query means for steps."""
    return compile_query(node, STEPS, lambda value: step_contains(found[value]) if value in found else None)
