"""The data directory: one owner at a time, a version, secrets of mode 600, ports that stay, what runs now.

```
.ams/
  version            of this layout; a newer one is refused
  lock               held by the supervisor for as long as it lives; holds its process id
  secrets.json       made at the first start, mode 600
  ports.json         chosen free, kept while they are
  addresses.json     the servers in use, embedded or not
  status.json        what the supervisor runs, for `ams status`
  logs/<name>.log    one file a process, with one older generation
  postgres/ valkey/ kafka/ caddy/ sdk/
```
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, field

from ams_local.servers.base import free_port, port_is_free

LAYOUT_VERSION = 1
DEFAULT_FOLDER = ".ams"
OTHERS = 0o077  # the rights of group and others


class DataError(RuntimeError):
    """The data directory cannot be used. The text is one sentence for the person at the terminal."""


class Secrets(Struct, frozen=True, kw_only=True):
    """What only this installation knows. ``secret_key_previous``: what encrypted identity's keys before a rotation, until they are encrypted with ``secret_key``."""

    secret_key: str
    secret_key_previous: str = ""
    service_secret: str
    postgres_password: str
    valkey_password: str
    role_passwords: dict[str, str]


class Addresses(Struct, frozen=True, kw_only=True):
    """Where the servers are that the platform uses, embedded or not: for commands beside it.

    Attributes:
        kafka: ``host:port``.
        postgres: Hosts with ports of the traces database, whose roles' passwords are among the secrets.
        postgres_options: The query of its URL.
    """

    kafka: str
    postgres: str
    postgres_options: str = ""


class ProcessStatus(Struct, kw_only=True):
    """One process as the supervisor sees it.

    Attributes:
        state: waiting, starting, ready, restarting, stopped.
        pid: 0 when there is none.
        restarts: How often it had to be started again.
        since_s: When the state was entered, seconds since 1970.
        log: Its file.
    """

    state: str = "waiting"
    pid: int = 0
    restarts: int = 0
    since_s: int = 0
    log: str = ""


class Status(Struct, kw_only=True):
    """What runs now."""

    pid: int
    public_url: str
    started_s: int
    ready: bool = False
    processes: dict[str, ProcessStatus] = field(default_factory=dict)


class DataDir:
    """The files of one installation. Nothing is written before ``lock`` is held."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.logs = self.root / "logs"
        self.sdk = self.root / "sdk"

    @contextmanager
    def lock(self) -> Generator[None]:
        """Own the directory until the block ends, or the process does. Files of this process and its children are private from here on.

        Raises:
            DataError: Another process owns it, it was written by a newer version, or it cannot be written.
        """
        umask = os.umask(OTHERS)
        try:
            with self._owned():
                yield
        finally:
            os.umask(umask)

    @contextmanager
    def _owned(self) -> Generator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataError(f"the data directory {self.root} cannot be used: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(
                    f"the data directory {self.root} is in use by process {self.owner() or 'unknown'}; `ams status` shows it, `ams down` stops it"
                ) from None
            self._check_version()
            self._close_to_others()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self.logs.mkdir(exist_ok=True)
            yield
        finally:
            os.close(descriptor)

    def _close_to_others(self) -> None:
        """Make everything here readable by its owner only: Kafka's log holds prompts and answers. An older installation may have left it open.

        Raises:
            DataError: The directory belongs to another user.
        """
        cluster = self.root / "postgres"
        foreign = cluster.exists() and cluster.stat().st_uid != os.geteuid()  # its server must pass through this directory
        try:
            for path in [*([] if foreign else [self.root]), *self.root.iterdir()]:
                if path.is_symlink() or path == cluster:
                    continue
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & OTHERS:
                    path.chmod(mode & ~OTHERS)
        except PermissionError as error:
            raise DataError(
                f"{error.filename} belongs to another user and others can read it; run as that user, or choose another directory with --data"
            ) from error

    def _check_version(self) -> None:
        path = self.root / "version"
        if not path.exists():
            path.write_text(f"{LAYOUT_VERSION}\n", encoding="ascii")
            return
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        if not text.isdigit():
            raise DataError(f"{path} holds no version; is {self.root} really a data directory of AMS?")
        if int(text) > LAYOUT_VERSION:
            raise DataError(
                f"the data directory {self.root} was written by a newer AMS (layout {text}, this one knows {LAYOUT_VERSION}); update AMS or choose another with --data"
            )

    def owner(self) -> int | None:
        """The process id of the supervisor that runs here now, None when nobody does."""
        try:
            with (self.root / "lock").open("r+", encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    text = file.read().strip()
                    return int(text) if text.isdigit() else None
        except OSError:
            return None
        return None

    def secrets(self) -> Secrets:
        """The secrets, made when there are none yet."""
        path = self.root / "secrets.json"
        if path.exists():
            try:
                return msgspec.json.decode(path.read_bytes(), type=Secrets)
            except msgspec.DecodeError as error:
                raise DataError(f"{path} cannot be read: {error}") from error
        made = Secrets(
            secret_key=secrets.token_urlsafe(32),
            service_secret=secrets.token_urlsafe(32),
            postgres_password=secrets.token_hex(16),
            valkey_password=secrets.token_hex(16),
            role_passwords={role: secrets.token_hex(16) for role in ("ams_identity", "ams_owner", "ams_writer", "ams_reader")},
        )
        self._write_private(path, msgspec.json.encode(made))
        return made

    def adopt_secrets(self, content: bytes) -> None:
        """Use the secrets of a backup. The lock must be held, so nothing runs.

        Raises:
            DataError: They cannot be read, or the directory has others.
        """
        path = self.root / "secrets.json"
        try:
            adopted = msgspec.json.decode(content, type=Secrets)
        except msgspec.DecodeError as error:
            raise DataError(f"the secrets of the backup cannot be read: {error}") from error
        if path.exists() and self.secrets().secret_key != adopted.secret_key:
            raise DataError(f"{path} has other secrets than the backup; rename it, or choose another directory with --data")
        self._write_private(path, content)

    def rotate_secrets(self) -> None:
        """Replace the secrets that no server keeps. The lock must be held, so nothing runs.

        Raises:
            DataError: The last rotation has not taken effect.
        """
        old = self.secrets()
        if old.secret_key_previous:
            raise DataError("the last rotation has not taken effect; start the platform once with `ams up`, then rotate again")
        rotated = msgspec.structs.replace(
            old,
            secret_key=secrets.token_urlsafe(32),
            secret_key_previous=old.secret_key,
            service_secret=secrets.token_urlsafe(32),
            role_passwords={role: secrets.token_hex(16) for role in old.role_passwords},
        )
        self._write_private(self.root / "secrets.json", msgspec.json.encode(rotated))

    def forget_previous_secret(self) -> None:
        """Delete the previous secret key, once identity has started with the new one."""
        known = self.secrets()
        if known.secret_key_previous:
            self._write_private(self.root / "secrets.json", msgspec.json.encode(msgspec.structs.replace(known, secret_key_previous="")))

    def ports(self, names: list[str]) -> Mapping[str, int]:
        """A port for each name: the one of last time if it is free, else another."""
        path = self.root / "ports.json"
        try:
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            known = {}
        chosen: dict[str, int] = {}
        for name in names:
            port = known.get(name, 0)
            if not port or port in chosen.values() or not port_is_free(port):
                port = free_port(frozenset(chosen.values()))
            chosen[name] = port
        self._write_private(path, msgspec.json.encode(chosen))
        return chosen

    def known_ports(self) -> Mapping[str, int]:
        """The ports of the platform that runs here."""
        return msgspec.json.decode((self.root / "ports.json").read_bytes(), type=dict[str, int])

    def write_addresses(self, addresses: Addresses) -> None:
        self._write_private(self.root / "addresses.json", msgspec.json.encode(addresses))

    def addresses(self) -> Addresses:
        """The servers of the platform that runs here."""
        return msgspec.json.decode((self.root / "addresses.json").read_bytes(), type=Addresses)

    def write_status(self, status: Status) -> None:
        self._write_private(self.root / "status.json", msgspec.json.encode(status))

    def status(self) -> Status | None:
        try:
            return msgspec.json.decode((self.root / "status.json").read_bytes(), type=Status)
        except (OSError, msgspec.DecodeError):
            return None

    def _write_private(self, path: Path, content: bytes) -> None:
        """Replace a file at once, readable by its owner only."""
        scratch = path.with_name(path.name + ".new")
        scratch.unlink(missing_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        scratch.replace(path)
