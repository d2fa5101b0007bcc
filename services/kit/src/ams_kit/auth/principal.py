"""Who is asking: the principal of a connection, and the one way to read an ``Authorization`` header."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope
from msgspec import Struct

from ams_contracts.claims import AccessClaims
from ams_kit.errors import BadRequestError, BearerRequiredError

PRINCIPAL = "principal"

Connection = ASGIConnection[Any, Any, Any, Any]


class Principal(Struct, frozen=True):
    """A person, by an access token that was verified and is not revoked.

    Attributes:
        user_id: UUID text.
        session_id: The sign-in it belongs to.
        jti: Of this token.
        expires_at_s: Seconds since the epoch.
    """

    user_id: str
    session_id: str
    jti: str
    expires_at_s: int


def principal_from(claims: AccessClaims) -> Principal:
    """The principal that a token's claims name."""
    return Principal(claims.sub, claims.sid, claims.jti, claims.exp)


def bearer_of(scope: Scope) -> str:
    """The bearer credential of a request.

    Raises:
        BadRequestError: Two ``Authorization`` headers: nobody can say which one is meant.
        BearerRequiredError: None, or of another scheme.
    """
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) > 1:
        raise BadRequestError("Send one Authorization header.", code="two_credentials")
    if not values:
        raise BearerRequiredError("Send an Authorization header with a bearer token.")
    scheme, _, credential = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise BearerRequiredError("Only bearer tokens are accepted.")
    return credential.strip()


def principal_of(connection: Connection) -> Principal:
    """Who asks. Only on routes that ``AuthMiddleware`` guards.

    Raises:
        BearerRequiredError: The route is public, so nobody was asked who they are.
    """
    principal = connection.scope.get(PRINCIPAL)
    if not isinstance(principal, Principal):
        raise BearerRequiredError("Sign in first.")
    return principal
