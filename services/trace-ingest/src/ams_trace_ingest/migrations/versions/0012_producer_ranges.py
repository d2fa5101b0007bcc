"""Sequence numbers that count as delivered without proof."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("producer_ranges.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
