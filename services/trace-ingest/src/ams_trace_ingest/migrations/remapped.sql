-- Documents of steps as a later mapping reads their originals, where they differ from the events ({schema}: see generation.sql).

CREATE TABLE {schema}.remapped (
    project_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (project_id, task_id, event_id)
);

GRANT SELECT, INSERT, DELETE ON {schema}.remapped TO ams_writer;
ALTER TABLE {schema}.remapped ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.remapped FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.remapped TO ams_writer USING (true) WITH CHECK (true);
