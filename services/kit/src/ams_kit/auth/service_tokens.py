"""How services prove to each other who they are: HS256 tokens from the shared secret, for one target, 60 seconds, on ``/internal/*`` only."""

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
    """A token with which ``issuer`` may ask ``audience`` for 60 seconds.

    Args:
        secret: ``AMS_SERVICE_SECRET``.
        audience: Name of the service that is asked, e.g. ``identity``.
        issuer: Name of the service that asks.
        now_s: Seconds since the epoch; by default now.
    """
    now = int(time.time() if now_s is None else now_s)
    claims = {"iss": issuer, "aud": audience, "iat": now, "exp": now + SERVICE_TOKEN_SECONDS}
    return jwt.encode(claims, _key(secret), algorithm="HS256", headers={"typ": SERVICE_TOKEN_TYPE})


def verify_service_token(token: str, secret: str, audience: str) -> str:
    """The name of the service that made the token.

    Raises:
        UnauthenticatedError: Not made with this secret, for somebody else, too old, or no such token at all.
    """
    refusal = UnauthenticatedError("This is for services of the platform.", code="invalid_service_token")
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
    """A Litestar guard for ``/internal/*``: only services of the platform, and only with a token made for this one.

    Put ``opt={"public": True}`` on the routes: ``AuthMiddleware`` asks for people's tokens. The secret is that of ``app.state.auth``.
    """

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        verify_service_token(bearer_of(connection.scope), connection.app.state.auth.service_secret, audience)

    return guard
