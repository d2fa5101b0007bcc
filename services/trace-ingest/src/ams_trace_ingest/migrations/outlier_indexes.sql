-- The few steps with a high cost, a long duration or many tokens, in the order of the lists, of one projection generation ({schema}: see
-- generation.sql). A filter for such numbers finds few rows among millions; the limits are those of trace-query (search/windowed_scan.py).

CREATE INDEX steps_costly ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE cost_nusd >= 50000000;
CREATE INDEX steps_slow ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE duration_us >= 10000000;
CREATE INDEX steps_long ON {schema}.steps (project_id, started_at_us DESC, step_id) WHERE coalesce(input_tokens, 0::bigint) + coalesce(output_tokens, 0::bigint) >= 20000;
