-- The claims of response ids that more steps claim than roll-up rule R3 compares, one row each, so that no row of response_claims grows
-- without bound ({schema}: see generation.sql). A step claims at most one response id.

ALTER TABLE {schema}.response_claims ADD COLUMN overflow integer NOT NULL DEFAULT 0;

CREATE TABLE {schema}.response_claims_overflow (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    response_id text COLLATE "C" NOT NULL,
    model text,
    started_at_us bigint,
    ended_at_us bigint,
    PRIMARY KEY (project_id, task_id, step_id)
);
CREATE INDEX response_claims_overflow_by_response ON {schema}.response_claims_overflow (project_id, response_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.response_claims_overflow TO ams_writer;
ALTER TABLE {schema}.response_claims_overflow ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.response_claims_overflow FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.response_claims_overflow TO ams_writer USING (true) WITH CHECK (true);
