"""The exchange of API keys for grants and for tokens with which SDKs sign records of Kafka, and the state of keys for the service that verifies those."""

import hmac
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from msgspec import Meta, Struct

from ams_contracts.claims import INBOUND_AUDIENCE, InboundGrant, KafkaAddress, KafkaSecurity, KeyGrant, KeyState, Quota, Scope
from ams_contracts.topics import INBOUND
from ams_identity.addresses import client_address
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.ids import random_text
from ams_identity.quota_rules import effective_quota
from ams_identity.sessions import NO_STORE
from ams_identity.store import api_keys, quotas
from ams_identity.store.api_keys import ApiKey, is_usable, secret_hash
from ams_identity.tokens import ACCESS_SECONDS, INGEST_AUDIENCE
from ams_kit.auth import bearer_of, verify_service_token
from ams_kit.auth.api_keys import ID_CHARS, IDENTITY, PROGRAM_CHARS_MAX, check_address, parse_key
from ams_kit.errors import BadRequestError, ForbiddenError, NotFoundError, UnauthenticatedError
from ams_kit.http.client_address import Address, parse_address
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.kafka_settings import KafkaSettings

INBOUND_SECONDS = 3_600
JTI_CHARS = 22


class TokenBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The key to exchange. With the audience ``ams-inbound`` the token signs records of Kafka, and the response names the broker.

    ``address`` and ``program`` are for services of the platform, which name the client for whom they ask; identity ignores them from others.
    """

    api_key: str
    audience: Literal["ams-ingest", "ams-inbound"] = "ams-ingest"
    address: Annotated[str, Meta(max_length=64)] = ""
    program: Annotated[str, Meta(max_length=PROGRAM_CHARS_MAX)] = ""


_token = msgspec.json.Decoder(TokenBody)


def seconds_left(key: ApiKey, at: datetime, seconds_max: int) -> int:
    """How long a token of a key may be valid: not longer than the key."""
    return seconds_max if key.expires_at is None else min(seconds_max, max(1, int((key.expires_at - at).total_seconds())))


def kafka_address(kafka: KafkaSettings, public_bootstrap: str) -> KafkaAddress:
    """The broker as agents reach it.

    Args:
        kafka: As the services reach it; agents use the same protocol.
        public_bootstrap: ``host:port``; empty: the same as the services'.
    """
    security = KafkaSecurity(protocol=kafka.security_protocol, sasl_mechanism=kafka.sasl_mechanism)
    return KafkaAddress(bootstrap=public_bootstrap or kafka.bootstrap, topic=INBOUND.name, security=security)


def inbound_grant(context: IdentityContext, key: ApiKey, at: datetime) -> InboundGrant:
    """Sign a token for ``ams.inbound.v1``.

    Raises:
        ForbiddenError: The key may not write telemetry.
    """
    if Scope.INGEST not in key.scopes:
        raise ForbiddenError("This API key may not write telemetry. Create one with the scope ingest.", code="scope_missing")
    seconds = seconds_left(key, at, INBOUND_SECONDS)
    now = int(context.now_s())
    token = context.signing.sign(
        {
            "iss": context.policy.issuer,
            "aud": INBOUND_AUDIENCE,
            "sub": key.key_id,
            "project_id": key.project_id,
            "jti": random_text(JTI_CHARS),
            "iat": now,
            "exp": now + seconds,
        }
    )
    return InboundGrant(access_token=token, expires_in=seconds, project_id=key.project_id, key_id=key.key_id, kafka=context.policy.kafka)


@get("/keys/{key:str}")
async def key_state(request: Request[Any, Any, Any], key: FromPath[str]) -> KeyState:
    """The project and scopes of an API key that is neither revoked nor expired."""
    context = context_of(request)
    found = await api_keys.by_id(context.pool, key) if len(key) == ID_CHARS and key.isascii() and key.isalnum() else None
    if found is None or not is_usable(found, context.now()):
        raise NotFoundError("There is no such key.", code="key_not_found")
    quota = effective_quota(context.policy.quota, await quotas.of_project(context.pool, found.project_id))
    return KeyState(key_id=key, project_id=found.project_id, scopes=found.scopes, masking=found.masking, quota=quota)


@post("/api/auth/token", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(TokenBody))
async def exchange_key(request: Request[Any, Any, Any]) -> Response[KeyGrant | InboundGrant]:
    """Exchange an API key for an access token that is valid for ten minutes, or one for Kafka that is valid for an hour."""
    context = context_of(request)
    body = await read_json(request, _token, bytes_max=BODY_BYTES_MAX)
    refused = UnauthenticatedError("This API key is not valid.", code="invalid_api_key")
    parsed = parse_key(body.api_key)
    if parsed is None:
        raise refused
    key_id, secret = parsed
    at = context.now()
    key = await api_keys.by_id(context.pool, key_id)
    if key is None or not hmac.compare_digest(key.secret_hash, secret_hash(secret)) or not is_usable(key, at):
        raise refused
    by_service, address, program = _use_of(request, body)
    if not by_service:  # a service compares every use, also those of a grant that it has cached
        check_address(key.addresses, address)
    await api_keys.touch(context.pool, key, at, address=None if address is None else str(address), program=program or None)
    if body.audience == INBOUND_AUDIENCE:
        return Response(inbound_grant(context, key, at), headers=NO_STORE)
    quota = effective_quota(context.policy.quota, await quotas.of_project(context.pool, key.project_id))
    return Response(_grant(context, key, seconds_left(key, at, ACCESS_SECONDS), quota), headers=NO_STORE)


def _use_of(request: Request[Any, Any, Any], body: TokenBody) -> tuple[bool, Address | None, str]:
    """Whether a service of the platform asks, and the address and program of the client that uses the key."""
    try:
        verify_service_token(bearer_of(request.scope), request.app.state.auth.service_secret, IDENTITY)
    except (UnauthenticatedError, BadRequestError):
        program = request.headers.get("user-agent", "")[:PROGRAM_CHARS_MAX]
        return False, client_address(request), visible(program)
    return True, parse_address(body.address), visible(body.program)


def visible(text: str) -> str:
    """The text without characters that cannot be displayed."""
    return "".join(character for character in text if character.isprintable())


def _grant(context: IdentityContext, key: ApiKey, seconds: int, quota: Quota | None) -> KeyGrant:
    now = int(context.now_s())
    token = context.signing.sign(
        {
            "iss": context.policy.issuer,
            "aud": INGEST_AUDIENCE,
            "sub": key.key_id,
            "project_id": key.project_id,
            "scope": " ".join(key.scopes),
            "jti": random_text(JTI_CHARS),
            "iat": now,
            "exp": now + seconds,
        }
    )
    return KeyGrant(
        access_token=token,
        expires_in=seconds,
        project_id=key.project_id,
        key_id=key.key_id,
        scopes=key.scopes,
        expires_at_us=(now + seconds) * 1_000_000,
        masking=key.masking,
        addresses=key.addresses,
        quota=quota,
    )


ROUTES = [exchange_key]
