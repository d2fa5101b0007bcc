"""Authentication of telemetry: the API key of a request decides its project."""

from collections.abc import Sequence
from typing import Any

from litestar import Request

from ams_contracts.claims import KeyGrant, Scope
from ams_kit.auth import KeyUse, use_of
from ams_kit.errors import BadRequestError, ForbiddenError, UnauthenticatedError
from ams_trace_ingest.intake.publish import IntakeContext

API_KEY_CHARS_MAX = 256
PLACEHOLDER = "ams_..."  # as the documentation writes a key


async def grant_of(request: Request[Any, Any, Any], intake: IntakeContext) -> KeyGrant:
    """The grant of the request's API key (``Authorization: Bearer ams_...`` or ``x-api-key``).

    Raises:
        UnauthenticatedError: The key is missing, invalid, expired or revoked.
        ForbiddenError: The key lacks the scope ``ingest``, or may not be used from this address.
        TooManyError: The project has used its quota.
        UnavailableError: Identity is unavailable and the key is not cached.
    """
    use = use_of(request.scope, intake.auth.trusted_proxies)
    return await grant_of_headers(request.headers.getall("authorization", []), request.headers.get("x-api-key", ""), intake, use)


async def grant_of_headers(authorizations: Sequence[str], x_api_key: str, intake: IntakeContext, use: KeyUse) -> KeyGrant:
    """The grant of the API key in the headers of a request, or in the metadata of a call.

    Args:
        authorizations: Every value of ``authorization``.
        x_api_key: The value of ``x-api-key``, read when there is no ``authorization``; empty when there is none.
        intake: Exchanges keys for grants, and knows what projects have sent.
        use: Who uses the key.

    Raises:
        Like ``grant_of``.
    """
    grant = await intake.auth.keys.grant(_api_key(authorizations, x_api_key), use)
    if Scope.INGEST not in grant.scopes:
        raise ForbiddenError("this API key may not write telemetry", code="scope_missing")
    intake.usage.admit(grant.project_id, grant.quota)
    return grant


def _api_key(authorizations: Sequence[str], x_api_key: str) -> str:
    if len(authorizations) > 1:
        raise BadRequestError("several Authorization headers; send one", code="ambiguous_credentials")
    if authorizations:
        scheme, _, key = authorizations[0].partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
    else:
        key = x_api_key.strip()
    if key == PLACEHOLDER:
        raise UnauthenticatedError(
            f"{PLACEHOLDER} is a placeholder. Replace it by an API key: ./ams key prints one, and Settings > API keys creates them.",
            code="api_key_placeholder",
        )
    if not key.startswith("ams_") or len(key) > API_KEY_CHARS_MAX or not key.isascii():
        raise UnauthenticatedError("send an API key: Authorization: Bearer ams_...", code="api_key_required")
    return key
