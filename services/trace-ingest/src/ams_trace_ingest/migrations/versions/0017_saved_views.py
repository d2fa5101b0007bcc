"""What people configure, outside the generations: saved views, alert rules and share links."""

from ams_trace_ingest.migrations.generation_sql import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# trace-query writes views as ams_reader: the policy allows the project of its transaction alone. Alert rules and share links are read-only so far,
# and no reader may read a link's hash.
TABLES = """
CREATE TABLE app.saved_views (
    project_id text COLLATE "C" NOT NULL,
    view_id text COLLATE "C" NOT NULL,
    visibility text NOT NULL CHECK (visibility IN ('private', 'shared')),
    author_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    page text NOT NULL CHECK (octet_length(page) <= 32),
    q text NOT NULL CHECK (octet_length(q) <= 4096),
    sort text CHECK (char_length(sort) <= 100),
    columns text[] CHECK (cardinality(columns) <= 64),
    range_last text CHECK (octet_length(range_last) <= 8),
    range_from text CHECK (octet_length(range_from) <= 64),
    range_to text CHECK (octet_length(range_to) <= 64),
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    updated_by text NOT NULL,
    PRIMARY KEY (project_id, view_id)
);
CREATE UNIQUE INDEX saved_views_shared_name ON app.saved_views (project_id, name) WHERE visibility = 'shared';
CREATE UNIQUE INDEX saved_views_private_name ON app.saved_views (project_id, author_id, name) WHERE visibility = 'private';
CREATE INDEX saved_views_list ON app.saved_views (project_id, name, view_id);

CREATE TABLE app.alert_rules (
    project_id text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    author_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    enabled boolean NOT NULL,
    q text NOT NULL CHECK (octet_length(q) <= 4096),
    measure text NOT NULL CHECK (octet_length(measure) <= 32),
    threshold double precision NOT NULL,
    window_seconds integer NOT NULL CHECK (window_seconds BETWEEN 60 AND 604800),
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    updated_by text NOT NULL,
    PRIMARY KEY (project_id, rule_id)
);
CREATE UNIQUE INDEX alert_rules_name ON app.alert_rules (project_id, name);

CREATE TABLE app.share_links (
    project_id text COLLATE "C" NOT NULL,
    link_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    author_id text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    payloads boolean NOT NULL,
    created_at_us bigint NOT NULL,
    expires_at_us bigint NOT NULL,
    revoked_at_us bigint,
    PRIMARY KEY (project_id, link_id)
);
CREATE INDEX share_links_list ON app.share_links (project_id, created_at_us DESC, link_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON app.saved_views TO ams_writer, ams_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.alert_rules, app.share_links TO ams_writer;
GRANT SELECT ON app.alert_rules TO ams_reader;
GRANT SELECT (project_id, link_id, task_id, author_id, payloads, created_at_us, expires_at_us, revoked_at_us) ON app.share_links TO ams_reader;
GRANT SELECT (project_id) ON app.deleted_projects TO ams_reader;

DO $body$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['saved_views', 'alert_rules', 'share_links'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY writer ON app.%I TO ams_writer USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY reader ON app.%I FOR SELECT TO ams_reader USING (project_id = current_setting(''ams.project_id'', true))', name);
    END LOOP;
END
$body$;
CREATE POLICY reader_insert ON app.saved_views FOR INSERT TO ams_reader WITH CHECK (project_id = current_setting('ams.project_id', true));
CREATE POLICY reader_update ON app.saved_views FOR UPDATE TO ams_reader
    USING (project_id = current_setting('ams.project_id', true)) WITH CHECK (project_id = current_setting('ams.project_id', true));
CREATE POLICY reader_delete ON app.saved_views FOR DELETE TO ams_reader USING (project_id = current_setting('ams.project_id', true));

-- so that no view is saved in a project that was deleted a moment ago
CREATE POLICY reader ON app.deleted_projects FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    raise NotImplementedError("the tables hold what people configured, which nothing else holds")
