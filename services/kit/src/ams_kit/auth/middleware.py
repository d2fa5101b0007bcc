"""The middleware that authenticates every route: without a valid credential the response is 401."""

import time
from collections.abc import Sequence
from enum import StrEnum

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from ams_contracts.claims import Scope as KeyScope
from ams_kit.auth.api_keys import KeyUse
from ams_kit.auth.principal import (
    PRINCIPAL,
    KeyPrincipal,
    Principal,
    SharePrincipal,
    bearer_of,
    key_not_for_this,
    key_principal_from,
)
from ams_kit.auth.tokens import is_share_token
from ams_kit.errors import ForbiddenError, NotFoundError
from ams_kit.http.client_address import Network, address_of

PUBLIC = "public"
KEY_SCOPE = "key_scope"
"""The ``opt`` of a route that also accepts API keys with this scope, in a service whose other routes do not."""
API_KEY_PREFIX = "ams_"
SHARED = "shared"
"""The ``opt`` of a route that also accepts tokens of public links: a ``Shared``. Every other route refuses them."""


class Shared(StrEnum):
    """What a route of a project gives to the visitor of a public link."""

    STRUCTURE = "structure"
    """The task in the path, without what its steps contain unless the link has payloads: the route leaves it out."""
    CONTENTS = "contents"
    """The task in the path, and only when the link has payloads."""
    CHECKED = "checked"
    """The path names no task: the route itself checks that it gives nothing but the task of the link."""


def use_of(scope: Scope, trusted_proxies: Sequence[Network]) -> KeyUse:
    """Who uses an API key with this request."""
    program = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")
    return KeyUse(str(address_of(scope, trusted_proxies) or ""), program)


class AuthMiddleware(ASGIMiddleware):
    """Requires ``Authorization: Bearer <access token>`` on every route, except those with ``opt={"public": True}``. A route with ``opt={"shared": ...}`` also accepts tokens of public links, for their own task.

    With a ``key_scope``, of the service or of a route (``opt={"key_scope": ...}``), it also accepts API keys that have this scope. It stores the principal in ``connection.scope["principal"]``; read it
    with ``principal_of`` (people) or ``any_principal_of`` (both). It uses the verifier and the key client of ``app.state.auth``.
    """

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)
    exclude_opt_key = PUBLIC

    def __init__(self, *, key_scope: KeyScope | None = None) -> None:
        super().__init__()
        self._key_scope = key_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope[PRINCIPAL] = await self._principal(scope)  # type: ignore[literal-required]  # our own key, which Litestar's type does not declare
        await next_app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal | KeyPrincipal | SharePrincipal:
        token = bearer_of(scope)
        auth = scope["litestar_app"].state.auth
        shared = scope["route_handler"].opt.get(SHARED)
        if shared is not None and is_share_token(token):
            visitor: SharePrincipal = await auth.verifier.verify_share(token)
            require_shared(visitor, shared, scope["path_params"])
            return visitor
        if not token.startswith(API_KEY_PREFIX):
            return await auth.verifier.verify(token)
        key_scope = scope["route_handler"].opt.get(KEY_SCOPE, self._key_scope)
        if key_scope is None:
            raise key_not_for_this()
        grant = await auth.keys.grant(token, use_of(scope, auth.trusted_proxies))
        if key_scope not in grant.scopes:
            raise ForbiddenError(
                f"This API key does not have the scope {key_scope.value}. Create a key that has it and use that one.",
                code="scope_missing",
            )
        return key_principal_from(grant, time.time())


def require_shared(visitor: SharePrincipal, shared: Shared, path: dict[str, str]) -> None:
    """Check that a path is of the task of a public link.

    Args:
        visitor: The visitor.
        shared: What the route gives to visitors.
        path: The parameters of the path.

    Raises:
        NotFoundError: It is of another task or project, whether that exists or not.
        ForbiddenError: The route reads what steps contain, and the link does not show that.
    """
    if path.get("project", visitor.project_id) != visitor.project_id:
        raise NotFoundError("There is no such project.", code="project_not_found")
    if shared is not Shared.CHECKED and path.get("task", "").lower() != visitor.task_id:
        raise NotFoundError("No such task exists in this project.", code="task_not_found")
    if shared is Shared.CONTENTS and not visitor.payloads:
        raise ForbiddenError("This link does not show what the steps contain.", code="payloads_not_shared")
