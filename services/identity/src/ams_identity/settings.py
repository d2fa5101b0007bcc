"""Identity's settings, ``AMS_<FIELD>`` each."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ams_contracts.ids import RetentionDays
from ams_identity.mail_security import Security
from ams_identity.oidc_settings import ProviderRegistration
from ams_identity.registration_mode import Registration
from ams_kit.otel_settings import ServiceEnvironment


class Settings(ServiceEnvironment, frozen=True, kw_only=True):
    """Settings of ``ams-identity serve``.

    Attributes:
        public_url: The issuer of tokens. Its scheme and host decide whether the refresh cookie is ``Secure``.
        database_url: The database ``ams_identity``, as the role ``ams_identity``.
        redis_url: Holds revocations and rate limits, and the channel that invalidates caches.
        kafka_bootstrap: Brokers of the topic ``ams.identity.v1``. Identity also works while they are unavailable.
        kafka_public_bootstrap: The brokers as agents reach them, ``host:port``; empty: ``kafka_bootstrap``.
        service_secret: Signs the tokens between services.
        secret_key: Encrypts the root secret, from which every key of identity is derived.
        secret_key_previous: The value before a change of ``secret_key``: identity then encrypts the root secret with the new one when it starts.
        registration: Who may make an account: everybody, people with an invitation, or nobody. The administrator's account can be made in every mode.
        admin_email: The address of the account that administers the installation; empty: the first person who registers.
        password_chars_min: Minimum length of new passwords.
        login_failures_per_minute: Limit per client address; an account has ten in 15 minutes over all addresses.
        registers_per_minute: Limit of registration attempts per client address.
        retention_days: Number of UTC days that the platform keeps tasks; a project may keep them for fewer days.
        events_per_minute: Quota of each project for which the administrator sets none; 0: none.
        bytes_per_day: The same for the bytes of a UTC day.
        audit_retention_days: How long audit entries are kept.
        sessions_per_account_max: Active sessions of one account; a further sign-in ends the one that was not used for the longest time.
        smtp_host: The mail server; empty: the installation sends no email, and links come from the administrator.
        smtp_port: Its port.
        smtp_security: ``starttls``, ``tls`` from the first byte, or ``none`` (for a server on the same machine).
        smtp_username: Empty: the server requires no authentication.
        smtp_password: For the user name.
        smtp_from: The sender, such as ``AMS <ams@example.com>``; required with ``smtp_host``.
        oidc_issuers: OpenID providers, a JSON list (``oidc_settings.Issuer``); empty: none.
        oidc_issuers_file: A file with that list, instead.
        oidc_registration: Whether a person without an account gets one by a provider: as ``registration`` says (``same``), always (``open``), never (``closed``).
        password_login: ``off``: people sign in by providers only.
        trusted_proxies: Networks of the proxies whose ``X-Forwarded-For`` is believed, with commas between.
        host: The address to listen on.
        port: 0 selects a free port.
        log_level: A level name of Python's ``logging``.
    """

    public_url: str
    database_url: str
    redis_url: str
    service_secret: str
    secret_key: str
    secret_key_previous: str = ""
    kafka_public_bootstrap: str = ""
    registration: Registration = "open"
    admin_email: str = ""
    password_chars_min: int = 12
    login_failures_per_minute: int = 20
    registers_per_minute: int = 300
    retention_days: RetentionDays = 30
    events_per_minute: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    bytes_per_day: Annotated[int, Meta(ge=0, le=10**15)] = 0
    audit_retention_days: Annotated[int, Meta(ge=31, le=3_650)] = 365
    sessions_per_account_max: Annotated[int, Meta(ge=1, le=1_000)] = 50
    smtp_host: str = ""
    smtp_port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    smtp_security: Security = "starttls"
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_from: str = ""
    oidc_issuers: str = ""
    oidc_issuers_file: str = ""
    oidc_registration: ProviderRegistration = "same"
    password_login: Literal["on", "off"] = "on"  # noqa: S105  a word, no password
    trusted_proxies: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    log_level: str = "INFO"


class MigrateSettings(Struct, frozen=True, kw_only=True):
    """Settings of ``ams-identity migrate``."""

    database_url: str
    log_level: str = "INFO"
