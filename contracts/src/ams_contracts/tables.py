"""The tables that trace-ingest writes and trace-query reads (extra ``tables``), as SQLAlchemy Core.

They live in one schema per projection generation (``g1`` ...). No schema is named here: every transaction sets
``search_path`` to the current generation (``public.generations``) and, for readers, ``ams.project_id`` for row-level security.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Double, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, INT8MULTIRANGE, JSONB, TSVECTOR

from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS
from ams_contracts.fields import Field, SqlType, columns

metadata = MetaData()

_TYPES: dict[SqlType, Any] = {
    "text": Text,
    "bigint": BigInteger,
    "integer": Integer,
    "smallint": SmallInteger,
    "boolean": Boolean,
    "date": Date,
    "jsonb": JSONB,
    "text[]": ARRAY(Text),
}


def sql_columns(fields: Sequence[Field]) -> list[Column[Any]]:
    """The columns of a table that fields declare."""
    return [Column(field.name, _TYPES[field.sql_type], primary_key=field.key, nullable=field.is_nullable) for field in columns(fields)]


generations = Table(
    "generations",
    metadata,
    Column("name", Text, primary_key=True),  # g1, g2: the schema
    Column("current", Boolean, nullable=False),
    Column("fold_version", Integer, nullable=False),
    Column("mapper_version", Integer, nullable=False),  # of the mapping, when the generation was made
    Column("prices", JSONB),  # the price file that its costs were computed with; null: costs as the events carry them
    Column("current_since", DateTime(timezone=True)),  # null for the first one, and for one that is being built
    Column("price_version", Text, nullable=False),  # of the list prices, and of the price file if there is one; from then too
    schema="public",
)

positions = Table(
    "positions",
    metadata,
    Column("projection", Text, primary_key=True),  # steps | payloads | text
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_timestamp_ms", BigInteger, nullable=False),  # of the last record: shows that a topic was recreated
    # what became of all events before the position; each is counted once
    Column("projected", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("dead", BigInteger, nullable=False),
    Column("ignored", JSONB, nullable=False),  # reason -> events
)

task_days = (
    Table(  # the UTC day, by the broker's clock, of a task's first record; written once, by the projection that reads the task first
        "task_days",
        metadata,
        Column("project_id", Text, primary_key=True),
        Column("task_id", Text, primary_key=True),
        Column("day", Date, nullable=False),
        Column("pruned", Boolean, nullable=False),  # its rows are deleted by retention; it is remembered while the log may hold a record
        Column("late_day", Date),  # UTC day of the last record that was ignored because the task is older than is kept
    )
)

tasks = Table("tasks", metadata, *sql_columns(TASK_FIELDS))

steps = Table("steps", metadata, *sql_columns(STEP_FIELDS))  # partitioned by day

step_payloads = Table(  # partitioned by day
    "step_payloads",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("slot", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("truncated", Boolean, nullable=False),
)

step_text = Table(  # partitioned by day; without row-level security: readers reach it by the functions find_text and has_text alone
    "step_text",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("slot", Text, primary_key=True),  # input | output | name
    Column("day", Date, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("words", TSVECTOR, nullable=False),  # of ams_contracts.search_words; and " <project_id>", " <task_id>"
)

media = Table(  # what messages show, once for each project and hash; not partitioned, for tasks of several days may share a row
    "media",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("mime", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

task_media = Table(  # which tasks show it: when the last of them is deleted, so is the row of media
    "task_media",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("day", Date, nullable=False),  # the task's
)

task_producers = Table(
    "task_producers",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("instance_id", Text, primary_key=True),
    Column("sdk", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("seqs", INT8MULTIRANGE, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("unproven", BigInteger, nullable=False),  # numbers in "seqs" that fill closed gaps: its ranges are bounded
    # the report of its losses with the highest stamp; no stamp: it has reported none
    Column("dropped", JSONB, nullable=False),  # reason -> events
    Column("truncated", BigInteger, nullable=False),  # payloads that were cut
    Column("reported_at_us", BigInteger),
    Column("reported_seq", BigInteger),
    Column("reported_event_id", Text),
)

scores = Table(  # one row a score id: of the event that counts
    "scores",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("score_id", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("step_id", Text),  # null: of the task
    Column("name", Text, nullable=False),
    Column("number", Double),
    Column("label", Text),
    Column("comment", Text),
    Column("source", Text, nullable=False),  # human | model | code
    Column("author", Text),
    Column("removed", Boolean, nullable=False),
)

step_logs = Table(  # the first lines of each step
    "step_logs",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("at_us", BigInteger, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True),  # in the event
    Column("level", Text, nullable=False),
    Column("text", Text, nullable=False),
)

step_log_counts = Table(
    "step_log_counts",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),  # empty: of the task
    Column("received", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("chars", BigInteger, nullable=False),
)

hourly_rollups = Table(  # ended steps; a row belongs to one partition of the log and one day of tasks
    "hourly_rollups",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("hour", Integer, primary_key=True),  # UTC hours since 1970 of the step's start
    Column("agent", Text, primary_key=True),  # empty: none; "other": beyond the 1,000 values of the dimension
    Column("model", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("tool", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("steps", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nusd", BigInteger, nullable=False),
    Column("priced_steps", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("timed_steps", BigInteger, nullable=False),
    # steps by bucket (ams_contracts.histograms), without zeros at the end
    Column("durations", ARRAY(BigInteger), nullable=False),
    Column("tokens", ARRAY(BigInteger), nullable=False),
    Column("costs", ARRAY(BigInteger), nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Text),
    Column("framework", Text),
    Column("description", Text),
    Column("tools", ARRAY(Text), nullable=False),
    Column("owner", Text),
    Column("metadata", JSONB, nullable=False),
    Column("registered_at_us", BigInteger),  # null: seen in steps, never registered
    Column("last_seen_at_us", BigInteger, nullable=False),
)

response_claims = Table(  # who reports one call (R3): the row is the lock
    "response_claims",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("response_id", Text, primary_key=True),  # or "call:" and a call key
    Column("claims", JSONB, nullable=False),  # [[task_id, step_id, model, started_at_us, ended_at_us, scope, own_id, words]]
    Column("overflow", Integer, nullable=False),  # rows of response_claims_overflow; then "claims" is empty, and R3 is off
)

response_claims_overflow = Table(  # the claims of response ids that more steps claim than R3 compares
    "response_claims_overflow",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("step_id", Text, primary_key=True),
    Column("response_id", Text, primary_key=True),
    Column("model", Text),
    Column("started_at_us", BigInteger),
    Column("ended_at_us", BigInteger),
    Column("scope", Text),
    Column("own_id", Text),
    Column("words", Text),
)

remapped = Table(  # documents as a later mapping reads the originals, where they differ from the events
    "remapped",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

deleted_tasks = Table(  # later events of these are ignored and counted
    "deleted_tasks",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("deleted_by", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("index", Integer, primary_key=True),  # of the event in its batch; -1: the whole record
    Column("projection", Text, primary_key=True),
    Column("project_id", Text),  # null when the record could not be read that far
    Column("task_id", Text),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("bytes", LargeBinary, nullable=False),  # the whole record, or a record of the one event: ready to be published again
    Column("key", LargeBinary),  # of the record
    Column("at_us", BigInteger, nullable=False),
    Column("replayed_at_us", BigInteger),  # null: not handled yet
)
