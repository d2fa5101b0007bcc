"""Signing in by an OpenID provider: authorization code with PKCE. The page at the redirect address posts the answer here."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, post
from msgspec import Struct

from ams_identity import oidc_accounts, second_factor
from ams_identity.addresses import address_bucket, client_address
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.oidc_flow import ANSWER_BYTES_MAX, AnswerBody, ProviderAddress, begin, end_cookie, finish, provider_of
from ams_identity.oidc_tokens import Person
from ams_identity.origins import require_same_origin
from ams_identity.sessions import SignedIn, address_limit, start_session
from ams_identity.sign_in import ADDRESS_ATTEMPTS_PER_MINUTE, SecondFactorNeeded, ask_second_factor
from ams_identity.store import identities
from ams_kit.errors import UnavailableError
from ams_kit.http.json_body import read_json, with_json_body


class ProviderBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The provider to sign in with."""

    provider: str


_provider = msgspec.json.Decoder(ProviderBody)
_answer = msgspec.json.Decoder(AnswerBody)


@post("/api/auth/oidc/start", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(ProviderBody))
async def start(request: Request[Any, Any, Any]) -> Response[ProviderAddress]:
    """Begin to sign in by a provider: where the browser goes. The answer is valid in this browser for ten minutes, once."""
    context = context_of(request)
    require_same_origin(request, context.policy.issuer)
    body = await read_json(request, _provider, bytes_max=BODY_BYTES_MAX)
    await context.throttle.count([(f"signin:address:{address_bucket(client_address(request))}", ADDRESS_ATTEMPTS_PER_MINUTE)])
    return await begin(request, provider_of(context, body.provider), "oidc-sign-in")


@post("/api/auth/oidc/callback", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(AnswerBody))
async def sign_in_by_provider(request: Request[Any, Any, Any]) -> Response[SignedIn | SecondFactorNeeded]:
    """Complete a sign-in by a provider. An account with a second factor needs that, too, unless the provider's own counts. Failures count for the address."""
    context = context_of(request)
    require_same_origin(request, context.policy.issuer)
    body = await read_json(request, _answer, bytes_max=ANSWER_BYTES_MAX)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    try:
        answer = await finish(request, body, ("oidc-sign-in",))
    except UnavailableError:
        await context.failures.release(attempt)
        raise
    token = body.invitation if isinstance(body.invitation, str) else None
    entered = await oidc_accounts.enter(request, answer.provider, answer.signed_in, token)
    await context.failures.release(attempt)
    methods = [] if entered.second_factor else await second_factor.methods_of(context, entered.user.user_id)
    response: Response[Any]
    if methods:
        response, digest = await ask_second_factor(context, entered.user, methods)
        await identities.await_second_step(context.pool, entered.identity.identity_id, digest)
    else:
        response = await start_session(
            context,
            request,
            entered.user,
            identity_id=entered.identity.identity_id,
            proved_at=proved_at(context, answer.signed_in.person),
        )
    response.cookies.append(end_cookie(context))
    return response


def proved_at(context: IdentityContext, person: Person) -> datetime:
    """When a person proved who they are: the provider may have remembered them. A provider that does not say when has just done so."""
    now = context.now_s()
    return context.at(now if person.auth_time_s is None else max(0.0, min(person.auth_time_s, now)))


ROUTES = [start, sign_in_by_provider]
