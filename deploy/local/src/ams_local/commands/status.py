"""``ams status``."""

import sys
import time
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir

NOT_RUNNING = 3  # as `systemctl status` answers


def _age(since_s: int) -> str:
    seconds = max(0, int(time.time()) - since_s)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@click.command()
@data_option
def status(data: Path) -> None:
    """Show what runs. The exit code is 0 when everything is ready, 1 when not yet, 3 when nothing runs."""
    folder = DataDir(data)
    pid, known = folder.owner(), folder.status()
    if pid is None or known is None:
        click.echo(f"nothing runs on {folder.root}")
        sys.exit(NOT_RUNNING)
    ready = known.ready and all(one.state == "ready" for one in known.processes.values())
    click.echo(
        f"AMS is {'ready' if ready else 'not ready'} at {known.public_url} (process {pid}, for {_age(known.started_s)}, data in {folder.root})"
    )
    for name, one in known.processes.items():
        restarts = f", started again {one.restarts} times" if one.restarts else ""
        click.echo(f"  {name:<14} {one.state:<10} {one.pid or '-':>8}  for {_age(one.since_s)}{restarts}")
    click.echo(f"  Kafka for AMS_TRANSPORT=kafka: {folder.addresses().kafka}")
    sys.exit(0 if ready else 1)
