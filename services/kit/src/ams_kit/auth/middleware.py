"""The middleware that authenticates every route: without a valid credential the response is 401."""

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from ams_contracts.claims import Scope as KeyScope
from ams_kit.auth.principal import PRINCIPAL, KeyPrincipal, Principal, bearer_of, key_not_for_this, key_principal_from
from ams_kit.errors import ForbiddenError

PUBLIC = "public"
KEY_SCOPE = "key_scope"
"""The ``opt`` of a route that also accepts API keys with this scope, in a service whose other routes do not."""
API_KEY_PREFIX = "ams_"


class AuthMiddleware(ASGIMiddleware):
    """Requires ``Authorization: Bearer <access token>`` on every route, except those with ``opt={"public": True}``.

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

    async def _principal(self, scope: Scope) -> Principal | KeyPrincipal:
        token = bearer_of(scope)
        auth = scope["litestar_app"].state.auth
        if not token.startswith(API_KEY_PREFIX):
            return await auth.verifier.verify(token)
        key_scope = scope["route_handler"].opt.get(KEY_SCOPE, self._key_scope)
        if key_scope is None:
            raise key_not_for_this()
        grant = await auth.keys.grant(token)
        if key_scope not in grant.scopes:
            raise ForbiddenError(
                f"This API key does not have the scope {key_scope.value}. Create a key that has it and use that one.",
                code="scope_missing",
            )
        return key_principal_from(grant, time.time())
