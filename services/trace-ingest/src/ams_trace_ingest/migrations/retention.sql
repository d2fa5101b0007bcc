-- Retention in one projection generation ({schema}: see generation.sql).
-- A pruned task keeps its row in task_days until no record of it can be left in the log, so that a late event, or a replay, does not
-- bring it back as a new task. late_day: UTC day of the last record that was ignored.

ALTER TABLE {schema}.task_days
    ADD COLUMN pruned boolean NOT NULL DEFAULT false,
    ADD COLUMN late_day date;

CREATE INDEX task_days_to_prune ON {schema}.task_days (project_id, day) WHERE NOT pruned;
CREATE INDEX task_days_pruned ON {schema}.task_days (day) WHERE pruned;

-- Drops the oldest day partitions before a day, at most so many, and returns how many. The writer may not drop tables, so it runs as the
-- owner; it drops nothing that the platform still keeps (public.retention).
CREATE FUNCTION {schema}.drop_partitions(before_day date, partitions_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    name text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ams.ensure_partitions.{schema}', 0));
    FOR name IN
        SELECT child.relname
        FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
        WHERE i.inhparent IN ('{schema}.steps'::regclass, '{schema}.step_payloads'::regclass, '{schema}.step_text'::regclass)
            AND child.relname ~ '_[0-9]{8}$'
            AND to_date(right(child.relname, 8), 'YYYYMMDD') < before_day
            AND to_date(right(child.relname, 8), 'YYYYMMDD') < (SELECT r.kept_from FROM public.retention r WHERE r.project_id = '')
        ORDER BY right(child.relname, 8), child.relname LIMIT partitions_max
    LOOP
        EXECUTE format('DROP TABLE {schema}.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$body$;

REVOKE ALL ON FUNCTION {schema}.drop_partitions(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.drop_partitions(date, integer) TO ams_writer;
