"""Readers see which media a task shows: an export writes them."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

GENERATION_SQL = """
GRANT SELECT ON {schema}.task_media TO ams_reader;
CREATE POLICY reader ON {schema}.task_media FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
"""


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
