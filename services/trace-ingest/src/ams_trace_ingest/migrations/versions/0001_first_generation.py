"""Roles, the list of generations, and the first of them."""

from ams_trace_ingest.migrations.generation_sql import read_sql, run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Roles belong to the whole server, and another database's migration may be making the same ones right now.
ROLES = """
DO $body$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ams_writer', 'ams_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$body$;
"""

GENERATIONS = """
CREATE TABLE public.generations (
    name text PRIMARY KEY CHECK (name ~ '^g[0-9]+$'),
    current boolean NOT NULL,
    fold_version integer NOT NULL,
    mapper_version integer NOT NULL
);
CREATE UNIQUE INDEX generations_one_current ON public.generations (current) WHERE current;
GRANT USAGE ON SCHEMA public TO ams_writer, ams_reader;
GRANT SELECT ON public.generations TO ams_writer, ams_reader;
"""

GENERATION_SQL = read_sql("generation.sql")


def upgrade() -> None:
    run_script(ROLES)
    run_script(GENERATIONS)
    run_script(GENERATION_SQL.replace("{schema}", "g1"))
    run_script("SELECT g1.ensure_partitions((now() AT TIME ZONE 'UTC')::date - 2, (now() AT TIME ZONE 'UTC')::date + 7)")
    run_script("INSERT INTO public.generations (name, current, fold_version, mapper_version) VALUES ('g1', true, 1, 1)")


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
