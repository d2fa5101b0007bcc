"""Alerts: rules with webhooks, the state of their evaluation, what is to be published and sent, and the alerts themselves."""

from ams_trace_ingest.migrations.generation_sql import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# trace-query evaluates rules as ams_reader. Of other projects it sees the queue alone, which has ids and times.
TABLES = """
ALTER TABLE app.alert_rules
    ADD COLUMN webhook_format text CHECK (webhook_format IN ('json', 'slack')),
    ADD COLUMN webhook_host text CHECK (octet_length(webhook_host) <= 512),
    ADD COLUMN webhook_sealed bytea CHECK (octet_length(webhook_sealed) <= 8192);

CREATE TABLE app.alert_states (
    project_id text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    evaluated_at_us bigint NOT NULL,
    value double precision,
    problem text CHECK (octet_length(problem) <= 1024),
    alert bytea CHECK (octet_length(alert) <= 65536),
    last_window_end_us bigint,
    PRIMARY KEY (project_id, rule_id)
);

CREATE TABLE app.alert_due (
    kind text NOT NULL CHECK (kind IN ('rule', 'event', 'delivery')),
    project_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (kind, project_id, id)
);
CREATE INDEX alert_due_next ON app.alert_due (kind, at_us);

CREATE TABLE app.alert_outbox (
    project_id text COLLATE "C" NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    rule_id text COLLATE "C" NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) <= 65536),
    PRIMARY KEY (project_id, number)
);

CREATE TABLE app.alerts (
    project_id text COLLATE "C" NOT NULL,
    alert_id text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    q text NOT NULL,
    measure text NOT NULL,
    threshold double precision NOT NULL,
    value double precision NOT NULL,
    window_start_us bigint NOT NULL,
    window_end_us bigint NOT NULL,
    task_ids text[] NOT NULL CHECK (cardinality(task_ids) <= 10),
    raised_at_us bigint NOT NULL,
    resolved_at_us bigint,
    resolved_reason text,
    acknowledged_at_us bigint,
    acknowledged_by text,
    PRIMARY KEY (project_id, alert_id)
);
CREATE INDEX alerts_list ON app.alerts (project_id, (resolved_at_us IS NULL) DESC, raised_at_us DESC, alert_id);
CREATE INDEX alerts_of_rule ON app.alerts (project_id, rule_id, window_end_us DESC);

CREATE TABLE app.alert_positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    last_timestamp_ms bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE app.alert_deliveries (
    project_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    alert_id text COLLATE "C" NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) <= 65536),
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL,
    last_status integer,
    last_problem text CHECK (octet_length(last_problem) <= 1024),
    next_attempt_at_us bigint,
    created_at_us bigint NOT NULL,
    PRIMARY KEY (project_id, event_id)
);
CREATE INDEX alert_deliveries_of_alert ON app.alert_deliveries (project_id, alert_id, created_at_us);
CREATE INDEX alert_deliveries_newest ON app.alert_deliveries (project_id, created_at_us DESC);

DO $body$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['alert_states', 'alert_due', 'alert_outbox', 'alerts', 'alert_deliveries'] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON app.%I TO ams_writer, ams_reader', name);
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY writer ON app.%I TO ams_writer USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY reader ON app.%I TO ams_reader USING (project_id = current_setting(''ams.project_id'', true)) '
            'WITH CHECK (project_id = current_setting(''ams.project_id'', true))', name);
    END LOOP;
END
$body$;
CREATE POLICY reader_of_queue ON app.alert_due FOR SELECT TO ams_reader USING (true);

GRANT INSERT, UPDATE, DELETE ON app.alert_rules TO ams_reader;
CREATE POLICY reader_insert ON app.alert_rules FOR INSERT TO ams_reader WITH CHECK (project_id = current_setting('ams.project_id', true));
CREATE POLICY reader_update ON app.alert_rules FOR UPDATE TO ams_reader
    USING (project_id = current_setting('ams.project_id', true)) WITH CHECK (project_id = current_setting('ams.project_id', true));
CREATE POLICY reader_delete ON app.alert_rules FOR DELETE TO ams_reader USING (project_id = current_setting('ams.project_id', true));

GRANT SELECT, INSERT, UPDATE, DELETE ON app.alert_positions TO ams_writer, ams_reader;
ALTER TABLE app.alert_positions ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.alert_positions FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody ON app.alert_positions TO ams_writer, ams_reader USING (true) WITH CHECK (true);
"""


def upgrade() -> None:
    run_script(TABLES)


def downgrade() -> None:
    raise NotImplementedError("the tables hold what people configured, which nothing else holds")
