"""Model calls of a task that reported no tokens."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# as ``rollup.is_unmetered`` counts them
REPLAY = "a call with another call below it counts as unmetered until then"
GENERATION_SQL = """
ALTER TABLE {schema}.tasks ADD COLUMN unmetered_calls integer NOT NULL DEFAULT 0;
UPDATE {schema}.tasks t SET unmetered_calls = found.calls
FROM (
    SELECT project_id, task_id, count(*) AS calls FROM {schema}.steps
    WHERE stamp_phase IS NOT NULL AND type IN ('llm', 'embedding') AND NOT usage_shadowed
        AND rest #>> '{usage,input}' IS NULL AND rest #>> '{usage,output}' IS NULL
        AND (document_status = 'ok' OR (document_status = 'error' AND (response_id <> '' OR preview_output <> '')))
    GROUP BY project_id, task_id
) found
WHERE t.project_id = found.project_id AND t.task_id = found.task_id;
"""


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
