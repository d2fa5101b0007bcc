"""Looks up the words of a query in the text index of names, inputs and outputs, before the query is compiled.

For a word that few steps contain, the index returns all of them, and the search reads only those (*complete*). For a common word, the
search checks steps one by one, newest first, until the page is full, which is soon because many steps contain the word.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Integer, Text, cast, column, false, func, literal, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.types import Date

from ams_contracts.search_words import search_words
from ams_contracts.tables import positions, steps, tasks
from ams_contracts.topics import PAYLOADS, STEPS
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.search.tree import And, Clause, Node, Not, Or, Value, Words

HITS_MAX = 5_000  # texts; a word with more of them is common
LOOK_UP_SECONDS_MAX = 1.5  # for a phrase of common words, Postgres compares positions in every text that has all of them
PREFIX_CHARS_MIN = 3  # "a*" would match half of the index
PROJECTION = "text"
_PROJECTION_OF_ROWS = {PAYLOADS.name: "payloads", STEPS.name: "steps"}

Condition = ColumnElement[bool]
StepKey = tuple[date, str, str]
"""Day, task and step."""


class Hits(Struct, frozen=True):
    """The result of the index for one word or phrase.

    Attributes:
        query: The tsquery.
        days: The day of each text found, parallel to ``task_ids`` and ``step_ids``.
        complete: Whether these are all the texts.
    """

    query: ColumnElement[Any]
    days: list[date]
    task_ids: list[str]
    step_ids: list[str]
    complete: bool


Found = Mapping[Value, Hits]
NO_LOOKUPS: Found = {}


def words_in(node: Node | None) -> Iterator[Value]:
    """Every word and phrase of a query."""
    match node:
        case Words(value):
            yield value
        case And(nodes) | Or(nodes):
            for part in nodes:
                yield from words_in(part)
        case Not(part):
            yield from words_in(part)
        case Clause() | None:
            pass


def text_query(value: Value) -> ColumnElement[Any] | None:
    """The tsquery of a word or phrase; null when the index cannot contain any part of it.

    ``*`` at the end of an unquoted word matches a prefix. ``*`` in other places works in names and previews only.
    """
    written = value.text
    beginning = not value.quoted and written.endswith("*")
    if beginning:
        written = written[:-1]
    words = search_words(written)
    if not words or (not value.quoted and "*" in written) or (beginning and len(words.rsplit(" ", 1)[-1]) < PREFIX_CHARS_MIN):
        return None
    phrase = func.phraseto_tsquery(literal_column("'simple'::regconfig"), literal(words, Text))
    return cast(cast(phrase, Text) + literal(":*", Text), TSQUERY) if beginning else phrase


async def look_up_words(reader: SnapshotReader, node: Node | None, common: Collection[int] = ()) -> Found:
    """Look up every word of a query in the index, within a second and a half.

    Args:
        reader: The reader of one snapshot.
        node: From ``parse``.
        common: Words that the previous page found to be common.

    Returns:
        The result for each word. A word whose lookup exceeds the time limit counts as common.
    """
    found: dict[Value, Hits] = {}
    deadline = time.monotonic() + LOOK_UP_SECONDS_MAX
    for value in words_in(node):
        query = text_query(value)
        if query is None or value in found:
            continue
        left_ms = int((deadline - time.monotonic()) * 1_000)
        row = None
        if len(found) not in common and left_ms > 0:
            row = await reader.row_within(_hits_statement(query), left_ms)
        days, task_ids, step_ids = ([], [], []) if row is None else (row[part] or [] for part in ("days", "task_ids", "step_ids"))
        found[value] = Hits(query, days, task_ids, step_ids, row is not None and len(days) <= HITS_MAX)
    return found


def common_words(found: Found) -> list[int]:
    """The common words, for the cursor."""
    return [number for number, hits in enumerate(found.values()) if not hits.complete]


def _hits_statement(query: ColumnElement[Any]) -> Statement:
    hits = func.find_text(query, literal(HITS_MAX + 1, Integer)).table_valued("day", "task_id", "step_id", name="hits")
    return select(
        func.array_agg(hits.c.day).label("days"),
        func.array_agg(hits.c.task_id).label("task_ids"),
        func.array_agg(hits.c.step_id).label("step_ids"),
    )


def step_contains(hits: Hits) -> Condition:
    """The condition that a step's text contains a word."""
    if not hits.complete:
        return func.has_text(hits.query, steps.c.task_id, steps.c.day, steps.c.step_id)
    if not hits.days:
        return false()
    return is_among(list(zip(hits.days, hits.task_ids, hits.step_ids, strict=True)))


def is_among(keys: list[StepKey]) -> Condition:
    """The condition that a step is one of the found ones."""
    days, task_ids, step_ids = ([key[part] for key in keys] for part in range(3))
    rows = func.unnest(literal(days, ARRAY(Date)), literal(task_ids, ARRAY(Text)), literal(step_ids, ARRAY(Text)))
    table = rows.table_valued(column("day", Date), column("task_id", Text), column("step_id", Text), name="hits").render_derived()
    return tuple_(steps.c.day, steps.c.task_id, steps.c.step_id).in_(select(table.c.day, table.c.task_id, table.c.step_id))


def task_contains(hits: Hits) -> Condition:
    """The condition that the text of one of a task's steps contains a word."""
    if not hits.complete:
        return func.has_text(hits.query, tasks.c.task_id, tasks.c.day)
    if not hits.days:
        return false()
    return tasks.c.task_id == func.any(literal(sorted(set(hits.task_ids)), ARRAY(Text)))


def candidate_steps(node: Node | None, found: Found) -> list[StepKey] | None:
    """Steps that include all matches of a query in indexed text; null when there may be many.

    Args:
        node: From ``parse``.
        found: The results of the index for the words of the query.
    """
    match node:
        case Words(value):
            hits = found.get(value)
            if hits is None or not hits.complete:
                return None
            return list(zip(hits.days, hits.task_ids, hits.step_ids, strict=True))
        case And(nodes):
            sets = [keys for part in nodes if (keys := candidate_steps(part, found)) is not None]
            return min(sets, key=len, default=None)
        case Or(nodes):
            union: set[StepKey] = set()
            for part in nodes:
                keys = candidate_steps(part, found)
                if keys is None:
                    return None
                union.update(keys)
            return list(union) if len(union) <= HITS_MAX else None
        case _:
            return None


class TextIndexLag(Struct, frozen=True):
    """The lag of the text index.

    Attributes:
        records: Number of records of the log that are in the tables and not in the index yet.
        searchable_until_us: The index has all texts that the log received until this time; null when it has all.
    """

    records: int
    searchable_until_us: int | None


async def read_text_index_lag(reader: SnapshotReader) -> TextIndexLag:
    """Read the lag of the text projection behind the rows."""
    rows = await reader.rows(_POSITIONS)
    return text_index_lag_of([tuple(row) for row in rows])


def text_index_lag_of(rows: Sequence[tuple[str, str, int, int, int]]) -> TextIndexLag:
    """Compute the lag from rows of ``positions``: projection, topic, partition, next_offset, last_timestamp_ms."""
    text = {(topic, partition): (offset, at_ms) for projection, topic, partition, offset, at_ms in rows if projection == PROJECTION}
    lag, until_ms = 0, None
    for projection, topic, partition, offset, _ in rows:
        if _PROJECTION_OF_ROWS.get(topic) != projection:
            continue
        read, at_ms = text.get((topic, partition), (0, 0))
        if read < offset:
            lag += offset - read
            until_ms = at_ms if until_ms is None else min(until_ms, at_ms)
    return TextIndexLag(lag, None if until_ms is None else until_ms * 1_000)


_ROWS_MAX = 4 * STEPS.partitions
_POSITIONS: Statement = (
    select(positions.c.projection, positions.c.topic, positions.c.partition, positions.c.next_offset, positions.c.last_timestamp_ms)
    .where(positions.c.projection == func.any(literal([PROJECTION, *_PROJECTION_OF_ROWS.values()], ARRAY(Text))))
    .limit(_ROWS_MAX)
)
