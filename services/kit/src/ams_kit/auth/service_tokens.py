"""Authentication between services on ``/internal/*``: HS256 tokens signed with the shared secret, for one audience, valid for 60 seconds."""

import hashlib
import time
from collections.abc import Callable

import jwt
from litestar.handlers import BaseRouteHandler

from ams_kit.auth.principal import Connection, bearer_of
from ams_kit.errors import UnauthenticatedError

SERVICE_TOKEN_SECONDS = 60
SERVICE_TOKEN_TYPE = "svc+jwt"  # noqa: S105  the header's typ, not a secret
LEEWAY_SECONDS = 10
_CHARS_MAX = 2_048

Guard = Callable[[Connection, BaseRouteHandler], None]


def _key(secret: str) -> bytes:
    return hashlib.sha256(b"ams service token\0" + secret.encode()).digest()


def service_token(secret: str, audience: str, issuer: str, *, now_s: float | None = None) -> str:
    """Sign a token with which ``issuer`` can call ``audience`` for 60 seconds.

    Args:
        secret: ``AMS_SERVICE_SECRET``.
        audience: The name of the called service, e.g. ``identity``.
        issuer: The name of the calling service.
        now_s: Seconds since the epoch; by default now.
    """
    now = int(time.time() if now_s is None else now_s)
    claims = {"iss": issuer, "aud": audience, "iat": now, "exp": now + SERVICE_TOKEN_SECONDS}
    return jwt.encode(claims, _key(secret), algorithm="HS256", headers={"typ": SERVICE_TOKEN_TYPE})


def verify_service_token(token: str, secret: str, audience: str) -> str:
    """Verify a token and return the name of the service that signed it.

    Raises:
        UnauthenticatedError: The token is malformed, expired, for another audience, or signed with another secret.
    """
    refusal = UnauthenticatedError("Only services of the platform can call this route.", code="invalid_service_token")
    if len(token) > _CHARS_MAX:
        raise refusal
    try:
        complete = jwt.decode_complete(
            token,
            _key(secret),
            algorithms=["HS256"],
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "iat", "exp"], "strict_aud": True},
        )
    except (jwt.InvalidTokenError, ValueError, OverflowError, RecursionError):
        raise refusal from None
    claims = complete["payload"]
    if (
        complete["header"].get("typ") != SERVICE_TOKEN_TYPE
        or not isinstance(claims["iss"], str)
        or claims["exp"] - claims["iat"] > SERVICE_TOKEN_SECONDS
    ):
        raise refusal
    return claims["iss"]


def internal_only(audience: str) -> Guard:
    """Build a Litestar guard for ``/internal/*`` that requires a service token for ``audience``.

    Put ``opt={"public": True}`` on the routes, because ``AuthMiddleware`` requires an access token. The secret is that of ``app.state.auth``.
    """

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        verify_service_token(bearer_of(connection.scope), connection.app.state.auth.service_secret, audience)

    return guard
