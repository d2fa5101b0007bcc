-- What a step or a task shows because of others (ADR 0042), of one projection generation ({schema}: see generation.sql).
-- ``agent`` is the one to show from now on, as ``status`` is; what the document says is in a column of its own.

ALTER TABLE {schema}.steps ADD COLUMN document_agent text;
ALTER TABLE {schema}.steps ADD COLUMN affected boolean NOT NULL DEFAULT false;
ALTER TABLE {schema}.steps ADD COLUMN derived_flags text[] NOT NULL DEFAULT '{}';
UPDATE {schema}.steps SET document_agent = agent WHERE agent IS NOT NULL;

ALTER TABLE {schema}.tasks ADD COLUMN preview_output text;
ALTER TABLE {schema}.tasks ADD COLUMN derive_due boolean NOT NULL DEFAULT false;
CREATE INDEX tasks_derive_due ON {schema}.tasks ("partition") WHERE derive_due;
