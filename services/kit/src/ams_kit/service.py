"""Runs a service process: uvicorn on one address, a clean stop on SIGTERM, and exit code 2 with one sentence for a wrong setting."""

import asyncio
import importlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import structlog
import uvicorn
from litestar import Litestar
from msgspec import Struct

from ams_kit.http.protocol import HttpProtocol
from ams_kit.otel_settings import OtelSettings
from ams_kit.telemetry import tracing
from ams_kit.telemetry.logs import configure_logging

GRACEFUL_SHUTDOWN_SECONDS = 4  # the platform stops within 10 s: 4 for open requests, the rest for flushes
KEEP_ALIVE_SECONDS = 150  # longer than any client keeps an idle connection (Caddy 120 s, httpx 5 s), so that the client closes first
WS_MESSAGE_BYTES_MAX = 16_384

logger = structlog.get_logger(__name__)


class Address(Struct, frozen=True, kw_only=True):
    """The address on which a process listens."""

    host: str = "127.0.0.1"
    port: int = 0


def _exit_cleanly(number: int, frame: object) -> NoReturn:  # noqa: ARG001  the signature of a signal's handler
    raise SystemExit(0)


def _observed(service: str, make_app: Callable[[], Litestar], otel: OtelSettings) -> Litestar:
    """Build the application of a process that reports about itself. Only such a process imports OpenTelemetry's packages."""
    own = importlib.import_module("ams_kit.telemetry.otel.own").OwnTelemetry(service, otel)
    tracing.activate(own)
    app = make_app()
    app.asgi_handler = own.traced(app.asgi_handler)

    async def start() -> None:
        app.state.background.spawn("own-telemetry", own.exporter.run)

    app.on_startup.append(start)
    app.on_shutdown.append(own.exporter.close)
    return app


def run(
    service: str,
    make_app: Callable[[], Litestar],
    *,
    host: str,
    port: int,
    log_level: str = "INFO",
    websocket_protocol: type[asyncio.Protocol] | None = None,
    otel: OtelSettings | None = None,
) -> None:
    """Serve an application until SIGTERM or SIGINT. A requested stop is no failure: the exit code is 0.

    Args:
        service: The service's name in every log line.
        make_app: The composition root, called once in this process.
        host: The address to bind.
        port: 0 picks a free one.
        log_level: A name of the standard library's levels.
        websocket_protocol: uvicorn's own (``websockets-sansio``) or a subclass of it.
        otel: Where the process sends traces and metrics of itself; ``None``: it makes none.
    """
    configure_logging(service, log_level)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        sys.stderr.write(f"{service}: cannot listen on {host}:{port}: {error.strerror}\n")
        raise SystemExit(2) from None
    config = uvicorn.Config(
        make_app() if otel is None else _observed(service, make_app, otel),
        loop="uvloop",
        http=HttpProtocol,
        ws=websocket_protocol or "websockets-sansio",
        ws_max_size=WS_MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        backlog=2_048,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_cleanly)  # uvicorn stops cleanly, restores this handler and raises the signal again
    logger.info("listening", host=host, port=listener.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listener])
