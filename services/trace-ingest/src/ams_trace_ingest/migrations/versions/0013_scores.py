"""Scores of tasks and steps, and what producers report of their losses."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("scores.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
