"""The principal of a connection, and the parsing of its ``Authorization`` header."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope
from msgspec import Struct

from ams_contracts.claims import KEY_SUBJECT_PREFIX, SHARE_SUBJECT_PREFIX, AccessClaims, KeyGrant, ShareClaims
from ams_kit.errors import BadRequestError, BearerRequiredError, ForbiddenError

PRINCIPAL = "principal"

Connection = ASGIConnection[Any, Any, Any, Any]


class Principal(Struct, frozen=True):
    """A person, authenticated by a verified access token that is not revoked.

    Attributes:
        user_id: UUID text.
        session_id: The session that the token belongs to.
        jti: The token's id.
        expires_at_s: When the token expires, in seconds since the epoch.
    """

    user_id: str
    session_id: str
    jti: str
    expires_at_s: int


class KeyPrincipal(Struct, frozen=True):
    """A program, authenticated by an API key that has the scope of this route. It has the role viewer in the key's project.

    Attributes:
        key_id: The key's id.
        project_id: The only project that the key gives access to.
        expires_at_s: When the key must be checked again, in seconds since the epoch.
    """

    key_id: str
    project_id: str
    expires_at_s: int

    @property
    def subject(self) -> str:
        """The key's subject: ``key:<key_id>``, used where a person has a user id."""
        return f"{KEY_SUBJECT_PREFIX}{self.key_id}"


class SharePrincipal(Struct, frozen=True):
    """A visitor of a public link, authenticated by a token of it. May read one task.

    Attributes:
        link_id: The link's id.
        project_id: The project of the task.
        task_id: The only task that the link gives access to.
        payloads: Whether the visitor may read what the steps contain.
        expires_at_s: When the token expires, in seconds since the epoch.
    """

    link_id: str
    project_id: str
    task_id: str
    payloads: bool
    expires_at_s: int

    @property
    def subject(self) -> str:
        """The link's subject: ``share:<link_id>``, used where a person has a user id."""
        return f"{SHARE_SUBJECT_PREFIX}{self.link_id}"


def share_principal_from(claims: ShareClaims) -> SharePrincipal:
    """Build the principal of a visitor's token."""
    return SharePrincipal(claims.sub, claims.project_id, claims.task_id, claims.payloads, claims.exp)


def key_principal_from(grant: KeyGrant, now_s: float) -> KeyPrincipal:
    """Build the principal of an API key.

    Args:
        grant: What identity returned for the key.
        now_s: Seconds since the epoch.
    """
    expires_at_s = int(now_s) + grant.expires_in if grant.expires_at_us is None else grant.expires_at_us // 1_000_000
    return KeyPrincipal(grant.key_id, grant.project_id, expires_at_s)


def principal_from(claims: AccessClaims) -> Principal:
    """Build the principal of an access token."""
    return Principal(claims.sub, claims.sid, claims.jti, claims.exp)


def bearer_of(scope: Scope) -> str:
    """Read the bearer credential of a request.

    Raises:
        BadRequestError: There are two ``Authorization`` headers, which is ambiguous.
        BearerRequiredError: There is no such header, or it has another scheme.
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
    """Return the person who sent the request. Only on routes that ``AuthMiddleware`` guards.

    Raises:
        ForbiddenError: A program sent the request with an API key.
        BearerRequiredError: The route is public, so the request was not authenticated.
    """
    principal = connection.scope.get(PRINCIPAL)
    if isinstance(principal, KeyPrincipal):
        raise key_not_for_this()
    if not isinstance(principal, Principal):
        raise BearerRequiredError("Sign in first.")
    return principal


def any_principal_of(connection: Connection) -> Principal | KeyPrincipal | SharePrincipal:
    """Return the person, program or visitor that sent the request. Only on routes that ``AuthMiddleware`` guards.

    Raises:
        BearerRequiredError: The route is public, so the request was not authenticated.
    """
    principal = connection.scope.get(PRINCIPAL)
    return principal if isinstance(principal, (KeyPrincipal, SharePrincipal)) else principal_of(connection)


def visitor_of(connection: Connection) -> SharePrincipal | None:
    """Return the visitor of a public link who sent the request; ``None`` for people and programs."""
    principal = connection.scope.get(PRINCIPAL)
    return principal if isinstance(principal, SharePrincipal) else None


def key_not_for_this() -> ForbiddenError:
    """Build the error for an API key on a route that requires a person."""
    return ForbiddenError("This route does not accept API keys. Sign in and send an access token.", code="api_key_not_for_this")
