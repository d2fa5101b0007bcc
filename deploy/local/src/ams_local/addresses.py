"""Servers that a person names instead of the embedded ones: read, and asked once before anything starts."""

import re
import socket
from urllib.parse import urlsplit

from ams_local.plan import Database
from ams_local.servers.base import ServerError

CONNECT_TIMEOUT_SECONDS = 3
POSTGRES_PORT, REDIS_PORT = 5432, 6379


def _split(url: str, schemes: tuple[str, ...], option: str, example: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme not in schemes or not host:
        raise ServerError(f"{option} needs an address like {example}")
    return host, port


def postgres_address(url: str) -> Database:
    """Host and port of ``--postgres``."""
    host, port = _split(url, ("postgresql", "postgres"), "--postgres", "postgresql://user:password@host:5432/postgres", POSTGRES_PORT)
    return Database(host=f"[{host}]" if ":" in host else host, port=port)


def check_address(host: str, port: int, option: str) -> None:
    """Fail with a sentence when nobody listens there."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ServerError(f"{option}: nothing answers at {host}:{port} ({error.strerror or error})") from error


def check_postgres(url: str, option: str = "--postgres") -> Database:
    """Read and ask an address of Postgres.

    Raises:
        ServerError: It is no such address, nobody is there, or it is not Postgres.
    """
    address = postgres_address(url)
    check_address(address.host.strip("[]"), address.port, option)
    return address


def check_redis(url: str) -> str:
    """Read and ask an address of Redis or Valkey; see ``check_postgres``."""
    host, port = _split(url, ("redis",), "--redis", "redis://:password@host:6379/0", REDIS_PORT)
    check_address(host, port, "--redis")
    return url


def check_kafka(address: str) -> str:
    """Read and ask ``HOST:PORT`` of a broker, several separated by commas; one that answers is enough. See ``check_postgres``."""
    last: ServerError | None = None
    for one in address.split(","):
        match = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", one.strip())
        if match is None or not 0 < int(match[2]) < 65_536:  # noqa: PLR2004  ports
            raise ServerError("--kafka needs an address like host:9092")
        try:
            check_address(match[1], int(match[2]), "--kafka")
        except ServerError as error:
            last = error
        else:
            return address
    raise last or ServerError("--kafka needs an address like host:9092")
