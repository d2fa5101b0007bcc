-- Scores of tasks and steps, and what producers report of their losses ({schema}: see generation.sql).

CREATE TABLE {schema}.scores (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    score_id text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C",
    name text NOT NULL,
    number double precision,
    label text,
    comment text,
    source text NOT NULL,
    author text,
    removed boolean NOT NULL,
    PRIMARY KEY (project_id, task_id, score_id)
);
CREATE INDEX scores_in_order ON {schema}.scores (project_id, task_id, at_us, score_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.scores TO ams_writer;
GRANT SELECT ON {schema}.scores TO ams_reader;
ALTER TABLE {schema}.scores ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.scores FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.scores TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON {schema}.scores FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));

-- the stamp of the last report is null until there is one
ALTER TABLE {schema}.task_producers
    ADD COLUMN dropped jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN truncated bigint NOT NULL DEFAULT 0,
    ADD COLUMN reported_at_us bigint,
    ADD COLUMN reported_seq bigint,
    ADD COLUMN reported_event_id text COLLATE "C";
