-- The writer copies new rows directly into the partition of their day, of one projection generation ({schema}: see generation.sql).
-- COPY is not possible into a table with row-level security, and a partition has none of its own: its parent's policies apply to everyone
-- who queries the parent, as every reader must (it has no right to a partition).

GRANT INSERT ON ALL TABLES IN SCHEMA {schema} TO ams_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT INSERT ON TABLES TO ams_writer;
