"""The wall in front of every route: who does not say who they are gets 401."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from ams_contracts.claims import Scope as KeyScope
from ams_kit.auth.principal import PRINCIPAL, bearer_of
from ams_kit.errors import ForbiddenError

PUBLIC = "public"
API_KEY_PREFIX = "ams_"


class AuthMiddleware(ASGIMiddleware):
    """Every route asks for ``Authorization: Bearer <access token>``, except those with ``opt={"public": True}``.

    The principal is then in ``connection.scope["principal"]`` (``principal_of``). The verifier is that of ``app.state.auth``.
    """

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)
    exclude_opt_key = PUBLIC

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        token = bearer_of(scope)
        if token.startswith(API_KEY_PREFIX):
            raise ForbiddenError(f"An API key with the scope {KeyScope.INGEST.value} does not open this.", code="api_key_not_for_this")
        scope[PRINCIPAL] = await scope["litestar_app"].state.auth.verifier.verify(token)  # type: ignore[literal-required]  # the agreed place, not one of Litestar's own keys
        await next_app(scope, receive, send)
