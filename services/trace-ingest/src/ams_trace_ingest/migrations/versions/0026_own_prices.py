"""Projects' own prices of models, as their events set them."""

from ams_trace_ingest.migrations.generation_sql import run_script

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE app.own_prices (
    project_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    model text NOT NULL CHECK (char_length(model) BETWEEN 1 AND 256),
    provider text CHECK (char_length(provider) <= 256),
    from_us bigint NOT NULL,
    prices jsonb,
    note text CHECK (char_length(note) <= 500),
    set_by text NOT NULL,
    PRIMARY KEY (project_id, event_id)
);
CREATE INDEX own_prices_newest ON app.own_prices (project_id, at_us DESC, event_id DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON app.own_prices TO ams_writer;
GRANT SELECT ON app.own_prices TO ams_reader;
ALTER TABLE app.own_prices ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.own_prices FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON app.own_prices TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON app.own_prices FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
"""


def upgrade() -> None:
    run_script(TABLE)


def downgrade() -> None:
    raise NotImplementedError("the table holds what people configured, and the log forgets it")
