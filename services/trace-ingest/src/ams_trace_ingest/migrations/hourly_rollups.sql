-- Ended steps by UTC hour and by what people ask for, with histograms ({schema}: see generation.sql). A row belongs to one partition of the
-- log, whose owner is its only writer, and to one day of tasks, with which retention deletes it. A step that has no agent, model or tool
-- counts under the empty text; values beyond the limit of a dimension count under "other" (rollup_values).

CREATE TABLE {schema}.hourly_rollups (
    project_id text COLLATE "C" NOT NULL,
    hour integer NOT NULL,
    agent text NOT NULL,
    model text NOT NULL,
    type text NOT NULL,
    status text NOT NULL,
    tool text NOT NULL,
    "partition" integer NOT NULL,
    day date NOT NULL,
    steps bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nusd bigint NOT NULL,
    priced_steps bigint NOT NULL,
    duration_us bigint NOT NULL,
    timed_steps bigint NOT NULL,
    durations bigint[] NOT NULL,
    tokens bigint[] NOT NULL,
    costs bigint[] NOT NULL,
    PRIMARY KEY (project_id, hour, agent, model, type, status, tool, "partition", day)
) WITH (fillfactor = 70);
CREATE INDEX hourly_rollups_by_day ON {schema}.hourly_rollups (project_id, day);

-- Which values of a dimension have rows of their own. Never deleted, and copied by a replay: the decision must not depend on the order.
CREATE TABLE {schema}.rollup_values (
    project_id text COLLATE "C" NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (project_id, dimension, value)
);

-- Bucket by bucket, without zeros at the end.
CREATE FUNCTION {schema}.add_buckets(bigint[], bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce(array_agg(sums.n ORDER BY sums.place) FILTER (WHERE sums.place <= sums.last), '{}')
    FROM (
        SELECT added.place, added.n, max(added.place) FILTER (WHERE added.n <> 0) OVER () AS last
        FROM (SELECT place, coalesce(one, 0) + coalesce(other, 0) AS n FROM unnest($1, $2) WITH ORDINALITY AS both_sides (one, other, place)) AS added
    ) AS sums
$body$;
REVOKE ALL ON FUNCTION {schema}.add_buckets(bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.add_buckets(bigint[], bigint[]) TO ams_writer;

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.hourly_rollups, {schema}.rollup_values TO ams_writer;
GRANT SELECT ON {schema}.hourly_rollups TO ams_reader;
ALTER TABLE {schema}.hourly_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.hourly_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.hourly_rollups TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON {schema}.hourly_rollups FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
ALTER TABLE {schema}.rollup_values ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.rollup_values FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.rollup_values TO ams_writer USING (true) WITH CHECK (true);
