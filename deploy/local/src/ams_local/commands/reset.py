"""``ams reset``."""

import shutil
import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@data_option
def reset(yes: bool, data: Path) -> None:
    """Delete everything in the data directory: accounts, keys, tasks."""
    folder = DataDir(data)
    if not folder.root.exists():
        click.echo(f"there is nothing at {folder.root}")
        return
    if not (folder.root / "version").exists():
        click.echo(f"{folder.root} is not a data directory of AMS; it is left as it is", err=True)
        sys.exit(2)
    if (pid := folder.owner()) is not None:
        click.echo(f"{folder.root} is in use by process {pid}; stop it first: ams down", err=True)
        sys.exit(2)
    if not yes and not click.confirm(f"Delete everything in {folder.root}?"):
        click.echo("nothing was deleted")
        return
    shutil.rmtree(folder.root)
    click.echo("deleted")
