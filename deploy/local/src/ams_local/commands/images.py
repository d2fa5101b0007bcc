"""``ams images``."""

import sys
from pathlib import Path

import click

from ams_local.images import ENGINES, IMAGES, build, chart_version, find_engine, reference, write_rootfs
from ams_local.servers.base import ServerError


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(IMAGES), metavar="[IMAGE]...")
@click.option("--registry", default="", help="Put before the names, for example registry.example.com/platform.")
@click.option("--tag", default=None, help="[default: the chart's appVersion]")
@click.option("--base", default=None, help="The image below: Debian with Python 3.11.  [default: python:3.11-slim-bookworm]")
@click.option("--engine", type=click.Choice(ENGINES), default=None, help="[default: the first that answers]")
@click.option(
    "--rootfs", type=click.Path(path_type=Path, file_okay=False), help="Write the files of each image below this folder, without an engine."
)
def images(*, names: tuple[str, ...], registry: str, tag: str | None, base: str | None, engine: str | None, rootfs: Path | None) -> None:
    """Build the container images: all of them, or each IMAGE."""
    chosen = names or IMAGES
    try:
        if rootfs is not None:
            for image in chosen:
                write_rootfs(image, rootfs / image)
            return
        version = tag or chart_version()
        answering = find_engine((engine,) if engine else ENGINES)
        for image in chosen:
            name = reference(image, registry, version)
            click.echo(f"building {name} with {answering} ...")
            build(answering, image, name, version, ("--build-arg", f"BASE={base}") if base else ())
    except ServerError as error:
        click.echo(f"ams: {error}", err=True)
        sys.exit(2)
    click.echo(f"built {len(chosen)} images; push them with '{answering} push', then set image.registry and image.tag of the chart")
