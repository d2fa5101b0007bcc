"""The identity service of a running platform, for the commands that ask it."""

import sys
from pathlib import Path

import click

from ams_local.data import DataDir, Status
from ams_local.internal import IdentityClient
from ams_local.servers.base import LOOPBACK


def running_identity(data: Path) -> tuple[IdentityClient, Status]:
    """Return a client of the identity service that runs on a data directory, and the platform's status.

    Raises:
        SystemExit: Nothing runs there; a sentence says how to start it.
    """
    folder = DataDir(data)
    status = folder.status()
    if folder.owner() is None or status is None:
        click.echo(f"nothing runs on {folder.root}; start it with: ams up", err=True)
        sys.exit(2)
    return IdentityClient(f"http://{LOOPBACK}:{folder.known_ports()['identity']}", folder.secrets().service_secret), status
