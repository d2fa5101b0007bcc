"""``ams secrets rotate``."""

import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir, DataError
from ams_local.servers.valkey import acl_lines


@click.group()
def secrets() -> None:
    """Manage the secrets of the data directory."""


@secrets.command()
@data_option
def rotate(data: Path) -> None:
    """Replace AMS_SECRET_KEY, AMS_SERVICE_SECRET and the passwords of the database roles. The platform must be stopped; nobody is signed out."""
    folder = DataDir(data)
    if not (folder.root / "version").exists():
        click.echo(f"{folder.root} is not a data directory of AMS", err=True)
        sys.exit(2)
    try:
        with folder.lock():
            folder.rotate_secrets()
    except DataError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    click.echo("the secrets are replaced; the next `ams up` encrypts the keys with the new one")


@secrets.command("redis-users")
@data_option
def redis_users(data: Path) -> None:
    """Print the users of the services for the ACL file of a Redis or Valkey that `ams up --redis redis://{service}@HOST:PORT/0` uses."""
    folder = DataDir(data)
    try:
        with folder.lock():
            lines = acl_lines(folder.secrets().valkey_password)
    except DataError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    click.echo("\n".join(lines))
