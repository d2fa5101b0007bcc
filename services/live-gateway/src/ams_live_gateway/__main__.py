"""``ams-live-gateway serve``."""

import argparse
import os

from ams_kit.service import run
from ams_kit.settings import read_settings
from ams_live_gateway.app import make_app
from ams_live_gateway.protocol import LiveProtocol
from ams_live_gateway.settings import Settings

SERVICE = "live-gateway"


def main(argv: list[str] | None = None) -> None:
    """Run the service until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ams-live-gateway", description="Live updates of AMS over websockets.")
    parser.add_argument("command", choices=["serve"])
    parser.parse_args(argv)
    settings = read_settings(Settings, os.environ, SERVICE)
    run(
        SERVICE,
        lambda: make_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        websocket_protocol=LiveProtocol,
        otel=settings.otel,
    )


if __name__ == "__main__":
    main()
