"""Claims of response ids above the limit of R3, in a table of their own."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("claims_overflow.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
