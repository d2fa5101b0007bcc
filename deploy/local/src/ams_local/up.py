"""From the words of the command line to a running supervisor."""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

from msgspec import Struct

from ams_local import plan
from ams_local.addresses import check_kafka, check_postgres, check_redis
from ams_local.data import Addresses, DataDir, DataError
from ams_local.documentation import SITE, announce
from ams_local.servers.base import LOOPBACK, ServerError, port_is_free
from ams_local.servers.caddy import STRICT_TRANSPORT_SECONDS, Caddy, parse_hosts, parse_strict_transport
from ams_local.servers.jars import kafka_is_here
from ams_local.servers.kafka import Kafka
from ams_local.servers.postgres import Postgres
from ams_local.servers.valkey import USERS, Valkey, urls_of_services
from ams_local.supervisor import Servers, Supervisor
from ams_local.wheels import build_wheel
from ams_local.workspace import EXPLORER

OTLP_PORT = 4318
GRPC_PORT = 4317
LOOPBACK_6 = "::1"
USAGE_ERROR = 2  # the exit code for what the person can change: a port, a directory, an address


class Options(Struct, frozen=True, kw_only=True):
    """What the person said. None means: an embedded server, and for ``otlp_grpc_port``: 4317 if that is free."""

    demo: bool = False
    port: int = 8080
    host: str = LOOPBACK
    data: Path
    kafka: str | None = None
    postgres: str | None = None
    redis: str | None = None
    otlp_grpc_port: int | None = None


def say(line: str) -> None:
    """One line for the person, at once also through a pipe."""
    with contextlib.suppress(OSError):  # nobody reads any more; that is no reason to stop
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _hosts(options: Options) -> tuple[str, ...]:
    """``localhost`` is ::1 first on many machines, so both loopbacks are bound where there are two."""
    if options.host != LOOPBACK:
        return (options.host,)
    return (LOOPBACK, LOOPBACK_6) if socket.has_ipv6 and port_is_free(0, LOOPBACK_6) else (LOOPBACK,)


def _check_port(options: Options) -> tuple[str, ...]:
    hosts = _hosts(options)
    for host in hosts:
        if not port_is_free(options.port, host):
            raise ServerError(f"port {options.port} of {host} is in use; stop what listens there or choose another with --port")
    return hosts


def _default_port(port: int, hosts: tuple[str, ...], options: Options, what: str) -> int | None:
    """A default port of OpenTelemetry if it can be served."""
    if port == options.port:
        return None
    if all(port_is_free(port, host) for host in hosts):
        return port
    say(f"port {port} is in use, so OpenTelemetry's default address for {what} is not served")
    return None


def _grpc_port(options: Options, hosts: tuple[str, ...]) -> int | None:
    port = options.otlp_grpc_port
    if port is None:
        return _default_port(GRPC_PORT, hosts, options, "gRPC")
    for host in hosts:
        if port and (port == options.port or not port_is_free(port, host)):
            raise ServerError(f"port {port} of {host} is in use; choose another with --otlp-grpc-port, or 0 for none")
    return port or None


def _set(names: tuple[str, ...]) -> dict[str, str]:
    """Those of the settings that the person has set."""
    return {name: value for name in names if (value := os.environ.get(name))}


def _with_options(url: str, database: plan.Database) -> str:
    return url.partition("?")[0] + (database.options and f"?{database.options}")


def _prepare(options: Options, data: DataDir) -> tuple[plan.Surroundings, Servers]:
    hosts = _check_port(options)
    grpc_port = _grpc_port(options, hosts)
    kafka_address = check_kafka(options.kafka) if options.kafka else None
    redis_url = check_redis(options.redis) if options.redis else None
    database = check_postgres(options.postgres) if options.postgres else None
    secrets, ports = data.secrets(), data.ports(plan.PORT_NAMES)
    postgres = (
        None if options.postgres else Postgres(data=data.root / "postgres", port=ports["postgres"], password=secrets.postgres_password)
    )
    valkey = None if options.redis else Valkey(data=data.root / "valkey", port=ports["valkey"], password=secrets.valkey_password)
    kafka = None if options.kafka else Kafka(data=data.root / "kafka", port=ports["kafka"], controller_port=ports["kafka_controller"])
    where = plan.Surroundings(
        public_url=os.environ.get("AMS_PUBLIC_URL", f"http://localhost:{options.port}").rstrip("/"),
        log_level=os.environ.get("AMS_LOG_LEVEL", "INFO"),
        retention_days=os.environ.get("AMS_RETENTION_DAYS", ""),
        accounts=_set(plan.ACCOUNT_SETTINGS),
        webhooks=_set(plan.WEBHOOK_SETTINGS),
        otel=_set(plan.OTEL_SETTINGS),
        cors_origins=os.environ.get("AMS_CORS_ORIGINS", ""),
        kafka=kafka_address or (kafka.bootstrap if kafka else ""),
        kafka_settings=_set(plan.KAFKA_SETTINGS) if kafka_address else {},
        topic_settings=_set(plan.TOPIC_SETTINGS) if kafka_address else {},
        redis_url=redis_url or (valkey.url if valkey else ""),
        redis_urls={name: valkey.url_of(name) for name in USERS} if valkey else urls_of_services(redis_url or "", secrets.valkey_password),
        admin_url=_with_options(options.postgres, database) if options.postgres and database else (postgres.url() if postgres else ""),
        database=database or plan.Database(hosts=f"{LOOPBACK}:{ports['postgres']}"),
        ports=ports,
        secrets=secrets,
    )
    data.write_addresses(Addresses(kafka=where.kafka, postgres=where.database.hosts, postgres_options=where.database.options))
    caddy = Caddy(
        data=data.root / "caddy",
        hosts=hosts,
        port=options.port,
        otlp_port=_default_port(OTLP_PORT, hosts, options, "HTTP"),
        grpc_port=grpc_port,
        upstreams=where.upstreams(),
        explorer=EXPLORER,
        wheels=data.sdk,
        documentation=SITE,
        public_url=where.public_url,
        allowed_hosts=parse_hosts(os.environ.get("AMS_ALLOWED_HOSTS", "")),
        strict_transport_seconds=parse_strict_transport(os.environ.get("AMS_STRICT_TRANSPORT_SECONDS", str(STRICT_TRANSPORT_SECONDS))),
    )
    servers = Servers(postgres=postgres, valkey=valkey, kafka=kafka, caddy=caddy)
    for server in (postgres, valkey, kafka, caddy):
        if server is None:
            continue
        if server is kafka and not kafka_is_here():
            say("fetching Kafka (45 MB, once per machine) ...")
        server.prepare()
    build_wheel(data.sdk)
    announce()
    return where, servers


def up(options: Options) -> int:
    """Start the platform and stay until it is stopped.

    Returns:
        The exit code: 0 stopped on request, 1 could not start, 2 something that the person can change.
    """
    data = DataDir(options.data)
    try:
        with data.lock():
            say(f"starting AMS, data in {data.root}")
            where, servers = _prepare(options, data)
            supervisor = Supervisor(data, where, servers, demo=options.demo, say=say)
            return asyncio.run(supervisor.run())
    except (DataError, ServerError) as error:
        sys.stderr.write(f"ams: {error}\n")
        return USAGE_ERROR
