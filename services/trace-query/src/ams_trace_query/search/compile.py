"""Compiles a query tree to SQLAlchemy Core."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS
from ams_contracts.tables import steps, tasks
from ams_trace_query.search.filters import KEYED_FILTERS, STEP_FILTERS, TASK_FILTERS, Condition, QueryField, like_pattern
from ams_trace_query.search.text import NO_LOOKUPS, Found, step_contains, task_contains
from ams_trace_query.search.tree import And, Clause, Node, Not, Or, QueryError, Value, Words


class SearchTarget(Struct, frozen=True):
    """The table that a query searches.

    Attributes:
        fields: Its query fields.
        texts: The columns that free words match as substrings.
        other_fields: Fields of the other table: name to an error message.
    """

    fields: Mapping[str, QueryField]
    texts: Sequence[ColumnElement[Any]]
    other_fields: Mapping[str, str]


def compile_query(node: Node | None, searched: SearchTarget, in_text: Callable[[Value], Condition | None]) -> Condition | None:
    """Compile a tree to a condition.

    Args:
        node: From ``parse``, which bounds its depth and so the recursion here.
        searched: Tasks or steps.
        in_text: Returns the condition that a word is in the text of a row; null when no text can contain it.

    Raises:
        QueryError: A field is unknown, or a value is not valid for its field.
    """
    match node:
        case None:
            return None
        case And(nodes):
            return and_(*(required(compile_query(part, searched, in_text)) for part in nodes))
        case Or(nodes):
            return or_(*(required(compile_query(part, searched, in_text)) for part in nodes))
        case Not(part):
            # a step without a model does not match "model:gpt-4o": null counts as false before the negation
            return not_(func.coalesce(required(compile_query(part, searched, in_text)), false()))
        case Words(value):
            pattern = f"%{like_pattern(value)}%"
            written = or_(*(column.ilike(pattern, escape="\\") for column in searched.texts))
            said = in_text(value)
            return written if said is None else or_(written, said)
        case Clause():
            return _field(node, searched.fields, searched.other_fields)(node)


def fields_of(node: Node | None) -> set[str]:
    """The fields that a query names."""
    match node:
        case And(nodes) | Or(nodes):
            return set().union(*map(fields_of, nodes))
        case Not(part):
            return fields_of(part)
        case Clause():
            return {node.field}
        case _:
            return set()


def required(condition: Condition | None) -> Condition:
    """The condition of a part of a query, which is not empty."""
    if condition is None:
        raise AssertionError("only a complete query can be empty")
    return condition


def _field(clause: Clause, fields: Mapping[str, QueryField], other_fields: Mapping[str, str]) -> QueryField:
    field = fields.get(clause.field)
    if field is None:
        if clause.field in other_fields:
            raise QueryError(other_fields[clause.field], column=clause.column, code="unknown_field")
        close = difflib.get_close_matches(clause.field, fields, n=1)
        suggestion = f"{close[0]}:" if close else f"one of {', '.join(fields)}, or quotation marks around words with a colon"
        raise QueryError(f"The field {clause.field[:64]!r} is unknown.", column=clause.column, code="unknown_field", suggestion=suggestion)
    if (clause.key is not None) != (clause.field in KEYED_FILTERS):
        suggestion = f"{clause.field}.name:value" if clause.field in KEYED_FILTERS else f"{clause.field}:value"
        raise QueryError(
            f"The field needs another form. Write {suggestion}.", column=clause.column, code="unknown_field", suggestion=suggestion
        )
    return field


STEP_ONLY = {name: f"{name} is a field of steps. Tasks do not have it." for name in STEP_FILTERS if name not in TASK_FILTERS}
TASK_ONLY = {name: f"{name} is a field of tasks. Steps do not have it." for name in TASK_FILTERS if name not in STEP_FILTERS}


TASKS = SearchTarget(TASK_FILTERS, [tasks.c[field.name] for field in TASK_FIELDS if field.searched], STEP_ONLY)
STEPS = SearchTarget(STEP_FILTERS, [steps.c[field.name] for field in STEP_FIELDS if field.searched], TASK_ONLY)


def task_condition(node: Node | None, found: Found = NO_LOOKUPS) -> Condition | None:
    """Compile a query for tasks.

    Args:
        node: From ``parse``.
        found: The results of the text index for the words of the query.
    """
    return compile_query(node, TASKS, lambda value: task_contains(found[value]) if value in found else None)


def step_condition(node: Node | None, found: Found = NO_LOOKUPS) -> Condition | None:
    """Compile a query for steps."""
    return compile_query(node, STEPS, lambda value: step_contains(found[value]) if value in found else None)
