"""Indexes of the few steps with a high cost, a long duration or many tokens."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("outlier_indexes.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
