"""Identity's settings, ``AMS_<FIELD>`` each."""

from msgspec import Struct

from ams_contracts.ids import RetentionDays
from ams_kit.kafka_settings import KafkaEnvironment


class Settings(KafkaEnvironment, frozen=True, kw_only=True):
    """What ``ams-identity serve`` reads.

    Attributes:
        public_url: Issuer of tokens; its scheme and host decide whether the refresh cookie is ``Secure``.
        database_url: Role ``ams_identity`` on the database ``ams_identity``.
        redis_url: Revocations, throttles, and the channel that tells caches.
        kafka_bootstrap: For ``ams.identity.v1``; identity works while it is away.
        service_secret: Of the tokens between services.
        secret_key: Wraps the signing key and makes refresh tokens. Changing it ends every session and needs a new signing key.
        password_chars_min: Of new passwords.
        login_failures_per_minute: Per address; per account five times as many, over all addresses.
        registers_per_minute: Tries to register, per address.
        retention_days: UTC days of tasks that the platform keeps; a project may keep fewer.
        host: The address to bind.
        port: 0 picks a free one.
        log_level: A name of the standard library's levels.
    """

    public_url: str
    database_url: str
    redis_url: str
    service_secret: str
    secret_key: str
    password_chars_min: int = 12
    login_failures_per_minute: int = 20
    registers_per_minute: int = 300
    retention_days: RetentionDays = 30
    host: str = "127.0.0.1"
    port: int = 0
    log_level: str = "INFO"


class MigrateSettings(Struct, frozen=True, kw_only=True):
    """What ``ams-identity migrate`` reads."""

    database_url: str
    log_level: str = "INFO"
