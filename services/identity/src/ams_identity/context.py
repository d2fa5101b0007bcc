"""The dependencies that the routes of identity share. ``app.py`` builds them once and stores them in ``app.state.identity``."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from litestar import Request
from msgspec import Struct

from ams_contracts.claims import KafkaAddress, Quota
from ams_identity.audit_chain import AUDIT_PURPOSE, AuditChain
from ams_identity.failures import Failures
from ams_identity.mail import Mailer
from ams_identity.oidc_provider import Provider
from ams_identity.oidc_settings import ProviderRegistration
from ams_identity.outbox import Outbox
from ams_identity.passwords import Passwords
from ams_identity.registration_mode import Registration
from ams_identity.relying_party import RelyingParty
from ams_identity.revocation import Revoker
from ams_identity.root_secret import RootSecret
from ams_identity.signing import SigningKeys
from ams_identity.throttle import Throttle

BODY_BYTES_MAX = 4_096


class Policy(Struct, frozen=True, kw_only=True):
    """Rules that follow from the settings.

    Attributes:
        issuer: The public URL.
        admin_email_key: The canonical form of the administrator's address, if it is set.
        cookie_secure: See ``app.cookie_is_secure``.
        relying_party: Who passkeys are for; ``None`` where they are not possible.
        password_login: Whether people sign in without a provider.
        provider_registration: Whether a person without an account gets one by a provider.
        kafka: Where agents publish.
    """

    issuer: str
    registration: Registration
    admin_email_key: str | None
    cookie_secure: bool
    relying_party: RelyingParty | None
    password_chars_min: int
    login_failures_per_minute: int
    registers_per_minute: int
    retention_days: int
    quota: Quota
    sessions_per_account_max: int
    password_login: bool
    provider_registration: ProviderRegistration
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    kafka: KafkaAddress

    @property
    def host(self) -> str:
        """The host of the public URL, which names the installation in authenticator apps."""
        return urlsplit(self.issuer).hostname or ""


class IdentityContext(Struct, frozen=True, kw_only=True):
    """Shared dependencies. ``providers`` are by id; ``root`` derives keys, one for each purpose; ``now_s`` is the clock, in seconds since the epoch."""

    pool: asyncpg.Pool
    passwords: Passwords
    signing: SigningKeys
    revoker: Revoker
    outbox: Outbox
    throttle: Throttle
    failures: Failures
    mailer: Mailer
    providers: Mapping[str, Provider]
    policy: Policy
    root: RootSecret
    audit_chain: AuditChain
    now_s: Callable[[], float]

    @property
    def refresh_key(self) -> bytes:
        """Derives refresh tokens."""
        return self.root.key("refresh")

    @property
    def device_key(self) -> bytes:
        """Derives device cookies."""
        return self.root.key("device")

    @property
    def audit_key(self) -> bytes:
        """Derives the MACs of the audit log."""
        return self.root.key(AUDIT_PURPOSE)

    @property
    def challenge_key(self) -> bytes:
        """Signs challenges."""
        return self.root.key("challenge")

    @property
    def factor_key(self) -> bytes:
        """Encrypts the secrets of authenticator apps."""
        return self.root.key("second factor")

    def now(self) -> datetime:
        return self.at(self.now_s())

    @staticmethod
    def at(seconds: float) -> datetime:
        """A time from seconds since the epoch."""
        return datetime.fromtimestamp(seconds, UTC)


def context_of(request: Request[Any, Any, Any]) -> IdentityContext:
    """The context of the application that serves this request."""
    return request.app.state.identity
