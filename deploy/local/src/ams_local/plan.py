"""The processes of the platform and the settings of each: the table that the rest of this package follows."""

from collections.abc import Mapping

from msgspec import Struct

from ams_contracts.topics import TOPICS as DECLARATION
from ams_local.data import Secrets
from ams_local.servers.base import LOOPBACK
from ams_local.servers.caddy import Upstreams

HEAVY_MODULES = [
    "uvicorn",
    "uvloop",
    "httptools",
    "litestar",
    "sqlalchemy.dialects.postgresql",
    "asyncpg",
    "redis.asyncio",
    "alembic.command",
    "faststream.kafka",
    "ams_trace_ingest.app",  # its commands import what they need only when they run
    "ams_trace_ingest.projector.consume",
]
PORT_NAMES = ["postgres", "valkey", "kafka", "kafka_controller", "identity", "intake", "intake_grpc", "projector", "query", "live"]


ASKED_FOR_HEALTH = {
    "identity": "identity",
    "intake": "intake",
    "projector": "projector",
    "live-gateway": "live",
}  # service -> name of its port
WEBHOOK_SETTINGS = ("AMS_WEBHOOK_NETWORKS",)
OTEL_SETTINGS = ("AMS_OTEL_ENDPOINT", "AMS_OTEL_HEADERS", "AMS_OTEL_SAMPLE_RATIO")
"""Where every service sends telemetry of itself, from the environment of ``ams up``."""
ACCOUNT_SETTINGS = (
    "AMS_REGISTRATION",
    "AMS_ADMIN_EMAIL",
    "AMS_PASSWORD_CHARS_MIN",
    "AMS_SESSIONS_PER_ACCOUNT_MAX",
    "AMS_AUDIT_RETENTION_DAYS",
    "AMS_OIDC_ISSUERS",
    "AMS_OIDC_ISSUERS_FILE",
    "AMS_OIDC_REGISTRATION",
    "AMS_PASSWORD_LOGIN",
    "AMS_SMTP_HOST",
    "AMS_SMTP_PORT",
    "AMS_SMTP_SECURITY",
    "AMS_SMTP_USERNAME",
    "AMS_SMTP_PASSWORD",
    "AMS_SMTP_FROM",
    "AMS_EVENTS_PER_MINUTE",
    "AMS_BYTES_PER_DAY",
)
"""Settings that identity takes from the environment of ``ams up``."""
KAFKA_SETTINGS = (
    "AMS_KAFKA_TLS",
    "AMS_KAFKA_TLS_CA_FILE",
    "AMS_KAFKA_TLS_CERT_FILE",
    "AMS_KAFKA_TLS_KEY_FILE",
    "AMS_KAFKA_SASL_MECHANISM",
    "AMS_KAFKA_SASL_USER",
    "AMS_KAFKA_SASL_PASSWORD",
    "AMS_KAFKA_OAUTH_TOKEN_URL",
    "AMS_KAFKA_OAUTH_SCOPE",
)
"""How every process reaches the brokers of ``--kafka``, from the environment of ``ams up``."""
TOPIC_SETTINGS = ("AMS_TOPIC_REPLICATION", "AMS_TOPIC_MIN_ISR")
"""What new topics get, from the same."""
TABLES, TOPICS = "tables", "topics"  # what a service may need before it starts
TOPICS_DECLARED = " ".join(sorted(f"{topic.name}:{topic.partitions}" for topic in DECLARATION))
"""What the log has once its job ran. Services that find them there need not wait for the log: they wait for it by themselves."""


class Service(Struct, frozen=True, kw_only=True):
    """A process of ours.

    Attributes:
        name: Of the process.
        target: The function that runs it.
        argv: Its argument list.
        environ: Settings beyond those that every service gets.
        port: Its loopback port.
        needs: ``TABLES``, ``TOPICS`` or both.
    """

    name: str
    target: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    port: int
    needs: tuple[str, ...]


class Job(Struct, frozen=True, kw_only=True):
    """Something of ours that runs once at every start and ends."""

    name: str
    target: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]


class Database(Struct, frozen=True, kw_only=True):
    """Where Postgres is: an URL's parts without user, password and database.

    Attributes:
        hosts: ``host:port``, several separated by commas: a primary and its standbys.
        options: The URL's query, such as ``sslmode=verify-full``; empty for none.
    """

    hosts: str
    options: str = ""

    def url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{self.hosts}/{database}{self.options and '?' + self.options}"


class Surroundings(Struct, frozen=True, kw_only=True):
    """Where everything is.

    Attributes:
        public_url: What people and agents use.
        log_level: Of the services.
        retention_days: How long tables keep tasks; empty for the projector's default.
        accounts: Settings of identity that the person has set (``ACCOUNT_SETTINGS``).
        webhooks: The same of trace-query (``WEBHOOK_SETTINGS``).
        otel: Where services send telemetry of themselves (``OTEL_SETTINGS``).
        cors_origins: Origins whose pages may send telemetry; empty for none.
        kafka: ``host:port``.
        kafka_settings: How to reach it beyond that (``KAFKA_SETTINGS``).
        topic_settings: Of new topics (``TOPIC_SETTINGS``).
        redis_url: With password and database; for services when ``redis_urls`` is empty.
        redis_urls: By service, where each has a user of its own.
        admin_url: Of a Postgres role that may create roles and databases.
        database: Where the same server is for everyone else.
        ports: By the names of ``PORT_NAMES``.
        secrets: Of this installation.
    """

    public_url: str
    log_level: str
    retention_days: str = ""
    accounts: Mapping[str, str] = {}
    webhooks: Mapping[str, str] = {}
    otel: Mapping[str, str] = {}
    cors_origins: str = ""
    kafka: str
    kafka_settings: Mapping[str, str] = {}
    topic_settings: Mapping[str, str] = {}
    redis_url: str
    redis_urls: Mapping[str, str] = {}
    admin_url: str
    database: Database
    ports: Mapping[str, int]
    secrets: Secrets

    def upstreams(self) -> Upstreams:
        return Upstreams(**{name: self.ports[name] for name in ("identity", "intake", "intake_grpc", "query", "live")})

    def internal_url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def database_url(self, role: str, database: str) -> str:
        return self.database.url(role, self.secrets.role_passwords[role], database)


def jobs_of_database(where: Surroundings) -> list[Job]:
    """First the roles and databases, then the tables of each, last the owner of the audit log."""
    return [
        Job(
            name="databases",
            target="ams_kit.create_databases:main",
            argv=(),
            environ={
                "AMS_DATABASE_URL": where.admin_url,
                **{f"PASSWORD_{role}": password for role, password in where.secrets.role_passwords.items()},
            },
        ),
        Job(
            name="migrate-identity",
            target="ams_identity.__main__:main",
            argv=("migrate",),
            environ={"AMS_DATABASE_URL": where.database_url("ams_identity", "ams_identity")},
        ),
        Job(
            name="migrate-traces",
            target="ams_trace_ingest.__main__:main",
            argv=("migrate",),
            environ={"AMS_DATABASE_URL": where.database_url("ams_owner", "ams_traces")},
        ),
        Job(
            name="restrict-audit",
            target="ams_kit.create_databases:restrict",
            argv=(),
            environ={"AMS_DATABASE_URL": where.admin_url},
        ),
    ]


def job_of_log(where: Surroundings) -> Job:
    """Topics, from the one declaration of them."""
    return Job(
        name="topics",
        target="ams_kit.bus.__main__:main",
        argv=("topics",),
        environ={"AMS_KAFKA_BOOTSTRAP": where.kafka, **where.kafka_settings, **where.topic_settings},
    )


def services(where: Surroundings) -> list[Service]:
    """The five processes that make AMS."""
    health = ",".join(f"{name}={where.internal_url(port)}" for name, port in ASKED_FOR_HEALTH.items())

    def service(name: str, command: tuple[str, str], port: str, needs: tuple[str, ...], environ: Mapping[str, str]) -> Service:
        package, argument = command
        everyone = {
            "AMS_HOST": LOOPBACK,
            "AMS_PORT": str(where.ports[port]),
            "AMS_PUBLIC_URL": where.public_url,
            "AMS_LOG_LEVEL": where.log_level,
            "AMS_SERVICE_SECRET": where.secrets.service_secret,
            "AMS_IDENTITY_URL": where.internal_url("identity"),
            "AMS_REDIS_URL": where.redis_urls.get(name, "" if where.redis_urls else where.redis_url),  # the projector has no user
            "AMS_KAFKA_BOOTSTRAP": where.kafka,
            **where.kafka_settings,
            **where.otel,
            "AMS_TRUSTED_PROXIES": LOOPBACK,
        }
        return Service(
            name=name,
            target=f"{package}.__main__:main",
            argv=(argument,),
            environ={**everyone, **environ},
            port=where.ports[port],
            needs=needs,
        )

    identity_database = {"AMS_DATABASE_URL": where.database_url("ams_identity", "ams_identity")}
    writer = {"AMS_DATABASE_URL": where.database_url("ams_writer", "ams_traces")}
    retention = {"AMS_RETENTION_DAYS": where.retention_days} if where.retention_days else {}
    projector = {**writer, **retention, "AMS_PROJECTOR_INSTANCE": "0"}
    intake = {**writer, "AMS_CORS_ORIGINS": where.cors_origins, "AMS_GRPC_PORT": str(where.ports["intake_grpc"])}
    reader = {"AMS_DATABASE_URL": where.database_url("ams_reader", "ams_traces")}
    secret_key = {
        "AMS_SECRET_KEY": where.secrets.secret_key,
        **({"AMS_SECRET_KEY_PREVIOUS": where.secrets.secret_key_previous} if where.secrets.secret_key_previous else {}),
    }
    return [
        service(
            "identity",
            ("ams_identity", "serve"),
            "identity",
            (TABLES, TOPICS),
            {
                **identity_database,
                **retention,
                **where.accounts,
                **secret_key,
            },
        ),
        service("intake", ("ams_trace_ingest", "intake"), "intake", (TABLES, TOPICS), intake),
        service("projector", ("ams_trace_ingest", "projector"), "projector", (TABLES, TOPICS), projector),
        service(
            "trace-query",
            ("ams_trace_query", "serve"),
            "query",
            (TABLES,),
            {**reader, **secret_key, **where.webhooks, "AMS_HEALTH_URLS": health},
        ),
        service("live-gateway", ("ams_live_gateway", "serve"), "live", (TOPICS,), {}),
    ]
