-- Runs of several tasks, and tasks that only repeat calls of another one ({schema}: see generation.sql).

ALTER TABLE {schema}.tasks ADD COLUMN run_id text;
ALTER TABLE {schema}.tasks ADD COLUMN duplicate_of text;
ALTER TABLE {schema}.tasks ADD COLUMN repeated_steps integer NOT NULL DEFAULT 0;
CREATE INDEX tasks_run ON {schema}.tasks (project_id, run_id) WHERE run_id IS NOT NULL;
