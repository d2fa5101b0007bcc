-- The words of names, inputs and outputs, of one projection generation ({schema}: see generation.sql).
-- No row-level security here: with it Postgres would not use the index, because @@ is not leakproof. A reader has no right to the table;
-- the two functions below take the project from the transaction's setting, as the policies do.
--
-- Beside its words every row's vector holds two lexemes that no text can have, for they begin with a blank: ' <project>' and ' <task>'.
-- So one GIN index answers "in this project" and "in this task", and a word that another project uses often costs nothing here.

CREATE TABLE {schema}.step_text (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    slot text NOT NULL,
    day date NOT NULL,
    at_us bigint NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (project_id, task_id, step_id, slot, day)
) PARTITION BY RANGE (day);

CREATE TABLE {schema}.step_text_default PARTITION OF {schema}.step_text DEFAULT;
-- every search scans the pending list: 1 MiB of it takes some milliseconds
CREATE INDEX step_text_words ON {schema}.step_text USING gin (words) WITH (gin_pending_list_limit = 1024);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.step_text TO ams_writer;

-- Steps of the reader's project with text that a query matches, each at most once a slot, in no order, at most so many.
-- Sequential scans are forbidden: with stale statistics a common word would read everything, and a bitmap scan is fast at any size.
CREATE FUNCTION {schema}.find_text(query tsquery, rows_max integer) RETURNS TABLE (day date, task_id text, step_id text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off ROWS 1000 AS $body$
DECLARE
    project text := current_setting('ams.project_id', true);
BEGIN
    IF numnode(query) = 0 OR coalesce(project, '') = '' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT t.day, t.task_id, t.step_id FROM {schema}.step_text t
        WHERE t.words @@ (query && format('%L', ' ' || project)::tsquery) LIMIT least(rows_max, 20000);
END
$body$;

-- Whether a query matches some text of this task of the reader's project; of one of its steps, when that is named.
CREATE FUNCTION {schema}.has_text(query tsquery, of_task text, of_day date, of_step text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan COST 10000
AS $body$
DECLARE
    project text := current_setting('ams.project_id', true);
BEGIN
    IF numnode(query) = 0 OR coalesce(project, '') = '' THEN
        RETURN false;
    END IF;
    IF of_step IS NOT NULL THEN
        RETURN EXISTS (
            SELECT FROM {schema}.step_text t
            WHERE t.project_id = project AND t.task_id = of_task AND t.step_id = of_step AND t.day = of_day AND t.words @@ query
        );
    END IF;
    RETURN EXISTS (
        SELECT FROM {schema}.step_text t
        WHERE t.day = of_day AND t.words @@ (query && format('%L', ' ' || project)::tsquery && format('%L', ' ' || of_task)::tsquery)
    );
END
$body$;

REVOKE ALL ON FUNCTION {schema}.find_text(tsquery, integer), {schema}.has_text(tsquery, text, date, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.find_text(tsquery, integer), {schema}.has_text(tsquery, text, date, text) TO ams_reader;

-- As before, and for step_text too.
CREATE OR REPLACE FUNCTION {schema}.ensure_partitions(from_day date, until_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    parent text;
    day date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ams.ensure_partitions.{schema}', 0));
    FOR day IN SELECT generate_series(from_day, until_day, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY ARRAY['steps', 'step_payloads', 'step_text'] LOOP
            name := parent || '_' || to_char(day, 'YYYYMMDD');
            IF to_regclass('{schema}.' || name) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE {schema}.%I PARTITION OF {schema}.%I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 90)', name, parent, day, day + 1);
                    made := made + 1;
                EXCEPTION WHEN check_violation THEN
                    NULL;
                END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$body$;

-- The days that the other tables have partitions for. Older rows go where there is no partition: to the default one.
SELECT {schema}.ensure_partitions(
    coalesce(min(to_date(right(child.relname, 8), 'YYYYMMDD')), (now() AT TIME ZONE 'UTC')::date - 2),
    greatest(max(to_date(right(child.relname, 8), 'YYYYMMDD')), (now() AT TIME ZONE 'UTC')::date + 7)
)
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid
WHERE i.inhparent = '{schema}.steps'::regclass AND child.relname ~ '_[0-9]{8}$';
