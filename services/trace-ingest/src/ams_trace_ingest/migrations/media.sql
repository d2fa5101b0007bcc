-- Images, sounds and files of messages, once for each project and hash, and the tasks that show them ({schema}: see generation.sql).
-- Not partitioned: tasks of several days may share a row.

CREATE TABLE {schema}.media (
    project_id text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    mime text NOT NULL,
    bytes integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (project_id, sha256)
);
-- images and sounds are compressed already
ALTER TABLE {schema}.media ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE {schema}.task_media (
    project_id text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (project_id, sha256, task_id)
);
CREATE INDEX task_media_by_task ON {schema}.task_media (project_id, task_id);

-- Deleting the last task that shows some bytes deletes the bytes. A writer that stores the same hash at that moment holds the lock of
-- the row, and the second statement sees its task.
CREATE FUNCTION {schema}.delete_unreferenced_media() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM FROM {schema}.media m
        WHERE (m.project_id, m.sha256) IN (SELECT r.project_id, r.sha256 FROM released r) ORDER BY m.project_id, m.sha256 FOR UPDATE;
    DELETE FROM {schema}.media m
        WHERE (m.project_id, m.sha256) IN (SELECT r.project_id, r.sha256 FROM released r)
        AND NOT EXISTS (SELECT FROM {schema}.task_media t WHERE t.project_id = m.project_id AND t.sha256 = m.sha256);
    RETURN NULL;
END
$body$;
CREATE TRIGGER delete_unreferenced_media AFTER DELETE ON {schema}.task_media
    REFERENCING OLD TABLE AS released FOR EACH STATEMENT EXECUTE FUNCTION {schema}.delete_unreferenced_media();

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.media, {schema}.task_media TO ams_writer;
GRANT SELECT ON {schema}.media TO ams_reader;

ALTER TABLE {schema}.media ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.media FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.media TO ams_writer USING (true) WITH CHECK (true);
CREATE POLICY reader ON {schema}.media FOR SELECT TO ams_reader USING (project_id = current_setting('ams.project_id', true));
ALTER TABLE {schema}.task_media ENABLE ROW LEVEL SECURITY;
ALTER TABLE {schema}.task_media FORCE ROW LEVEL SECURITY;
CREATE POLICY writer ON {schema}.task_media TO ams_writer USING (true) WITH CHECK (true);
