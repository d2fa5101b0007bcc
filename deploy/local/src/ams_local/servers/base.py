"""What the launchers have in common: a command, a way to prepare its data, a way to see that it answers."""

import asyncio
import random
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from ams_local.process import Identity

LOOPBACK = "127.0.0.1"
PROBE_TIMEOUT_SECONDS = 1
PORTS = range(20_000, 32_000)  # below the ports that the kernel gives to outgoing connections, which could take one before its server does


class ServerError(RuntimeError):
    """A server cannot be prepared or started. The text is one sentence for the person at the terminal."""


class Command(Struct, frozen=True, kw_only=True):
    """How a server process is started and stopped."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    identity: Identity = Identity.SAME
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port of the loopback interface that nobody uses now, at random so that two runs rarely meet."""
    while True:
        port = random.choice(PORTS)  # noqa: S311  not a secret
        if port not in taken and port_is_free(port):
            return port


async def ask(port: int, request: bytes, *, host: str = LOOPBACK, until: bytes | int = 1) -> bytes:
    """Send bytes and read an answer, within one second in all.

    Args:
        port: Where.
        request: What is sent.
        host: Where.
        until: The bytes with which the answer ends, or how many bytes of it are enough.

    Returns:
        What came; empty when nobody answers.
    """
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return await (reader.readexactly(until) if isinstance(until, int) else reader.readuntil(until))
            finally:
                writer.close()
    except (OSError, EOFError, asyncio.LimitOverrunError):
        return b""


async def http_status(port: int, path: str, *, host: str = LOOPBACK) -> int:
    """The status code of a GET, 0 when nobody answers."""
    line = await ask(port, f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode(), host=host, until=b"\r\n")
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
