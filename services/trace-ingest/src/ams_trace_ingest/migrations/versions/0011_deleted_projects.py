"""Projects that were deleted."""

from ams_trace_ingest.migrations.generation_sql import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# no reader sees it: nobody is a member of a deleted project
TABLES = """
CREATE TABLE app.deleted_projects (
    project_id text COLLATE "C" PRIMARY KEY,
    deleted_by text NOT NULL,
    at_us bigint NOT NULL,
    announced boolean NOT NULL DEFAULT false,
    tombstones integer NOT NULL DEFAULT 0,
    pruned_tombstones integer NOT NULL DEFAULT 0
);
CREATE INDEX deleted_projects_to_prune ON app.deleted_projects (project_id) WHERE pruned_tombstones < tombstones;

GRANT SELECT, INSERT, UPDATE ON app.deleted_projects TO ams_writer;
ALTER TABLE app.deleted_projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.deleted_projects FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON app.deleted_projects TO ams_writer USING (true) WITH CHECK (true);
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
