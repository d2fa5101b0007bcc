"""Steps that were mapped again from their originals."""

from alembic import op
from sqlalchemy import text

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

GENERATION_SQL = read_sql("remapped.sql")


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)
    op.get_bind().execute(text("ALTER TABLE public.generations ADD COLUMN remap text NOT NULL DEFAULT ''"))


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
