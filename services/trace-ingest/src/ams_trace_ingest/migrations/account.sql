-- What became of the events before a position, in the row of the position, so that both agree: of one projection generation ({schema}: see
-- generation.sql). ignored: reason -> events.

ALTER TABLE {schema}.positions
    ADD COLUMN projected bigint NOT NULL DEFAULT 0,
    ADD COLUMN duplicate bigint NOT NULL DEFAULT 0,
    ADD COLUMN dead bigint NOT NULL DEFAULT 0,
    ADD COLUMN ignored jsonb NOT NULL DEFAULT '{}';
