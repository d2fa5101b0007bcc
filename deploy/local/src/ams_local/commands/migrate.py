"""``ams migrate --plan``."""

import os
import subprocess
import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.commands.own_postgres import running
from ams_local.data import DataDir, DataError
from ams_local.plan import Database
from ams_local.servers.base import ServerError

DATABASES = (("ams_identity", "ams_identity", "ams_identity"), ("ams_trace_ingest", "ams_owner", "ams_traces"))  # module, role, database


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
        with running(folder):
            addresses, passwords = folder.addresses(), folder.secrets().role_passwords
            where = Database(hosts=addresses.postgres, options=addresses.postgres_options)
            for module, role, database in DATABASES:
                click.echo(_ask(module, where.url(role, passwords[role], database), database), nl=False)
    except (ServerError, DataError) as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(2)
