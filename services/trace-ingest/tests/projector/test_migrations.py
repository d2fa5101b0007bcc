"""The migrated database: the tables that contracts say, walls between projects, partitions made ahead."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence

import asyncpg
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from tests.builders import PROJECT, batch, document, recorded, records

from ams_contracts import platform_tables, tables
from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS
from ams_contracts.fields import Field
from ams_trace_ingest.__main__ import migrate
from ams_trace_ingest.migrations.check import head, stored_revision
from ams_trace_ingest.migrations.upgrade import upgrade

NAMES = [
    "positions",
    "task_days",
    "tasks",
    "steps",
    "step_payloads",
    "media",
    "task_media",
    "task_producers",
    "scores",
    "step_logs",
    "step_log_counts",
    "hourly_rollups",
    "agents",
    "response_claims",
    "response_claims_overflow",
    "deleted_tasks",
    "dead_letters",
]


@pytest.mark.parametrize("name", NAMES)
async def test_the_database_has_the_columns_of_the_contracts(store, name: str) -> None:
    dialect = postgresql.dialect()
    table = getattr(tables, name)
    rows = await store.connection.fetch(
        "SELECT attname, format_type(atttypid, NULL) AS type, attnotnull FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum",
        f"g1.{name}",
    )
    expected = [(column.name, column.type.compile(dialect=dialect).lower(), not column.nullable) for column in table.columns]
    assert sorted((row["attname"], row["type"], row["attnotnull"]) for row in rows) == sorted(expected)


@pytest.mark.parametrize(
    "table",
    [
        platform_tables.retention,
        platform_tables.retention_runs,
        platform_tables.backups,
        platform_tables.project_settings,
        platform_tables.deleted_projects,
        platform_tables.saved_views,
        platform_tables.alert_rules,
        platform_tables.alert_states,
        platform_tables.alert_due,
        platform_tables.alert_outbox,
        platform_tables.alerts,
        platform_tables.alert_positions,
        platform_tables.alert_deliveries,
        platform_tables.share_links,
        platform_tables.own_prices,
    ],
    ids=str,
)
async def test_tables_outside_the_generations_have_the_columns_of_the_contracts(store, table: Table) -> None:
    rows = await store.connection.fetch(
        "SELECT attname, format_type(atttypid, NULL) AS type, attnotnull FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum",
        str(table),
    )
    dialect = postgresql.dialect()
    expected = [(column.name, column.type.compile(dialect=dialect).lower(), not column.nullable) for column in table.columns]
    assert sorted((row["attname"], row["type"], row["attnotnull"]) for row in rows) == sorted(expected)


@pytest.mark.parametrize(("name", "fields"), [("tasks", TASK_FIELDS), ("steps", STEP_FIELDS)])
async def test_every_sortable_column_has_an_index_in_its_order(store, name: str, fields: Sequence[Field]) -> None:
    rows = await store.connection.fetch("SELECT indexdef FROM pg_indexes WHERE schemaname = 'g1' AND tablename = $1", name)

    for field in fields:
        if field.sortable:
            assert any(f"(project_id, {field.name} DESC" in row["indexdef"] for row in rows), field.name


async def test_a_second_migration_at_the_same_time_waits_and_does_nothing(traces_url: str) -> None:
    await asyncio.gather(upgrade(traces_url), upgrade(traces_url))

    assert await stored_revision(traces_url) == head()


async def test_a_database_of_a_later_release_stays_as_it_is(store, traces_url: str) -> None:
    await store.connection.execute("UPDATE public.trace_ingest_version SET version_num = '9999'")
    try:
        await asyncio.to_thread(migrate, traces_url)

        assert await stored_revision(traces_url) == "9999"
    finally:
        await store.connection.execute("UPDATE public.trace_ingest_version SET version_num = $1", head())


async def test_an_up_to_date_database_is_recognised_without_alembic(traces_url: str) -> None:
    code = "import sys; from ams_trace_ingest.__main__ import main; main(['migrate']); assert 'alembic' not in sys.modules and 'sqlalchemy' not in sys.modules"

    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], env={"AMS_DATABASE_URL": traces_url}, capture_output=True, check=False, timeout=30
    )

    assert process.returncode == 0, process.stderr.decode()


async def test_a_reader_sees_its_project_alone(projector, store, traces_url: str) -> None:
    other = "01900000-0000-7000-8000-000000000002"
    await projector.apply(records(batch(1, recorded(2, document())), batch(1, recorded(2, document()), project=other)))
    reader = await asyncpg.connect(f"{traces_url}?role=ams_reader")
    try:
        for table in ("tasks", "steps", "dead_letters", "task_producers", "agents"):
            assert await reader.fetch(f"SELECT * FROM g1.{table}") == []
        await reader.execute(f"SET ams.project_id = '{PROJECT}'")
        assert {row["project_id"] for row in await reader.fetch("SELECT project_id FROM g1.steps")} == {PROJECT}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("DELETE FROM g1.steps")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch("SELECT * FROM g1.steps_default")
    finally:
        await reader.close()


async def test_partitions_are_made_ahead_by_the_writer_and_nothing_is_lost_without(store, traces_url: str) -> None:
    writer = await asyncpg.connect(f"{traces_url}?role=ams_writer")
    try:
        made = await writer.fetchval("SELECT g1.ensure_partitions('2031-01-01', '2031-01-03')")
        again = await writer.fetchval("SELECT g1.ensure_partitions('2031-01-01', '2031-01-03')")
    finally:
        await writer.close()
    names = [
        row[0]
        for row in await store.connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'g1' AND tablename LIKE '%_203101%'")
    ]
    assert {"steps_20310101", "steps_20310103", "step_payloads_20310102"} <= set(names)
    assert (made, again) == (len(names), 0)
    for name in names:
        await store.connection.execute(f"DROP TABLE g1.{name}")
