"""What is kept for how long: the cut of each project, the runs that enforce it, and the settings of projects."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations, read_sql, run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Outside the generations: the log does not hold it for ever, and a replay must not change it.
TABLES = """
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO ams_writer, ams_reader;

-- What a project's owner has set, as identity reports it.
CREATE TABLE app.project_settings (
    project_id text COLLATE "C" PRIMARY KEY,
    retention_days integer CHECK (retention_days > 0),
    at_us bigint NOT NULL
);

-- The first UTC day that is kept; it never goes back. The row of project '' is the platform's.
CREATE TABLE public.retention (
    project_id text COLLATE "C" PRIMARY KEY,
    days integer NOT NULL,
    kept_from date NOT NULL,
    tasks_pruned bigint NOT NULL DEFAULT 0,
    pruned_at timestamptz
);

CREATE TABLE public.retention_runs (
    day date PRIMARY KEY,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}'
);

GRANT SELECT, INSERT, UPDATE, DELETE ON app.project_settings, public.retention, public.retention_runs TO ams_writer;
GRANT SELECT ON app.project_settings, public.retention, public.retention_runs TO ams_reader;

ALTER TABLE app.project_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.project_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON app.project_settings TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON app.project_settings FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));

ALTER TABLE public.retention ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.retention FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON public.retention TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON public.retention FOR SELECT TO ams_reader USING (project_id IN ('', current_setting('ams.project_id', true)));
"""

GENERATION_SQL = read_sql("retention.sql")


def upgrade() -> None:
    run_script(TABLES)
    migrate_generations(GENERATION_SQL)


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
