-- What agents logged in their steps, and how many lines of each step came ({schema}: see generation.sql).

CREATE TABLE {schema}.step_logs (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    level text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (project_id, task_id, step_id, at_us, event_id, place)
);

-- a row with an empty step id is of the task
CREATE TABLE {schema}.step_log_counts (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    received bigint NOT NULL,
    kept bigint NOT NULL,
    chars bigint NOT NULL,
    PRIMARY KEY (project_id, task_id, step_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.step_logs, {schema}.step_log_counts TO ams_writer;
GRANT SELECT ON {schema}.step_logs, {schema}.step_log_counts TO ams_reader;
ALTER TABLE {schema}.step_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.step_logs FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.step_logs TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON {schema}.step_logs FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
ALTER TABLE {schema}.step_log_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.step_log_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.step_log_counts TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON {schema}.step_log_counts FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
