"""Lines that agents log in their steps."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("step_logs.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
