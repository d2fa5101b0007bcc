"""Tasks that only pass messages within a run."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# steps that were mapped before have another word for their type: `replay --remap` counts them
GENERATION_SQL = """
ALTER TABLE {schema}.tasks ADD COLUMN messaging_steps integer NOT NULL DEFAULT 0;
ALTER TABLE {schema}.tasks ADD COLUMN folded_into text;
"""


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
