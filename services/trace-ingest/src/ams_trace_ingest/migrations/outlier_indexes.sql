-- The few steps that cost much, took long or were long, in the order of the lists, of one projection generation ({schema}: see
-- generation.sql). Who asks for such numbers asks for few rows among millions; the limits are those of trace-query (search/windowed_scan.py).

CREATE INDEX steps_costly ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE cost_nusd >= 50000000;
CREATE INDEX steps_slow ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE duration_us >= 10000000;
CREATE INDEX steps_long ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE coalesce(input_tokens, 0::bigint) + coalesce(output_tokens, 0::bigint) >= 20000;
