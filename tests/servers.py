"""Fixtures of real servers and a real browser, for the tests of every distribution.

Where a server comes from: ``AMS_TEST_POSTGRES_URL``, ``AMS_TEST_REDIS_URL``, ``AMS_TEST_KAFKA`` > containers (``AMS_TEST_CONTAINERS=1``) >
the embedded ones, one set for the whole run and shared by its xdist workers. What cannot be had skips the test, unless
``AMS_REQUIRE_ALL=1``: then it fails. Tests share the servers: databases, topics and key prefixes are named per test or per worker.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

from ams_local.process import die_with_parent

HOST_VARIABLE = "AMS_TEST_SERVER_HOST"
VARIABLES = {"postgres": "AMS_TEST_POSTGRES_URL", "redis": "AMS_TEST_REDIS_URL", "kafka": "AMS_TEST_KAFKA"}
ANSWER_TIMEOUT_SECONDS = 90
host_key = pytest.StashKey[subprocess.Popen[bytes]]()


def missing(reason: str) -> None:
    """Skip, or fail where everything is required."""
    if os.environ.get("AMS_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def begin_host() -> subprocess.Popen[bytes]:
    """Start the server host beside this process; it starts no server before one is asked for."""
    address = Path(tempfile.mkdtemp(prefix="ams-test-")) / "host"
    os.environ[HOST_VARIABLE] = str(address)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.server_host", str(address)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509  called before there is another thread
    )


def end_host(host: subprocess.Popen[bytes]) -> None:
    """Stop the host and its servers."""
    host.terminate()
    host.wait(15)
    shutil.rmtree(Path(os.environ.pop(HOST_VARIABLE)).parent)


def pytest_configure(config: pytest.Config) -> None:
    """One host for the run, by its first process."""
    if hasattr(config, "workerinput") or HOST_VARIABLE in os.environ or all(name in os.environ for name in VARIABLES.values()):
        return
    config.stash[host_key] = begin_host()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Its end is the run's."""
    host = config.stash.get(host_key, None)
    if host is not None:
        end_host(host)


def ask_host(name: str) -> str:
    """The address of an embedded server, started now if nobody asked before."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT_SECONDS)
        address = os.environ[HOST_VARIABLE]
        for _ in range(200):  # the host needs a moment to listen
            try:
                connection.connect(address)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        connection.sendall(name.encode() + b"\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    kind, _, text = answer.decode().partition(" ")
    if kind != "ok":
        missing(f"no {name}: {text}")
    return text


def container(name: str) -> Iterator[str]:
    """A server in a container of this process."""
    if name == "postgres":
        password = secrets.token_hex(8)
        with DockerContainer("postgres:18").with_env("POSTGRES_PASSWORD", password).with_exposed_ports(5432) as one:
            wait_for_logs(one, "listening on IPv4", timeout=60)
            yield f"postgresql://postgres:{password}@{one.get_container_host_ip()}:{one.get_exposed_port(5432)}/postgres"
    elif name == "redis":
        with DockerContainer("valkey/valkey:9").with_exposed_ports(6379) as one:
            wait_for_logs(one, "Ready to accept connections", timeout=60)
            yield f"redis://{one.get_container_host_ip()}:{one.get_exposed_port(6379)}/0"
    else:
        with DockerContainer("apache/kafka:4.3.1").with_bind_ports(9092, 9092) as one:
            wait_for_logs(one, "Kafka Server started", timeout=60)
            yield f"{one.get_container_host_ip()}:9092"


def server(name: str) -> Iterator[str]:
    """The address of a server, by the order above."""
    if VARIABLES[name] in os.environ:
        yield os.environ[VARIABLES[name]]
    elif os.environ.get("AMS_TEST_CONTAINERS") == "1":
        yield from container(name)
    else:
        yield ask_host(name)


@pytest.fixture(scope="session")
def postgres_admin_url() -> Iterator[str]:
    """A Postgres whose role may create databases and roles: ``postgresql://...``."""
    yield from server("postgres")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Valkey; shared, so keys need a prefix of their own and nobody flushes it."""
    yield from server("redis")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """A broker's ``host:port``; shared, so topics need names of their own."""
    yield from server("kafka")
