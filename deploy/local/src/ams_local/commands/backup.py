"""``ams backup`` and ``ams restore``."""

import sys
from pathlib import Path

import click

from ams_local.backup import make_backup, restore_backup
from ams_local.commands.options import data_option
from ams_local.commands.own_postgres import postgres_of, running, serving
from ams_local.data import DataDir, DataError
from ams_local.servers.base import ServerError, free_port

postgres_option = click.option("--postgres", metavar="URL", help="Of a superuser, where the platform does not use its embedded Postgres.")


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--traces", is_flag=True, help="Also the tables that could be rebuilt from the log.")
@postgres_option
@data_option
def backup(target: Path, traces: bool, postgres: str | None, data: Path) -> None:
    """Back up accounts, keys, settings and secrets into the new directory TARGET. The platform may run."""
    folder = DataDir(data)
    if not (folder.root / "version").exists():
        click.echo(f"{folder.root} is not a data directory of AMS", err=True)
        sys.exit(2)
    if postgres is None and not (folder.root / "postgres").exists():
        click.echo("the platform uses a Postgres of yours; name a superuser of it with --postgres URL", err=True)
        sys.exit(2)
    try:
        with running(folder):
            url = postgres or postgres_of(folder, folder.known_ports()["postgres"]).url()
            size = make_backup(target, url, (folder.root / "secrets.json").read_bytes(), traces=traces)
    except (DataError, ServerError) as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(2)
    click.echo(f"backed up to {target} ({size / 1_000_000:.1f} MB). It holds secrets: keep it where only you can read it.")


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@postgres_option
@data_option
def restore(source: Path, postgres: str | None, data: Path) -> None:
    """Restore the backup SOURCE into a data directory that has no databases. `ams up` then rebuilds the tables from the log, if it is there."""
    try:
        made = _restore(DataDir(data), source, postgres)
    except (DataError, ServerError, OSError) as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(2)
    click.echo(f"restored the backup of {made}; start the platform with: ./ams up")


def _restore(folder: DataDir, source: Path, postgres: str | None) -> str:
    if not (source / "secrets.json").is_file():
        raise DataError(f"{source} is not a backup: it has no secrets.json; name the folder that ams backup wrote")
    with folder.lock():
        if postgres is None and (folder.root / "postgres").exists():
            raise DataError(f"{folder.root / 'postgres'} exists; rename it first, or choose another directory with --data")
        folder.adopt_secrets((source / "secrets.json").read_bytes())
        passwords = folder.secrets().role_passwords
        if postgres is not None:
            return restore_backup(source, postgres, passwords)
        server = postgres_of(folder, free_port())
        with serving(server):
            return restore_backup(source, server.url(), passwords)
