"""The principal of a connection, and how an ``Authorization`` header is read."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope
from msgspec import Struct

from ams_contracts.claims import KEY_SUBJECT_PREFIX, AccessClaims, KeyGrant
from ams_kit.errors import BadRequestError, BearerRequiredError, ForbiddenError

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


class KeyPrincipal(Struct, frozen=True):
    """A program, by an API key whose scope opens this route. It sees the key's project like a viewer.

    Attributes:
        key_id: Of the key.
        project_id: The only project that it opens.
        expires_at_s: When the key has to be checked again, in seconds since the epoch.
    """

    key_id: str
    project_id: str
    expires_at_s: int

    @property
    def subject(self) -> str:
        """The name of the key where a person has a user id."""
        return f"{KEY_SUBJECT_PREFIX}{self.key_id}"


def key_principal_from(grant: KeyGrant, now_s: float) -> KeyPrincipal:
    """The principal of an API key."""
    expires_at_s = int(now_s) + grant.expires_in if grant.expires_at_us is None else grant.expires_at_us // 1_000_000
    return KeyPrincipal(grant.key_id, grant.project_id, expires_at_s)


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
    """The person who asks. Only on routes that ``AuthMiddleware`` guards.

    Raises:
        ForbiddenError: A program asks, with an API key.
        BearerRequiredError: The route is public, so nobody was asked who they are.
    """
    principal = connection.scope.get(PRINCIPAL)
    if isinstance(principal, KeyPrincipal):
        raise key_not_for_this()
    if not isinstance(principal, Principal):
        raise BearerRequiredError("Sign in first.")
    return principal


def any_principal_of(connection: Connection) -> Principal | KeyPrincipal:
    """The person or program that asks. Only on routes that ``AuthMiddleware`` guards.

    Raises:
        BearerRequiredError: The route is public, so nobody was asked to sign in.
    """
    principal = connection.scope.get(PRINCIPAL)
    return principal if isinstance(principal, KeyPrincipal) else principal_of(connection)


def key_not_for_this() -> ForbiddenError:
    """The refusal of an API key where only people may ask."""
    return ForbiddenError("An API key does not open this. Sign in and send an access token.", code="api_key_not_for_this")
