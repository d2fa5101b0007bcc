-- Sequence numbers of a producer that count as delivered without proof, because its row keeps a bounded number of ranges ({schema}: see
-- generation.sql).

ALTER TABLE {schema}.task_producers ADD COLUMN unproven bigint NOT NULL DEFAULT 0;
