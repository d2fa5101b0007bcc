"""Options that several commands share."""

from pathlib import Path

import click

from ams_local.data import DEFAULT_FOLDER

data_option = click.option(
    "--data",
    envvar="AMS_DATA_DIR",
    default=DEFAULT_FOLDER,
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The data directory.",
)
