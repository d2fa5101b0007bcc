"""Migrations since the previous release only add: its services run on the new tables until the last one is replaced."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import asyncpg
import pytest
from tests.databases import temporary_database
from tests.upgrades.release import Release

pytestmark = pytest.mark.timeout(600)
SERVICES = ("identity", "trace-ingest")
CODE_SUFFIXES = (".py", ".sql")

# partitions of a table have its columns; temporary and system schemas are not ours
COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS "table", a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
"""


class Column(NamedTuple):
    type: str
    required: bool


Catalog = dict[tuple[str, str], Column]


def catalog(url: str, *statements: str) -> Catalog:
    """Every column of a database, after some statements."""

    async def read() -> Catalog:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
            return {(row["table"], row["column"]): Column(row["type"], row["required"]) for row in await connection.fetch(COLUMNS)}
        finally:
            await connection.close()

    return asyncio.run(read())


def breaks(before: Catalog, after: Catalog, code: str) -> list[str]:
    """What a migration takes from the release before it, as sentences."""
    used = set(re.findall(r"\w+", code))
    found: list[str] = []
    tables = {table for table, _ in after}
    for (table, column), was in before.items():
        now = after.get((table, column))
        name = column if table in tables else table.rpartition(".")[2].strip('"')
        if now is None and name in used:
            found.append(f"{table}.{column} is removed, and the previous release names {name}")
        elif now is not None and now.type != was.type:
            found.append(f"{table}.{column} was {was.type} and is {now.type}")
        elif now is not None and now.required and not was.required:
            found.append(f"{table}.{column} has no default any more, and the previous release may leave it out")
    known = {table for table, _ in before}
    found += [
        f"{table}.{column} is new, NOT NULL and without a default, and the previous release leaves it out"
        for (table, column), now in after.items()
        if (table, column) not in before and table in known and now.required
    ]
    return found


@pytest.fixture(scope="module")
def code() -> str:
    """What the previous release's services consist of, without the migrations."""
    services = Release.previous().folder
    files = [
        path for folder in ("services", "contracts") for path in (services / folder).glob("**/src/**/*") if path.suffix in CODE_SUFFIXES
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in files if "migrations" not in path.parts)


@pytest.fixture(scope="module")
def databases(postgres_admin_url: str) -> Iterator[dict[str, tuple[str, str, Catalog]]]:
    """By service: a database that the previous release made and this one migrated, one that this one made, and what the first was before."""
    with ExitStack() as stack:
        urls = [stack.enter_context(temporary_database(postgres_admin_url, name)) for name in ("upgraded", "upgraded", "fresh", "fresh")]
        upgraded, fresh = urls[:2], urls[2:]
        Release.previous().migrate(*upgraded)
        before = [catalog(url) for url in upgraded]
        Release.here().migrate(*urls)
        yield dict(zip(SERVICES, zip(upgraded, fresh, before, strict=True), strict=True))


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_take_nothing_that_the_previous_release_uses(
    databases: dict[str, tuple[str, str, Catalog]], service: str, code: str
) -> None:
    upgraded, fresh, before = databases[service]

    after = catalog(upgraded)

    assert breaks(before, after, code) == []
    assert after == catalog(fresh), "a migration that was released has changed: an upgraded database is not what a new one is"
    # what the check would say to a migration that does not keep the rule
    table, column = ("public.projects", "name") if ("public.projects", "name") in before else ("public.retention_runs", "started_at")
    renamed = catalog(
        upgraded, f"ALTER TABLE {table} RENAME COLUMN {column} TO moved", f"ALTER TABLE {table} ADD COLUMN must integer NOT NULL"
    )
    assert breaks(before, renamed, code) == [
        f"{table}.{column} is removed, and the previous release names {column}",
        f"{table}.moved is new, NOT NULL and without a default, and the previous release leaves it out",
        f"{table}.must is new, NOT NULL and without a default, and the previous release leaves it out",
    ]
    retyped = catalog(
        upgraded, f"ALTER TABLE {table} RENAME COLUMN moved TO {column}", f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(64)"
    )
    was = before[table, column].type
    assert f"{table}.{column} was {was} and is character varying(64)" in breaks(before, retyped, code)
    dropped = catalog(upgraded, f"DROP TABLE {table} CASCADE")
    assert f"{table}.{column} is removed, and the previous release names {table.rpartition('.')[2]}" in breaks(before, dropped, code)
