"""Backups of what the log cannot rebuild: identity's database, schema ``app`` of the traces database, and the secrets."""

import asyncio
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import msgspec
from msgspec import Struct

from ams_kit.create_databases import AUDIT_ROLE, ensure_databases
from ams_local.servers.base import ServerError
from ams_local.servers.postgres import client_program

LAYOUT_VERSION = 1
IDENTITY, SETTINGS, TRACES = "identity.dump", "settings.dump", "traces.dump"
IDENTITY_DATABASE, TRACES_DATABASE = "ams_identity", "ams_traces"
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):([^/@]*)@")


class Description(Struct, frozen=True, kw_only=True):
    """What a backup is: ``backup.json``.

    Attributes:
        layout: Of its files.
        began_at: UTC. What was committed before is in it.
    """

    layout: int
    began_at: datetime


def make_backup(target: Path, url: str, secrets: bytes, *, traces: bool) -> int:
    """Write a backup, and record in the traces database when it began.

    Args:
        target: A directory that does not exist. It appears when the backup is complete.
        url: Of a superuser: row-level security hides rows from everybody else.
        secrets: The content of ``secrets.json``.
        traces: Include the tables that could be rebuilt from the log.

    Returns:
        Its size in bytes.

    Raises:
        ServerError: It cannot be made. The text is one sentence.
    """
    if target.exists():
        raise ServerError(f"{target} exists; name a new directory")
    description = Description(layout=LAYOUT_VERSION, began_at=datetime.now(UTC))
    building = target.with_name(target.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True, mode=0o700)
        (building / "secrets.json").touch(mode=0o600)
        (building / "secrets.json").write_bytes(secrets)
        # first what refers to projects, then the projects
        if traces:
            _run("pg_dump", "--format=custom", f"--file={building / TRACES}", url=_database(url, TRACES_DATABASE))
        else:
            _run("pg_dump", "--format=custom", "--schema=app", f"--file={building / SETTINGS}", url=_database(url, TRACES_DATABASE))
        _run("pg_dump", "--format=custom", f"--file={building / IDENTITY}", url=_database(url, IDENTITY_DATABASE))
        (building / "backup.json").write_bytes(msgspec.json.encode(description))
        asyncio.run(_record(_database(url, TRACES_DATABASE), description.began_at))
        building.rename(target)
    except (OSError, asyncpg.PostgresError) as error:
        raise ServerError(f"the backup cannot be made: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return sum(path.stat().st_size for path in target.iterdir())


def restore_backup(source: Path, url: str, passwords: Mapping[str, str]) -> str:
    """Restore a backup into a server that has no databases of AMS.

    Args:
        source: Its directory.
        url: Of a superuser.
        passwords: Of the roles, which are made if they are missing.

    Returns:
        When the backup began, as text.

    Raises:
        ServerError: It cannot be restored. The text is one sentence.
    """
    try:
        description = msgspec.json.decode((source / "backup.json").read_bytes(), type=Description)
    except (OSError, msgspec.DecodeError) as error:
        raise ServerError(f"{source} is not a complete backup: backup.json cannot be read") from error
    if description.layout > LAYOUT_VERSION:
        raise ServerError(f"{source} was made by a newer AMS; update AMS")
    identity, traces = _database(url, IDENTITY_DATABASE), _database(url, TRACES_DATABASE)
    try:
        asyncio.run(_prepare(url, passwords))
        _run("pg_restore", "--single-transaction", str(source / IDENTITY), url=identity)
        if (source / TRACES).exists():
            _run("pg_restore", "--exit-on-error", str(source / TRACES), url=traces)
        else:
            owner = _of_role(traces, "ams_owner", passwords["ams_owner"])
            importlib.import_module("ams_trace_ingest.__main__").migrate(owner)  # alembic takes half a second to import
            _run("pg_restore", "--single-transaction", "--data-only", "--disable-triggers", str(source / SETTINGS), url=traces)
        asyncio.run(_record(traces, description.began_at))
    except (OSError, asyncpg.PostgresError) as error:
        raise ServerError(f"the backup cannot be restored: {error}") from error
    return f"{description.began_at:%Y-%m-%d %H:%M:%S} UTC"


def _database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _of_role(url: str, role: str, password: str) -> str:
    """The same address for another role. The superuser's may have no password: that of ``PGPASSWORD`` or of a file."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{quote(password, safe='')}@{hosts}").geturl()


def _run(program: str, *arguments: str, url: str) -> None:
    """Run a program of Postgres; the password is in its environment, where others cannot see it."""
    found = _PASSWORD.search(url)
    environ = {**os.environ, **({"PGPASSWORD": unquote(found[2])} if found else {})}
    argv = [client_program(program), *arguments, "--dbname", _PASSWORD.sub(r"\1@", url)]
    done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  our own argument list
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[:1] or ["no reason was given"]
        raise ServerError(f"{program} failed: {reason[0]}")


async def _record(url: str, began_at: datetime) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("INSERT INTO public.backups (began_at) VALUES ($1) ON CONFLICT DO NOTHING", began_at)
    finally:
        await connection.close()


async def _prepare(url: str, passwords: Mapping[str, str]) -> None:
    """Roles, and empty databases.

    Raises:
        ServerError: A database has tables.
    """
    await ensure_databases(url, dict(passwords))
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", AUDIT_ROLE):
            await connection.execute(f"CREATE ROLE {AUDIT_ROLE} NOLOGIN")
    finally:
        await connection.close()
    for database in (IDENTITY_DATABASE, TRACES_DATABASE):
        connection = await asyncpg.connect(_database(url, database), timeout=10)
        try:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)"):
                raise ServerError(f"the database {database} has tables; a backup is restored into a server without databases of AMS")
        finally:
            await connection.close()
