"""``ams keys rotate``."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.commands.running import running_identity
from ams_local.internal import InternalError

WAIT_SECONDS_MAX = 60.0


@click.group()
def keys() -> None:
    """Manage the keys that sign access tokens."""


@keys.command()
@data_option
def rotate(data: Path) -> None:
    """Sign access tokens with another key. Nobody is signed out; returns when the new key signs."""
    client, _ = running_identity(data)
    try:
        rotation = client.rotate_signing_keys()
    except InternalError as error:
        click.echo(f"the signing keys were not rotated: {error}", err=True)
        sys.exit(1)
    signs_from = datetime.fromisoformat(rotation["signs_from"])
    time.sleep(min(WAIT_SECONDS_MAX, max(0.0, (signs_from - datetime.now(UTC)).total_seconds())))
    click.echo(
        f"key {rotation['kid']} signs since {signs_from:%Y-%m-%d %H:%M:%S} UTC; tokens of the one before stay valid until they expire"
    )
