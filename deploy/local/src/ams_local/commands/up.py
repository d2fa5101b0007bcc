"""``ams up``."""

import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.servers.base import LOOPBACK
from ams_local.up import Options
from ams_local.up import up as run


@click.command()
@click.option("--demo", is_flag=True, help="Also run an example agent, and print a link that signs you in.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65_535), help="Where the explorer and the API answer.")
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to bind; 0.0.0.0 lets other machines in.")
@click.option(
    "--otlp-grpc-port", type=click.IntRange(0, 65_535), help="Where OTLP over gRPC is taken; 0: nowhere.  [default: 4317 if it is free]"
)
@data_option
@click.option("--kafka", metavar="HOST:PORT", help="Use this broker instead of an embedded one.")
@click.option("--postgres", metavar="URL", help="Use this Postgres (a role that may create roles and databases).")
@click.option(
    "--redis",
    metavar="URL",
    help="Use this Redis or Valkey. With {service} as its user, each service signs in as a user of its own (ams secrets redis-users).",
)
def up(  # noqa: PLR0917  click passes them by name
    demo: bool,
    port: int,
    host: str,
    otlp_grpc_port: int | None,
    data: Path,
    kafka: str | None,
    postgres: str | None,
    redis: str | None,
) -> None:
    """Start the whole platform on this machine and stay until Ctrl-C."""
    options = Options(
        demo=demo, port=port, host=host, data=data, kafka=kafka, postgres=postgres, redis=redis, otlp_grpc_port=otlp_grpc_port
    )
    sys.exit(run(options))
