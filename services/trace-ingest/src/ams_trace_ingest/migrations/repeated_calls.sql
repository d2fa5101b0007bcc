-- Two instrumentations of one call, without a response id ({schema}: see generation.sql). A step claims under two keys now: its response id and
-- its call key. Rows that exist have no call key: `ams replay --remap` gives them one.

ALTER TABLE {schema}.steps ADD COLUMN call_key text;
ALTER TABLE {schema}.steps ADD COLUMN repeats_response text;
ALTER TABLE {schema}.steps ADD COLUMN repeats_call text;
UPDATE {schema}.steps SET repeats_response = task_id WHERE usage_shadowed AND NOT usage_wrapper;

ALTER TABLE {schema}.response_claims_overflow ADD COLUMN scope text;
ALTER TABLE {schema}.response_claims_overflow ADD COLUMN own_id text;
ALTER TABLE {schema}.response_claims_overflow ADD COLUMN words text;
CREATE UNIQUE INDEX response_claims_overflow_by_step ON {schema}.response_claims_overflow (project_id, task_id, step_id, response_id);
-- the next statement adds the wider key
-- squawk-ignore ban-drop-constraint
ALTER TABLE {schema}.response_claims_overflow DROP CONSTRAINT response_claims_overflow_pkey;
ALTER TABLE {schema}.response_claims_overflow ADD CONSTRAINT response_claims_overflow_pkey PRIMARY KEY USING INDEX response_claims_overflow_by_step;
