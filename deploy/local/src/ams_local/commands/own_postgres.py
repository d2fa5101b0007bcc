"""The Postgres of a data directory, for commands that need it while the platform may be stopped."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager

from ams_local.data import DataDir
from ams_local.process import spawn
from ams_local.servers.base import ServerError
from ams_local.servers.postgres import Postgres

START_SECONDS = 60
STOP_SECONDS = 60


def postgres_of(folder: DataDir, port: int) -> Postgres:
    """The server of a data directory, on a port."""
    return Postgres(data=folder.root / "postgres", port=port, password=folder.secrets().postgres_password)


@contextmanager
def serving(postgres: Postgres) -> Generator[None]:
    """Run a server; its cluster is made when there is none. The directory's lock must be held."""
    postgres.prepare()
    command = postgres.command()
    server = spawn(command.argv, identity=command.identity, death_signal=command.death_signal)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not asyncio.run(postgres.answers()):
            if server.poll() is not None or time.monotonic() > deadline:
                raise ServerError("Postgres of the data directory does not start; ./ams up says why")
            time.sleep(0.1)
        yield
    finally:
        server.send_signal(command.stop_signal)
        server.wait(STOP_SECONDS)


@contextmanager
def running(folder: DataDir) -> Generator[None]:
    """Run the data directory's own Postgres for a moment, unless the platform runs it or uses another one."""
    if folder.owner() is not None or not (folder.root / "postgres").exists():
        yield
        return
    with folder.lock(), serving(postgres_of(folder, folder.known_ports()["postgres"])):
        yield
