"""Looks words of names, inputs and outputs up in the text index, before a query is compiled.

The index is asked first for each word. One that few steps have is returned as a set of steps, which is then all that has to be read
(*complete*). One that many have is looked at step by step, newest first, until a page is full: that is soon, because many have it.
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

HITS_MAX = 5_000  # texts; with more than that a word is common
LOOK_UP_SECONDS_MAX = 1.5  # a phrase of common words has its places compared in every text that has all of them
PREFIX_CHARS_MIN = 3  # "a*" is half the index
PROJECTION = "text"
_PROJECTION_OF_ROWS = {PAYLOADS.name: "payloads", STEPS.name: "steps"}

Condition = ColumnElement[bool]
StepKey = tuple[date, str, str]
"""Day, task and step."""


class Hits(Struct, frozen=True):
    """What the index knows of one word or phrase.

    Attributes:
        query: The tsquery.
        days: Of each text that was found, beside ``task_ids`` and ``step_ids``.
        complete: There are no others.
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
    """The tsquery of a word or phrase; null when nothing of it can be in the index.

    ``*`` at the end of an unquoted word: words that begin so. ``*`` elsewhere is for names and previews alone.
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
    """Ask the index for every word of a query, for a second and a half at most.

    Args:
        reader: In one snapshot.
        node: From ``parse``.
        common: Which of them many texts have, as the page before found out.

    Returns:
        What is known of each. A word for which time was too short passes for a common one.
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
    """Which of the words many texts have, for the cursor."""
    return [number for number, hits in enumerate(found.values()) if not hits.complete]


def _hits_statement(query: ColumnElement[Any]) -> Statement:
    hits = func.find_text(query, literal(HITS_MAX + 1, Integer)).table_valued("day", "task_id", "step_id", name="hits")
    return select(
        func.array_agg(hits.c.day).label("days"),
        func.array_agg(hits.c.task_id).label("task_ids"),
        func.array_agg(hits.c.step_id).label("step_ids"),
    )


def step_contains(hits: Hits) -> Condition:
    """The condition on a step that a word is in its text."""
    if not hits.complete:
        return func.has_text(hits.query, steps.c.task_id, steps.c.day, steps.c.step_id)
    if not hits.days:
        return false()
    return is_among(list(zip(hits.days, hits.task_ids, hits.step_ids, strict=True)))


def is_among(keys: list[StepKey]) -> Condition:
    """The condition on a step that it is one of these."""
    days, task_ids, step_ids = ([key[part] for key in keys] for part in range(3))
    rows = func.unnest(literal(days, ARRAY(Date)), literal(task_ids, ARRAY(Text)), literal(step_ids, ARRAY(Text)))
    table = rows.table_valued(column("day", Date), column("task_id", Text), column("step_id", Text), name="hits").render_derived()
    return tuple_(steps.c.day, steps.c.task_id, steps.c.step_id).in_(select(table.c.day, table.c.task_id, table.c.step_id))


def task_contains(hits: Hits) -> Condition:
    """The condition on a task that a word is in the text of one of its steps."""
    if not hits.complete:
        return func.has_text(hits.query, tasks.c.task_id, tasks.c.day)
    if not hits.days:
        return false()
    return tasks.c.task_id == func.any(literal(sorted(set(hits.task_ids)), ARRAY(Text)))


def candidate_steps(node: Node | None, found: Found) -> list[StepKey] | None:
    """Steps among which everything lies that a query finds by its words' texts; null when that may be many.

    Args:
        node: From ``parse``.
        found: What the index knows of its words.
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
    """How far text is searchable.

    Attributes:
        records: Records of the log that are in the tables, and whose words are not in the index yet.
        searchable_until_us: Texts that came to the log until then are found; null when all are.
    """

    records: int
    searchable_until_us: int | None


async def read_text_index_lag(reader: SnapshotReader) -> TextIndexLag:
    """How far the text projection is behind the rows."""
    rows = await reader.rows(_POSITIONS)
    return text_index_lag_of([tuple(row) for row in rows])


def text_index_lag_of(rows: Sequence[tuple[str, str, int, int, int]]) -> TextIndexLag:
    """The same from rows of ``positions``: projection, topic, partition, next_offset, last_timestamp_ms."""
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
