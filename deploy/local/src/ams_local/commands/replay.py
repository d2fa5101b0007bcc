"""``ams replay``."""

import os
import subprocess
import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.data import DataDir
from ams_local.plan import Database

DATABASE = "ams_traces"


@click.command()
@click.option("--reprice", is_flag=True, help="Show what other prices would change: today's list prices, or those of --prices.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help='JSON: {"gpt-4o*": {"input": 2.5, "output": 10}}, in USD a million tokens; other models have their list prices.',
)
@click.option("--apply", "do_it", is_flag=True, help="With --reprice: do it, do not only show it.")
@click.option("--accept-differences", is_flag=True, help="Change over even if the tables are not the same.")
@click.option("--drop", is_flag=True, help="Drop the old tables at the end.")
@click.option("--abort", is_flag=True, help="Drop what an interrupted replay has built, and do nothing else.")
@click.option("--drop-old", is_flag=True, help="Drop the tables that served before, and do nothing else.")
@data_option
def replay(  # noqa: PLR0917  click passes them by name
    reprice: bool, prices: Path | None, do_it: bool, accept_differences: bool, drop: bool, abort: bool, drop_old: bool, data: Path
) -> None:
    """Build the tables again from the log while the old ones serve, compare, and change over.

    After an interruption, run it again: it resumes. The exit code is 0 when it is done, 1 when the tables differ (the old ones keep
    serving), 2 when it cannot be, 75 when it was interrupted.
    """
    folder = DataDir(data)
    if folder.owner() is None:
        click.echo(f"nothing runs on {folder.root}; start it with: ams up", err=True)
        sys.exit(2)
    addresses, passwords = folder.addresses(), folder.secrets().role_passwords
    database = Database(hosts=addresses.postgres, options=addresses.postgres_options)
    environ = {
        "AMS_DATABASE_URL": database.url("ams_writer", passwords["ams_writer"], DATABASE),
        "AMS_OWNER_DATABASE_URL": database.url("ams_owner", passwords["ams_owner"], DATABASE),
        "AMS_KAFKA_BOOTSTRAP": addresses.kafka,
    }
    flags = {
        "--reprice": reprice,
        "--apply": do_it,
        "--accept-differences": accept_differences,
        "--drop": drop,
        "--abort": abort,
        "--drop-old": drop_old,
    }
    words = [name for name, given in flags.items() if given] + (["--prices", str(prices)] if prices is not None else [])
    try:
        code = subprocess.run(  # noqa: S603  our own module
            [sys.executable, "-m", "ams_trace_ingest", "replay", *words], env={**os.environ, **environ}, check=False
        ).returncode
    except KeyboardInterrupt:  # the other process received it too, and has printed what to do
        code = 75
    sys.exit(code)
