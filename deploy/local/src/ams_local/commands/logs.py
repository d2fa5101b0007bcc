"""``ams logs``."""

import sys
import time
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir
from ams_local.logs import Follower, last_lines

FOLLOW_INTERVAL_SECONDS = 0.3


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0, 10_000), help="How many lines of each.")
@data_option
def logs(name: str | None, follow: bool, lines: int, data: Path) -> None:
    """Show what the processes wrote; NAME is one of those that `ams status` lists."""
    folder = DataDir(data).logs
    files = sorted(folder.glob("*.log"))
    names = [file.stem for file in files]
    if name is not None:
        if name not in names:
            click.echo(f"there is no log of {name}; there are: {', '.join(names) or 'none'}", err=True)
            sys.exit(2)
        files = [folder / f"{name}.log"]
    follower = Follower(files)
    for file in files:
        prefix = "" if name else f"{file.stem}: "
        for line in last_lines(file, lines if name else min(lines, 10)):
            click.echo(prefix + line)
    while follow:
        for file, line in follower.new_lines():
            click.echo(("" if name else f"{file.stem}: ") + line)
        time.sleep(FOLLOW_INTERVAL_SECONDS)
