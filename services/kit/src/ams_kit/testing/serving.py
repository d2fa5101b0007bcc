"""Serves an application over real HTTP, in a thread of the test process."""

import contextlib
import socket
import threading
from collections.abc import Generator

import uvicorn
from litestar import Litestar

from ams_kit.http.protocol import HttpProtocol

START_SECONDS = 20


def free_port() -> int:
    """A loopback port that nothing uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(app: Litestar) -> Generator[str]:
    """Serve an application on a free loopback port, with the settings of ``ams_kit.service.run``.

    Yields:
        The base URL. The application starts with the block and stops at its end.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        loop="uvloop",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=4,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serving", daemon=True)
    listener.listen(2_048)  # connections wait here until the server is ready
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()
