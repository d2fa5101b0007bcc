"""The fields of the query language, built from the field tables in ``ams_contracts.documents``.

A query field is a function from a clause to a condition. Values are bound; column names come from the field tables only.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from operator import add, ge, gt, le, lt
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Double, Text

from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS
from ams_contracts.fields import Field, Filter, FilterKind, filter_kind
from ams_contracts.ids import INT64_MAX
from ams_contracts.tables import scores, step_logs, steps, tasks
from ams_trace_query.search.tree import Clause, QueryError, Value

Condition = ColumnElement[bool]
QueryField = Callable[[Clause], Condition]
Declared = tuple[Field, Filter]
"""A filter and the field that declares it."""

NANO = 1_000_000_000
_UNITS_US = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000}
_MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s?(us|µs|ms|s|m|min|h)")
_MONEY = re.compile(r"\$?([0-9]{1,10}(?:\.[0-9]{1,9})?)")
_COUNT = re.compile(r"([0-9]{1,18})([kKmM]?)")
_SCORE = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,16})?")
_COMPARISONS: Mapping[str, Callable[[Any, Any], Condition]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_LIKE_SPECIAL = re.compile(r"([\\%_])")


def like_pattern(value: Value) -> str:
    """A LIKE pattern, with the backslash as escape, that matches the value as written; unquoted, ``*`` is any text."""
    escaped = _LIKE_SPECIAL.sub(r"\\\1", value.text)
    return escaped if value.quoted else escaped.replace("*", "%")


def _bad(clause: Clause, detail: str, suggestion: str | None = None) -> QueryError:
    return QueryError(detail, column=clause.values[0].column, code="bad_value", suggestion=suggestion)


def _equals_only(clause: Clause) -> None:
    if clause.operator != "=":
        raise _bad(clause, f"{clause.field} has no order. Compare it with a colon only.", f"{clause.field}:value")


def _matches(clause: Clause, expression: ColumnElement[Any]) -> Condition:
    """Equal to one of the values, or matching one of the patterns with ``*``."""
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


def _text(*columns: ColumnElement[Any]) -> QueryField:
    """A word in any of these columns: an exact value, a list, or a pattern with ``*``."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return or_(*(_matches(clause, column) for column in columns))

    return field


def _choice(column: ColumnElement[Any], choices: Sequence[str]) -> QueryField:
    """One of a fixed set of words."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        wanted: list[str] = []
        for value in clause.values:
            word = value.text.lower()
            if word not in choices:
                close = difflib.get_close_matches(word, choices, n=1)
                suggestion = f"{clause.field}:{close[0]}" if close else f"one of {', '.join(choices)}"
                raise QueryError(
                    f"{value.text[:64]!r} is not a valid {clause.field}.", column=value.column, code="bad_value", suggestion=suggestion
                )
            wanted.append(word)
        return column == literal(wanted[0], Text) if len(wanted) == 1 else column == func.any(literal(wanted, ARRAY(Text)))

    return field


def _number(expression: ColumnElement[Any], read: Callable[[Clause], int], known: Condition | None = None) -> QueryField:
    """An int64 with an order. ``known`` is the condition under which the column has a meaning."""

    def field(clause: Clause) -> Condition:
        if len(clause.values) > 1:
            raise _bad(clause, f"{clause.field} takes one number.")
        number = read(clause)
        if number > INT64_MAX:
            raise _bad(clause, "The number is too large.")
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
        raise _bad(clause, "The duration is not valid. Write a number with a unit: us, ms, s, m or h.", suggestion)
    exact = Decimal(match[1]) * _UNITS_US[match[2]]
    if exact != exact.to_integral_value():
        raise _bad(clause, "The duration is not a whole number of microseconds.")
    return int(exact)


def _money(clause: Clause) -> int:
    match = _MONEY.fullmatch(clause.values[0].text)
    if match is None:
        raise _bad(clause, "The cost is not valid. Write a number of US dollars with at most nine decimals.", f"{clause.field}:>0.01")
    return int(Decimal(match[1]) * NANO)


def _count(clause: Clause) -> int:
    match = _COUNT.fullmatch(clause.values[0].text)
    if match is None:
        raise _bad(clause, "The value is not valid. Write a whole number, such as 1000 or 10k.", f"{clause.field}:>1000")
    return int(match[1]) * _MULTIPLES[match[2].lower()]


def _tag(column: ColumnElement[Any]) -> QueryField:
    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return _matches(clause, column.op("->>")(literal(clause.key, Text)))

    return field


def _contains(*columns: ColumnElement[Any]) -> QueryField:
    """A substring of any of these columns, ignoring case; ``*`` alone matches any text."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        patterns = [f"%{like_pattern(value)}%" for value in clause.values]
        return or_(*(column.ilike(pattern, escape="\\") for column in columns for pattern in patterns))

    return field


def _logged(table: Table) -> QueryField:
    """Part of a log line of a step, ignoring case; of a task, of any of its steps."""
    shared = [column.name for column in table.primary_key if column.name in step_logs.c]
    of_row = [step_logs.c[name] == table.c[name] for name in shared]
    contains = _contains(step_logs.c.text)

    def field(clause: Clause) -> Condition:
        return exists().where(*of_row, contains(clause)).correlate(table)

    return field


def _scored(table: Table) -> QueryField:
    """A score of a step; of a task, one of the task or of any of its steps.

    A number compares with the average of all numbers of that name, anything else with a label; ``*`` alone finds rows that have a score.
    """
    shared = [column.name for column in table.primary_key if column.name in scores.c]
    of_row = [scores.c[name] == table.c[name] for name in shared]

    def field(clause: Clause) -> Condition:
        named = and_(*of_row, scores.c.name == literal(clause.key, Text), scores.c.removed.is_(False))
        if clause.operator == "=" and (clause.values[0].quoted or not all(_SCORE.fullmatch(value.text) for value in clause.values)):
            if any(value.text == "*" and not value.quoted for value in clause.values):
                return exists().where(named).correlate(table)
            return exists().where(named, _matches(clause, scores.c.label)).correlate(table)
        average = select(func.avg(scores.c.number)).where(named).correlate(table).scalar_subquery()
        if clause.operator == "=":
            return average == func.any(literal([_score(clause, value) for value in clause.values], ARRAY(Double)))
        first, *others = clause.values
        if others:
            raise _bad(clause, f"{clause.field} takes one number.")
        return _COMPARISONS[clause.operator](average, literal(_score(clause, first), Double))

    return field


def _score(clause: Clause, value: Value) -> float:
    if value.quoted or _SCORE.fullmatch(value.text) is None:
        raise _bad(clause, "Labels have no order. Compare with a number.", f"{clause.field}.{clause.key}:{clause.operator}0.5")
    return float(value.text)


def _array_contains(*columns: ColumnElement[Any]) -> QueryField:
    """A word in an array of words, or in one of several arrays."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        return or_(*(literal(value.text, Text) == func.any(column) for value in clause.values for column in columns))

    return field


def _present(column: ColumnElement[Any]) -> QueryField:
    """``true``: the column has a value; ``false``: it has none."""

    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        words = {value.text.lower() for value in clause.values}
        if not words <= {"true", "false"}:
            raise _bad(clause, f"{clause.field} is true or false.", f"{clause.field}:true")
        return or_(*(column.is_not(None) if word == "true" else column.is_(None) for word in sorted(words)))

    return field


def _id(column: ColumnElement[Any], digits: int) -> QueryField:
    def field(clause: Clause) -> Condition:
        _equals_only(clause)
        ids = [value.text.lower() for value in clause.values]
        if not all(re.fullmatch(rf"[0-9a-f]{{{digits}}}", item) for item in ids):
            raise _bad(clause, f"The value of {clause.field} is not valid. It has {digits} hex digits.")
        return column == func.any(literal(ids, ARRAY(Text)))

    return field


_PARSERS: Mapping[FilterKind, Callable[[Clause], int]] = {"count": _count, "sum": _count, "duration": _duration, "money": _money}
"""Parsers of the values of ordered filters, to the unit of their column."""


def declared_filters(fields: Sequence[Field]) -> dict[str, list[Declared]]:
    """The filters that fields declare, by name; several fields may declare the same filter."""
    found: dict[str, list[Declared]] = {}
    for field in fields:
        for declared in field.filters:
            found.setdefault(declared.name, []).append((field, declared))
    return found


def query_fields(fields: Sequence[Field], table: Table) -> dict[str, QueryField]:
    """The query fields of a table."""
    return {name: _query_field(declared, table) for name, declared in declared_filters(fields).items()}


def _query_field(declared: Sequence[Declared], table: Table) -> QueryField:
    field, one = declared[0]
    columns = [table.c[field.name] for field, _ in declared]
    kind = filter_kind(field, one)
    if kind in _PARSERS:
        known = None if one.known_by is None else table.c[one.known_by] > literal(0, BigInteger)
        if kind != "sum":
            return _number(columns[0], _PARSERS[kind], known)
        may_be_unknown = [column.is_not(None) for column in columns if column.nullable]
        return _number(_sum(columns), _PARSERS[kind], or_(*may_be_unknown) if may_be_unknown else None)
    match kind:
        case "enum":
            return _choice(columns[0], tuple(field.value_type))
        case "id":
            return _id(columns[0], one.digits)
        case "contains":
            return _contains(*columns)
        case _:
            return {"tag": _tag, "word_of": _array_contains, "present": _present}.get(kind, _text)(*columns)


def _sum(columns: Sequence[Column[Any]]) -> ColumnElement[Any]:
    first, *others = (func.coalesce(column, literal(0, BigInteger)) if column.nullable else column for column in columns)
    return reduce(add, others, first)


LOG = "log"
SCORE = "score"
"""Filters of both tables that look into another one."""

TASK_FILTERS = {**query_fields(TASK_FIELDS, tasks), LOG: _logged(tasks), SCORE: _scored(tasks)}
STEP_FILTERS = {**query_fields(STEP_FIELDS, steps), LOG: _logged(steps), SCORE: _scored(steps)}

KEYED_FILTERS = frozenset({"tag", SCORE})
"""Filters that are written with a key: ``tag.env:prod``."""

_STEP_DECLARED = declared_filters(STEP_FIELDS)
INDEXED_TASK_FILTERS = frozenset(name for name, declared in declared_filters(TASK_FIELDS).items() if declared[0][1].indexed)
"""Filters whose equality is supported by an index in the order of the list."""

INDEXED_STEP_FILTERS = frozenset(name for name, declared in _STEP_DECLARED.items() if declared[0][1].indexed)

INDEXED_FROM = {name: declared[0][1].indexed_from for name, declared in _STEP_DECLARED.items() if declared[0][1].indexed_from is not None}
"""Thresholds of the partial indexes for expensive, slow and large steps: nano-USD, microseconds, tokens. See the migrations of trace-ingest."""


def number_at_least(clause: Clause) -> int | None:
    """The lower bound of an ordered clause, in the unit of its column; null when it has none."""
    declared = _STEP_DECLARED.get(clause.field)
    parse = None if declared is None else _PARSERS.get(filter_kind(*declared[0]))
    return parse(clause) if parse is not None and clause.operator in {"=", ">", ">="} else None
