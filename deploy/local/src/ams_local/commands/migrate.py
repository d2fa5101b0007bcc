"""``ams migrate --plan``."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir, DataError
from ams_local.plan import Database
from ams_local.process import spawn
from ams_local.servers.base import ServerError
from ams_local.servers.postgres import Postgres

START_SECONDS = 60
DATABASES = (("ams_identity", "ams_identity", "ams_identity"), ("ams_trace_ingest", "ams_owner", "ams_traces"))  # module, role, database


@contextmanager
def _running(folder: DataDir) -> Generator[None]:
    """Run the data directory's own Postgres for a moment, unless the platform runs it."""
    if folder.owner() is not None or not (folder.root / "postgres").exists():
        yield
        return
    with folder.lock():
        postgres = Postgres(
            data=folder.root / "postgres", port=folder.known_ports()["postgres"], password=folder.secrets().postgres_password
        )
        postgres.prepare()
        command = postgres.command()
        server = spawn(command.argv, identity=command.identity, death_signal=command.death_signal)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not asyncio.run(postgres.answers()):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise ServerError("Postgres of the data directory does not start; ./ams up says why")
                time.sleep(0.1)
            yield
        finally:
            server.send_signal(command.stop_signal)
            server.wait()


def _ask(module: str, url: str, database: str) -> str:
    """The plan of one service."""
    environ = {**os.environ, "AMS_DATABASE_URL": url}
    argv = [sys.executable, "-m", module, "migrate", "--plan"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)  # noqa: S603  our own module
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise ServerError(f"{database} cannot be read: {reason[0]}")
    return done.stdout


@click.command()
@click.option("--plan", is_flag=True, required=True, help="Show what this release would change in the databases, and change nothing.")
@data_option
def migrate(plan: bool, data: Path) -> None:  # noqa: ARG001  the option says that nothing is changed; `ams up` is what migrates
    """Show what the next start would change in the databases; `ams up` migrates by itself."""
    folder = DataDir(data)
    if not (folder.root / "version").exists():
        click.echo(f"there is no data directory at {folder.root}; the first ./ams up makes one, with empty databases", err=True)
        sys.exit(2)
    try:
        with _running(folder):
            addresses, passwords = folder.addresses(), folder.secrets().role_passwords
            where = Database(hosts=addresses.postgres, options=addresses.postgres_options)
            for module, role, database in DATABASES:
                click.echo(_ask(module, where.url(role, passwords[role], database), database), nl=False)
    except (ServerError, DataError) as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(2)
