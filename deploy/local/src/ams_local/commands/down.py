"""``ams down``."""

import os
import select
import signal
import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir

STOP_TIMEOUT_SECONDS = 15


@click.command()
@data_option
def down(data: Path) -> None:
    """Stop the platform that runs on a data directory."""
    folder = DataDir(data)
    pid = folder.owner()
    if pid is None:
        click.echo(f"nothing runs on {folder.root}")
        return
    try:
        process = os.pidfd_open(pid)
        signal.pidfd_send_signal(process, signal.SIGTERM)
    except ProcessLookupError:
        click.echo(f"nothing runs on {folder.root} any more")
        return
    except PermissionError:
        click.echo(f"process {pid} belongs to another user", err=True)
        sys.exit(2)
    ended, _, _ = select.select([process], [], [], STOP_TIMEOUT_SECONDS)
    if not ended:
        click.echo(
            f"process {pid} does not stop; look into {folder.logs}, or end it with kill -9 {pid} (nothing is lost by that)", err=True
        )
        sys.exit(1)
    click.echo("stopped")
