"""Addresses of Postgres as ``ams backup`` and ``ams restore`` use them, a backup with the tables of the traces, and what is no backup."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from ams_identity.migrations.run import migrate as migrate_identity
from ams_kit.create_databases import ensure_databases, restrict_audit
from ams_local.backup import _database, _of_role
from ams_local.commands.backup import backup, restore
from ams_local.commands.own_postgres import postgres_of, serving
from ams_local.data import DataDir
from ams_local.plan import PORT_NAMES
from ams_local.servers.base import free_port
from ams_trace_ingest.__main__ import migrate as migrate_traces

ROWS = {
    "g1.agents": "INSERT INTO g1.agents (project_id, name, tools, metadata, last_seen_at_us) VALUES ('p', 'planner', '{search}', '{}', 7)",
    "g1.positions": "INSERT INTO g1.positions (projection, topic, partition, next_offset, last_timestamp_ms) VALUES ('steps', 'ams.steps.v1', 3, 4711, 9)",
    "app.deleted_projects": "INSERT INTO app.deleted_projects (project_id, deleted_by, at_us) VALUES ('deleted', 'mia', 1)",
}


async def ask(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.mark.parametrize("person", ["postgres:of%20the%20superuser@", "postgres@", ""])
def test_tables_are_made_by_their_owner_however_the_superuser_signs_in(person: str) -> None:
    url = f"postgresql://{person}one:5432,two:5432/ams_traces?sslmode=require"

    assert _of_role(url, "ams_owner", "a/b@c") == "postgresql://ams_owner:a%2Fb%40c@one:5432,two:5432/ams_traces?sslmode=require"


def test_a_folder_that_is_no_backup_is_refused_with_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(restore, [str(tmp_path / "nothing"), "--data", str(tmp_path / "data")])

    assert done.exit_code == 2
    assert "is not a backup" in done.stderr


def back_up_and_restore(place: Path) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """Returns the rows before and after, and how many backups are recorded."""
    folder, copy, target = DataDir(place / "data"), DataDir(place / "copy"), place / "backup"
    with folder.lock():
        server = postgres_of(folder, folder.ports(PORT_NAMES)["postgres"])
        passwords = folder.secrets().role_passwords
        traces = _database(server.url(), "ams_traces")
        with serving(server):
            asyncio.run(ensure_databases(server.url(), dict(passwords)))
            migrate_identity(_of_role(_database(server.url(), "ams_identity"), "ams_identity", passwords["ams_identity"]))
            migrate_traces(_of_role(traces, "ams_owner", passwords["ams_owner"]))
            asyncio.run(restrict_audit(server.url()))
            for statement in ROWS.values():
                asyncio.run(ask(traces, statement))
            before = {table: asyncio.run(ask(traces, f"SELECT * FROM {table}")) for table in ROWS}

    made = CliRunner().invoke(backup, [str(target), "--traces", "--data", str(folder.root)])
    assert made.exit_code == 0, made.output
    assert {path.name for path in target.iterdir()} == {"backup.json", "identity.dump", "secrets.json", "traces.dump"}
    restored = CliRunner().invoke(restore, [str(target), "--data", str(copy.root)])
    assert restored.exit_code == 0, restored.output

    with copy.lock():
        server = postgres_of(copy, free_port())
        traces = _database(server.url(), "ams_traces")
        with serving(server):
            after = {table: asyncio.run(ask(traces, f"SELECT * FROM {table}")) for table in ROWS}
            reader = _of_role(traces, "ams_reader", passwords["ams_reader"])
            asyncio.run(ask(reader, "SELECT 1 FROM g1.tasks LIMIT 1"))  # its rights are there, too
            return before, after, asyncio.run(ask(traces, "SELECT count(*) FROM public.backups"))


@pytest.mark.timeout(300)
def test_a_backup_with_traces_brings_the_tables_and_their_positions_back_without_the_log(tmp_path: Path) -> None:
    # servers are started by processes with one thread
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        before, after, recorded = process.submit(back_up_and_restore, tmp_path).result()

    assert after == before
    assert all(before.values())
    assert recorded == [(1,)]
