"""The composition root: builds identity's clients and opens its connections."""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import structlog
from litestar import Litestar, Request, Response, Router, get
from litestar.di import Provide

from ams_contracts.claims import Quota
from ams_identity import (
    accounts,
    administration,
    audit_log,
    codes,
    email_links,
    form_rules,
    installation,
    invitations,
    keys,
    members,
    oidc_sign_in,
    own_account,
    own_factors,
    own_identities,
    own_passkeys,
    own_sessions,
    password_reset,
    projects,
    proof,
    quotas,
    registration,
    service_accounts,
    sessions,
    share_links,
    sign_in,
    token_exchange,
)
from ams_identity.audit_chain import EVERY_SECONDS, AuditChain
from ams_identity.context import IdentityContext, Policy, context_of
from ams_identity.failures import Failures
from ams_identity.internal import internal_routes
from ams_identity.local_auth import LocalAuth
from ams_identity.mail import Mailer, Server
from ams_identity.oidc_provider import Provider
from ams_identity.oidc_settings import Issuer, OidcSettingsError, is_loopback, parse_issuers
from ams_identity.outbox import Outbox
from ams_identity.passwords import Passwords
from ams_identity.relying_party import relying_party_of
from ams_identity.revocation import PostgresRevocations, Revoker
from ams_identity.root_secret import RootSecret, WrongSecretError
from ams_identity.sessions import RefreshRefusedError, answer_refresh_refused
from ams_identity.settings import Settings
from ams_identity.signing import RELOAD_SECONDS, SigningKeys, retire_keys
from ams_identity.store import audit as audit_rows
from ams_identity.store import factors, password_resets, signin_codes
from ams_identity.store import invitations as invitation_rows
from ams_identity.store import quotas as quota_rows
from ams_identity.store import sessions as session_rows
from ams_identity.store import share_links as share_link_rows
from ams_identity.throttle import Throttle
from ams_identity.token_exchange import kafka_address
from ams_identity.usage import EVERY_SECONDS as USAGE_SECONDS
from ams_identity.usage import KEPT_DAYS, record_days
from ams_identity.validation import email_key
from ams_kit.auth import AuthMiddleware, open_redis, provide_access
from ams_kit.auth.jwks import JWKS_PATH, Jwks
from ams_kit.background import Background
from ams_kit.bus import Log
from ams_kit.db import check_pool, open_pool
from ams_kit.errors import UnavailableError
from ams_kit.http.app import make_application
from ams_kit.http.client_address import parse_networks
from ams_kit.http.openapi import with_problems
from ams_kit.http.problems import answer_unavailable
from ams_kit.refusal import refuse_to_serve
from ams_kit.retriable import SERVER_UNAVAILABLE

SERVICE = "identity"
POOL_SIZE = 10
CLEANUP_SECONDS = 3_600
KEPT_AFTER_EXPIRY = timedelta(days=7)  # for the investigation of an incident
JWKS_MAX_AGE_SECONDS = 5  # a key is published 15 s before it signs

logger = structlog.get_logger(__name__)


def cookie_is_secure(public_url: str) -> bool:
    """Whether the refresh cookie is ``Secure``: always, except when the public URL is http on loopback."""
    parts = urlsplit(public_url)
    return not (parts.scheme == "http" and is_loopback(parts.hostname or ""))


@get(JWKS_PATH, opt={"public": True}, security=[{}])
async def jwks(request: Request[Any, Any, Any]) -> Response[Jwks]:
    """The public keys of access tokens."""
    published = context_of(request).signing.jwks()
    if not published:
        raise UnavailableError("The signing keys are not loaded yet.")
    return Response(Jwks(published), headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_SECONDS}"})


def make_app(
    settings: Settings,
    *,
    now_s: Callable[[], float] = time.time,
    refuse: Callable[[str, str], NoReturn] = refuse_to_serve,
    keys_reload_seconds: float = RELOAD_SECONDS,
) -> Litestar:
    """Build the application.

    Args:
        settings: Settings of this process.
        now_s: The clock, seconds since the epoch.
        refuse: Called with the service name and a reason when the service can never start serving; by default it ends the process.
        keys_reload_seconds: How often the signing keys are read again.
    """
    policy, issuers, mail_server = _prepare(settings, refuse)
    background = Background()

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with contextlib.AsyncExitStack() as stack:
            pool = await open_pool(settings.database_url, application="ams-identity", size_max=POOL_SIZE)
            stack.callback(pool.terminate)
            redis = open_redis(settings.redis_url)
            stack.push_async_callback(redis.aclose)
            root = RootSecret(pool, settings.secret_key, settings.secret_key_previous)
            signing = SigningKeys(pool, root, now_s=now_s)
            revoker = Revoker(pool, redis, now_s=now_s)
            outbox = Outbox(pool, lambda: Log.open(settings.kafka, "ams-identity"))
            stack.push_async_callback(outbox.close)
            passwords = Passwords()
            stack.callback(passwords.close)
            mailer = Mailer(mail_server)
            http = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False, limits=httpx.Limits(max_connections=20)))
            providers = {item.id: Provider(item, f"{policy.issuer}/signin/callback/{item.id}", http, now_s) for item in issuers}
            auth = LocalAuth(
                signing,
                PostgresRevocations(pool),
                projects.ProjectAccess(pool, lambda: datetime.fromtimestamp(now_s(), UTC), password_login=policy.password_login),
                service_secret=settings.service_secret,
                issuer=policy.issuer,
                now_s=now_s,
            )
            context = IdentityContext(
                pool=pool,
                passwords=passwords,
                signing=signing,
                revoker=revoker,
                outbox=outbox,
                throttle=Throttle(redis),
                failures=Failures(redis),
                mailer=mailer,
                providers=providers,
                policy=policy,
                root=root,
                audit_chain=AuditChain(pool, root),
                now_s=now_s,
            )
            app.state.auth, app.state.identity, app.state.redis = auth, context, redis
            stack.push_async_callback(background.close)
            background.spawn_periodic("signing-keys", lambda: _load_keys(signing, refuse), every_seconds=keys_reload_seconds)
            background.spawn_periodic(
                "delete-expired", lambda: _delete_expired(context, settings.audit_retention_days), every_seconds=CLEANUP_SECONDS
            )
            background.spawn_periodic("audit-chain", context.audit_chain.extend, every_seconds=EVERY_SECONDS)
            background.spawn("mailer", mailer.run)
            background.spawn("revocation-keeper", revoker.run)
            background.spawn_periodic("usage", lambda: record_days(pool, redis, now_s()), every_seconds=USAGE_SECONDS)
            background.spawn("outbox", outbox.run)
            yield

    async def check_postgres() -> None:
        await check_pool(app.state.identity.pool)

    async def check_redis() -> None:
        await app.state.redis.ping()

    async def check_keys() -> None:
        if not app.state.identity.signing.jwks():
            raise UnavailableError

    app = make_application(
        title="AMS identity",
        openapi_path="/api/auth/openapi",
        route_handlers=[
            Router(
                "/",
                route_handlers=[
                    *with_problems(
                        [
                            jwks,
                            *form_rules.ROUTES,
                            *registration.ROUTES,
                            *accounts.ROUTES,
                            *administration.ROUTES,
                            *installation.ROUTES,
                            *token_exchange.ROUTES,
                            *password_reset.ROUTES,
                            *email_links.ROUTES,
                            *sign_in.ROUTES,
                            *oidc_sign_in.ROUTES,
                            *own_identities.ROUTES,
                            *sessions.ROUTES,
                            *own_sessions.ROUTES,
                            *own_account.ROUTES,
                            *own_factors.ROUTES,
                            *own_passkeys.ROUTES,
                            *proof.ROUTES,
                            *codes.ROUTES,
                            *share_links.PUBLIC_ROUTES,
                        ]
                    ),
                    internal_routes(),
                    Router(
                        "/",
                        route_handlers=with_problems(
                            [
                                *projects.ROUTES,
                                *members.ROUTES,
                                *service_accounts.ROUTES,
                                *keys.ROUTES,
                                *quotas.ROUTES,
                                *invitations.ROUTES,
                                *share_links.ROUTES,
                                *audit_log.ROUTES,
                            ]
                        ),
                    ),
                ],
                exception_handlers={**dict.fromkeys(SERVER_UNAVAILABLE, answer_unavailable), RefreshRefusedError: answer_refresh_refused},
            )
        ],
        checks={"postgres": check_postgres, "redis": check_redis, "keys": check_keys},
        background=background,
        dependencies={"access": Provide(provide_access)},
        middleware=[AuthMiddleware()],
        lifespan=[lifespan],
    )
    return app


def _prepare(settings: Settings, refuse: Callable[[str, str], NoReturn]) -> tuple[Policy, list[Issuer], Server | None]:
    """The rules, providers and mail server of the settings; refuses settings with which the service could never serve."""
    public_url = settings.public_url.rstrip("/")
    try:
        trusted_proxies = parse_networks(settings.trusted_proxies)
        issuers = _issuers(settings)
    except OidcSettingsError as error:
        refuse(SERVICE, f"AMS_OIDC_ISSUERS: {error}")
    except ValueError:
        refuse(SERVICE, "AMS_TRUSTED_PROXIES is not a list of networks with commas between, such as 10.0.0.0/8,192.0.2.7")
    password_login = settings.password_login == "on"  # noqa: S105  a word of the setting
    if not password_login and not issuers:
        refuse(SERVICE, "AMS_PASSWORD_LOGIN=off requires a provider in AMS_OIDC_ISSUERS, or nobody could sign in")
    admin_email_key = email_key(settings.admin_email) if settings.admin_email else None
    if settings.admin_email and admin_email_key is None:
        refuse(SERVICE, "AMS_ADMIN_EMAIL is not an email address")
    mail_server = _mail_server(settings)
    if mail_server is not None and email_key(parseaddr(mail_server.sender)[1]) is None:
        refuse(SERVICE, "AMS_SMTP_FROM is not an email address; it is required with AMS_SMTP_HOST")
    policy = Policy(
        issuer=public_url,
        registration=settings.registration,
        admin_email_key=admin_email_key,
        cookie_secure=cookie_is_secure(public_url),
        relying_party=relying_party_of(public_url),
        password_chars_min=settings.password_chars_min,
        login_failures_per_minute=settings.login_failures_per_minute,
        registers_per_minute=settings.registers_per_minute,
        retention_days=settings.retention_days,
        quota=Quota(events_per_minute=settings.events_per_minute or None, bytes_per_day=settings.bytes_per_day or None),
        sessions_per_account_max=settings.sessions_per_account_max,
        password_login=password_login,
        provider_registration=settings.oidc_registration,
        trusted_proxies=trusted_proxies,
        kafka=kafka_address(settings.kafka, settings.kafka_public_bootstrap),
    )
    return policy, issuers, mail_server


def _issuers(settings: Settings) -> list[Issuer]:
    """The OpenID providers of the settings.

    Raises:
        OidcSettingsError: They cannot be used.
    """
    if settings.oidc_issuers and settings.oidc_issuers_file:
        raise OidcSettingsError("give AMS_OIDC_ISSUERS or AMS_OIDC_ISSUERS_FILE, not both")

    def read(name: str) -> str:
        return Path(name).read_text("utf-8")

    try:
        text = read(settings.oidc_issuers_file) if settings.oidc_issuers_file else settings.oidc_issuers
    except (OSError, ValueError) as error:
        raise OidcSettingsError(f"AMS_OIDC_ISSUERS_FILE cannot be read: {type(error).__name__}") from error
    return parse_issuers(text, read)


def _mail_server(settings: Settings) -> Server | None:
    """The mail server of the settings; ``None`` without one."""
    if not settings.smtp_host:
        return None
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password,
        sender=settings.smtp_from,
    )


async def _load_keys(signing: SigningKeys, refuse: Callable[[str, str], NoReturn]) -> None:
    try:
        await signing.load()
    except WrongSecretError as error:
        refuse(SERVICE, str(error))


async def _delete_expired(context: IdentityContext, audit_days: int) -> None:
    """Delete what expired a week ago, and audit entries after their time."""
    before = context.now() - KEPT_AFTER_EXPIRY
    await session_rows.delete_expired(context.pool, before)
    await signin_codes.delete_expired(context.pool, before)
    await invitation_rows.delete_expired(context.pool, before)
    await share_link_rows.delete_expired(context.pool, before)
    await password_resets.delete_expired(context.pool, before)
    await quota_rows.delete_usage(context.pool, context.now().date() - timedelta(days=KEPT_DAYS))
    await retire_keys(context.pool, context.now())
    await factors.delete_expired(context.pool, before)
    await audit_rows.expire(context.pool, context.now() - timedelta(days=audit_days))
