-- The tables of one projection generation. {schema} is its name (g1, g2 ...), made of a letter and digits by our own code.
-- ams_contracts.tables says what they mean; a test compares the two. Ids compare by bytes: COLLATE "C".

CREATE SCHEMA {schema};

CREATE TABLE {schema}.positions (
    projection text NOT NULL,
    topic text NOT NULL,
    "partition" integer NOT NULL,
    next_offset bigint NOT NULL,
    last_timestamp_ms bigint NOT NULL,
    PRIMARY KEY (projection, topic, "partition")
) WITH (fillfactor = 70);

CREATE TABLE {schema}.task_days (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (project_id, task_id)
);

CREATE TABLE {schema}.tasks (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    "partition" integer NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    seen_at_us bigint NOT NULL,
    heartbeats boolean NOT NULL,
    document jsonb,
    stamp_phase smallint,
    stamp_at_us bigint,
    stamp_seq bigint,
    stamp_event_id text COLLATE "C",
    root_step_id text COLLATE "C",
    name text NOT NULL,
    kind text NOT NULL,
    agent text,
    status text NOT NULL,
    started_at_us bigint,
    ended_at_us bigint,
    duration_us bigint,
    conversation_id text,
    user_id text,
    environment text,
    tags jsonb NOT NULL,
    parent_task_id text COLLATE "C",
    preview text,
    error_type text,
    error_message text,
    flags text[] NOT NULL,
    steps integer NOT NULL,
    errors integer NOT NULL,
    running_steps integer NOT NULL,
    waiting_steps integer NOT NULL,
    lost_steps integer NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nusd bigint NOT NULL,
    priced_steps integer NOT NULL,
    unpriced_steps integer NOT NULL,
    last_event_at_us bigint NOT NULL,
    sort_at_us bigint NOT NULL,
    PRIMARY KEY (project_id, task_id)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.steps (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    first_offset bigint NOT NULL,
    end_offset bigint,
    seen_at_us bigint NOT NULL,
    stamp_phase smallint,
    stamp_at_us bigint,
    stamp_seq bigint,
    stamp_event_id text COLLATE "C",
    progress_phase smallint,
    progress_at_us bigint,
    progress_seq bigint,
    progress_event_id text COLLATE "C",
    progress_status text,
    progress_usage jsonb,
    last_beat_us bigint,
    parent_step_id text COLLATE "C",
    type text NOT NULL,
    type_raw text,
    name text NOT NULL,
    span_name text,
    agent text,
    status text NOT NULL,
    document_status text,
    started_at_us bigint,
    ended_at_us bigint,
    duration_us bigint,
    ttft_us bigint,
    seq bigint NOT NULL,
    provider text,
    model_requested text,
    model text,
    response_id text COLLATE "C",
    input_tokens bigint,
    output_tokens bigint,
    cost_nusd bigint,
    cost_source text NOT NULL,
    tool_name text,
    error_type text,
    error_message text,
    preview_input text,
    preview_output text,
    conversation_id text,
    user_id text,
    environment text,
    tags jsonb,
    flags text[] NOT NULL,
    rest jsonb NOT NULL,
    counted_input bigint NOT NULL,
    counted_output bigint NOT NULL,
    counted_nusd bigint,
    usage_shadowed boolean NOT NULL,
    usage_wrapper boolean NOT NULL,
    PRIMARY KEY (project_id, task_id, step_id, day)
) PARTITION BY RANGE (day);

CREATE TABLE {schema}.step_payloads (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    slot text NOT NULL,
    day date NOT NULL,
    at_us bigint NOT NULL,
    seq bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    mime text NOT NULL,
    text text NOT NULL,
    bytes bigint NOT NULL,
    truncated boolean NOT NULL,
    PRIMARY KEY (project_id, task_id, step_id, slot, day)
) PARTITION BY RANGE (day);

CREATE TABLE {schema}.task_producers (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    instance_id text COLLATE "C" NOT NULL,
    sdk text NOT NULL,
    version text NOT NULL,
    host text NOT NULL,
    seqs int8multirange NOT NULL,
    duplicates bigint NOT NULL,
    PRIMARY KEY (project_id, task_id, instance_id)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.agents (
    project_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    version text,
    framework text,
    description text,
    tools text[] NOT NULL,
    owner text,
    metadata jsonb NOT NULL,
    registered_at_us bigint,
    last_seen_at_us bigint NOT NULL,
    PRIMARY KEY (project_id, name)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.response_claims (
    project_id text COLLATE "C" NOT NULL,
    response_id text COLLATE "C" NOT NULL,
    claims jsonb NOT NULL,
    PRIMARY KEY (project_id, response_id)
);

CREATE TABLE {schema}.deleted_tasks (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    deleted_by text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (project_id, task_id)
);

CREATE TABLE {schema}.dead_letters (
    topic text NOT NULL,
    "partition" integer NOT NULL,
    "offset" bigint NOT NULL,
    "index" integer NOT NULL,
    projection text NOT NULL,
    project_id text COLLATE "C",
    task_id text COLLATE "C",
    reason text NOT NULL,
    detail text NOT NULL,
    bytes bytea NOT NULL,
    key bytea,
    at_us bigint NOT NULL,
    replayed_at_us bigint,
    PRIMARY KEY (topic, "partition", "offset", "index", projection)
);

-- A row of a day without a partition is stored here, so nothing is lost.
CREATE TABLE {schema}.steps_default PARTITION OF {schema}.steps DEFAULT;
CREATE TABLE {schema}.step_payloads_default PARTITION OF {schema}.step_payloads DEFAULT;

CREATE INDEX tasks_by_time ON {schema}.tasks (project_id, sort_at_us DESC, task_id);
CREATE INDEX tasks_by_agent ON {schema}.tasks (project_id, agent, sort_at_us DESC, task_id);
CREATE INDEX tasks_by_status ON {schema}.tasks (project_id, status, sort_at_us DESC, task_id);
-- read by the projector's sweeps; both are small
CREATE INDEX tasks_alive ON {schema}.tasks (seen_at_us) WHERE status IN ('running', 'waiting');
CREATE INDEX tasks_beating ON {schema}.tasks (project_id, task_id) WHERE heartbeats AND running_steps + waiting_steps > 0;

CREATE INDEX steps_in_order ON {schema}.steps (project_id, task_id, started_at_us, seq, step_id);
CREATE INDEX steps_by_parent ON {schema}.steps (project_id, task_id, parent_step_id);
CREATE INDEX steps_by_time ON {schema}.steps (project_id, started_at_us DESC, step_id);

CREATE INDEX dead_letters_by_project ON {schema}.dead_letters (project_id, at_us DESC);

-- Makes the partitions of the days from..until (UTC) that are not there yet, and says how many. The writer may not create
-- tables, so it runs as the owner. A day whose rows already lie in the default partition stays there.
CREATE FUNCTION {schema}.ensure_partitions(from_day date, until_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    parent text;
    day date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ams.ensure_partitions.{schema}', 0));
    FOR day IN SELECT generate_series(from_day, until_day, interval '1 day')::date LOOP
        FOREACH parent IN ARRAY ARRAY['steps', 'step_payloads'] LOOP
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

REVOKE ALL ON FUNCTION {schema}.ensure_partitions(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.ensure_partitions(date, date) TO ams_writer;

GRANT USAGE ON SCHEMA {schema} TO ams_writer, ams_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.positions, {schema}.task_days, {schema}.tasks, {schema}.steps, {schema}.step_payloads,
    {schema}.task_producers, {schema}.agents, {schema}.response_claims, {schema}.deleted_tasks, {schema}.dead_letters TO ams_writer;
GRANT SELECT ON {schema}.positions, {schema}.tasks, {schema}.steps, {schema}.step_payloads, {schema}.task_producers, {schema}.agents,
    {schema}.deleted_tasks, {schema}.dead_letters TO ams_reader;

-- The second wall: a reader sees the project of its transaction and nothing else, whatever its WHERE says.
DO $body$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['task_days', 'tasks', 'steps', 'step_payloads', 'task_producers', 'agents', 'response_claims', 'deleted_tasks', 'dead_letters'] LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE {schema}.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY writer ON {schema}.%I TO ams_writer USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY reader ON {schema}.%I FOR SELECT TO ams_reader USING (project_id = current_setting(''ams.project_id'', true))', name);
    END LOOP;
END
$body$;
