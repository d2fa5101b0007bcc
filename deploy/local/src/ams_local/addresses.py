"""Servers that a person names instead of the embedded ones: read, and asked once before anything starts."""

import re
import socket
from urllib.parse import urlsplit

from ams_local.plan import Database
from ams_local.servers.base import ServerError

CONNECT_TIMEOUT_SECONDS = 3
POSTGRES_PORT, REDIS_PORT = 5432, 6379
WRITABLE = "target_session_attrs=read-write"  # of several hosts the one that is the primary


def _split(url: str, schemes: tuple[str, ...], option: str, example: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme not in schemes or not host:
        raise ServerError(f"{option} needs an address like {example}")
    return host, port


def postgres_address(url: str) -> tuple[Database, list[tuple[str, int]]]:
    """Where ``--postgres`` says that Postgres is, as the services get it, and each host with its port."""
    scheme, separator, rest = url.partition("://")
    place, _, path = rest.partition("/")
    _, _, listed = place.rpartition("@")
    example = "postgresql://user:password@host:5432/postgres"
    hosts = [
        _split(f"{scheme}{separator}{one}", ("postgresql", "postgres"), "--postgres", example, POSTGRES_PORT) for one in listed.split(",")
    ]
    options = path.partition("?")[2]
    if len(hosts) > 1 and "target_session_attrs" not in options:
        options = f"{options}&{WRITABLE}" if options else WRITABLE
    shown = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    return Database(hosts=shown, options=options), hosts


def check_address(host: str, port: int, option: str) -> None:
    """Fail with a sentence when nobody listens there."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ServerError(f"{option}: nothing answers at {host}:{port} ({error.strerror or error})") from error


def check_postgres(url: str, option: str = "--postgres") -> Database:
    """Read an address of Postgres and ask its hosts; one of several that answers is enough.

    Raises:
        ServerError: It is no such address, or nobody is there.
    """
    database, hosts = postgres_address(url)
    _check_one_of(hosts, option)
    return database


def _check_one_of(hosts: list[tuple[str, int]], option: str) -> None:
    for index, (host, port) in enumerate(hosts):
        try:
            check_address(host, port, option)
        except ServerError:
            if index == len(hosts) - 1:
                raise
        else:
            return


def check_redis(url: str) -> str:
    """Read and ask an address of Redis or Valkey, whose user may be ``{service}``; see ``check_postgres``."""
    host, port = _split(url, ("redis",), "--redis", "redis://:password@host:6379/0", REDIS_PORT)
    check_address(host, port, "--redis")
    return url


def check_kafka(address: str) -> str:
    """Read and ask ``HOST:PORT`` of a broker, several separated by commas; one that answers is enough. See ``check_postgres``."""
    hosts: list[tuple[str, int]] = []
    for one in address.split(","):
        match = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", one.strip())
        if match is None or not 0 < int(match[2]) < 65_536:  # noqa: PLR2004  ports
            raise ServerError("--kafka needs an address like host:9092")
        hosts.append((match[1], int(match[2])))
    _check_one_of(hosts, "--kafka")
    return address
