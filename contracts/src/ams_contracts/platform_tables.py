"""Tables outside the generations (extra ``tables``): what the log does not hold for ever and a replay must not change.

Schema ``app`` holds what people configure; it belongs in a backup. Every table has row-level security: a reader sees the rows of the
project of its transaction.
"""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from ams_contracts.tables import metadata

retention = Table(  # the cut of each project; a reader sees its own row and the platform's, whose project_id is empty
    "retention",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("days", Integer, nullable=False),  # whole UTC days before today that are kept
    Column("kept_from", Date, nullable=False),  # the first day that is kept; never goes back
    Column("tasks_pruned", BigInteger, nullable=False),
    Column("pruned_at", DateTime(timezone=True)),  # null: nothing had to be deleted so far
    schema="public",
)

retention_runs = Table(  # one a UTC day
    "retention_runs",
    metadata,
    Column("day", Date, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),  # null: it runs, or was interrupted and continues with the next check
    Column("counts", JSONB, nullable=False),  # what was deleted: kind -> rows
    schema="public",
)

project_settings = Table(  # what a project's owner has set, as identity reports it
    "project_settings",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("retention_days", Integer),  # null: the platform's
    Column("at_us", BigInteger, nullable=False),  # of the event that set it
    schema="app",
)

deleted_projects = Table(  # permanent; events of these projects are ignored. Written when a tombstone is applied
    "deleted_projects",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("deleted_by", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("announced", Boolean, nullable=False),  # the tombstones were published for what identity reported
    Column("tombstones", Integer, nullable=False),  # how many were applied; after each one the project is pruned again
    Column("pruned_tombstones", Integer, nullable=False),  # how many of them had been applied when the last pruning began
    schema="app",
)
