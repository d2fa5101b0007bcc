"""Reads settings from the environment (``AMS_<FIELD>``), once, at the start of a process."""

import sys
from collections.abc import Mapping
from typing import TypeVar

import msgspec

PREFIX = "AMS_"
IGNORED_PREFIXES = ("AMS_TEST_",)
SHARED_NAMES = frozenset(
    {
        "AMS_PUBLIC_URL", "AMS_DATA_DIR", "AMS_KAFKA_BOOTSTRAP", "AMS_KAFKA_TLS", "AMS_KAFKA_TLS_CA_FILE",
        "AMS_KAFKA_TLS_CERT_FILE", "AMS_KAFKA_TLS_KEY_FILE", "AMS_KAFKA_SASL_MECHANISM", "AMS_KAFKA_SASL_USER", "AMS_KAFKA_SASL_PASSWORD", "AMS_KAFKA_OAUTH_TOKEN_URL", "AMS_KAFKA_OAUTH_SCOPE", "AMS_DATABASE_URL", "AMS_REDIS_URL", "AMS_SECRET_KEY", "AMS_SERVICE_SECRET",
        "AMS_ENDPOINT", "AMS_API_KEY", "AMS_SPOOL_DIR", "AMS_REQUIRE_ALL", "AMS_HOST", "AMS_PORT", "AMS_LOG_LEVEL", "AMS_IDENTITY_URL",
        "AMS_TRUSTED_PROXIES", "AMS_OTEL_ENDPOINT", "AMS_OTEL_HEADERS", "AMS_OTEL_SAMPLE_RATIO",
    }
)  # fmt: skip
"""Names that may be in the environment of any process, whether it reads them or not."""

S = TypeVar("S", bound=msgspec.Struct)


class SettingsError(ValueError):
    """A setting is missing, unknown or invalid. The message addresses the operator and omits the value."""


def load(settings: type[S], environ: Mapping[str, str]) -> S:
    """Read a settings struct from the environment.

    Args:
        settings: A frozen msgspec struct; the field ``database_url`` is ``AMS_DATABASE_URL``. Numbers and booleans are parsed from text.
        environ: Usually ``os.environ``.

    Raises:
        SettingsError: A name is missing or unknown, or a value does not fit its type.
    """
    fields = {PREFIX + field.name.upper(): field for field in msgspec.structs.fields(settings)}
    unknown = sorted(
        n for n in environ if n.startswith(PREFIX) and n not in fields and n not in SHARED_NAMES and not n.startswith(IGNORED_PREFIXES)
    )
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known here: {', '.join(sorted(fields))}")
    missing = sorted(name for name, field in fields.items() if field.required and not environ.get(name))
    if missing:
        raise SettingsError(f"missing setting {', '.join(missing)}")
    values: dict[str, object] = {}
    for name, field in fields.items():
        if environ.get(name):
            try:
                values[field.name] = msgspec.convert(environ[name], field.type, strict=False)
            except msgspec.ValidationError as error:
                raise SettingsError(f"{name}: {error}") from error
    return settings(**values)


def read_settings(settings: type[S], environ: Mapping[str, str], service: str) -> S:
    """Read the settings of a process, or end it with one sentence on stderr and exit code 2.

    Args:
        settings: See ``load``.
        environ: Usually ``os.environ``.
        service: The name of the process, for the message.
    """
    try:
        return load(settings, environ)
    except SettingsError as error:
        sys.stderr.write(f"{service}: {error}\n")
        raise SystemExit(2) from None
