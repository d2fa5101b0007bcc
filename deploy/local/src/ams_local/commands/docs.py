"""``ams docs``."""

import sys

import click

from ams_local.documentation import DocumentationError, build


@click.command()
def docs() -> None:
    """Build the documentation site, which the platform serves under /docs/. Does nothing when it is up to date."""
    try:
        folder = build()
    except DocumentationError as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(1)
    click.echo(f"{folder / 'index.html'}")
