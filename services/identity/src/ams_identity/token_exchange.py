"""Tokens with which SDKs sign records of Kafka, and the state of the keys behind them for the service that verifies them."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.params import FromPath

from ams_contracts.claims import INBOUND_AUDIENCE, InboundGrant, KafkaAddress, KafkaSecurity, KeyState, Scope
from ams_contracts.topics import INBOUND
from ams_identity.context import IdentityContext, context_of
from ams_identity.ids import random_text
from ams_identity.store import api_keys
from ams_identity.store.api_keys import ApiKey, is_usable
from ams_kit.auth.api_keys import ID_CHARS
from ams_kit.errors import ForbiddenError, NotFoundError
from ams_kit.kafka_settings import KafkaSettings

INBOUND_SECONDS = 3_600
JTI_CHARS = 22


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
    return KeyState(key_id=key, project_id=found.project_id, scopes=found.scopes, masking=found.masking)
