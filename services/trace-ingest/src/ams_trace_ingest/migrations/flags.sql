-- A new step without flags is copied without that column: the driver takes 3 us to encode an array, however empty ({schema}: see generation.sql).

ALTER TABLE {schema}.steps ALTER COLUMN flags SET DEFAULT '{}';
