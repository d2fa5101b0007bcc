"""Access tokens for brokers with SASL/OAUTHBEARER, by OAuth 2.0's client credentials grant (RFC 6749, section 4.4)."""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import cache

import httpx
import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from ams_kit.kafka_settings import KafkaSettings

TIMEOUT_SECONDS = 5.0
LIFETIME_SECONDS = 300  # of a token whose answer says nothing about it
RENEWED_AT = 0.8  # of its lifetime


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float = LIFETIME_SECONDS


class ClientCredentials(AbstractTokenProvider):
    """Fetches tokens, and keeps each until most of its lifetime has passed."""

    def __init__(self, settings: KafkaSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Fetches nothing yet."""
        self._settings = settings
        self._monotonic = monotonic
        self._token = ""
        self._renew_at = 0.0
        self._turn = asyncio.Lock()

    async def token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  the base class has no annotation
        """A valid token.

        Raises:
            KafkaConnectionError: There is none. Clients of Kafka retry after it as after a broker that does not answer.
        """
        async with self._turn:
            if not self._token or self._monotonic() >= self._renew_at:
                answer = await self._fetch()
                self._token, self._renew_at = answer.access_token, self._monotonic() + RENEWED_AT * answer.expires_in
            return self._token

    async def _fetch(self) -> _Answer:
        settings = self._settings
        trusted = ssl.create_default_context()
        if settings.tls_ca_file:
            trusted.load_verify_locations(settings.tls_ca_file)
        form = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
        try:
            async with httpx.AsyncClient(trust_env=False, verify=trusted, timeout=TIMEOUT_SECONDS) as http:
                response = await http.post(settings.oauth_token_url, data=form, auth=(settings.sasl_user, settings.sasl_password))
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=_Answer)
        except httpx.HTTPStatusError as error:
            raise KafkaConnectionError(f"AMS_KAFKA_OAUTH_TOKEN_URL answers {error.response.status_code}") from None
        except (httpx.HTTPError, msgspec.MsgspecError) as error:  # their texts may quote what was received
            raise KafkaConnectionError(f"AMS_KAFKA_OAUTH_TOKEN_URL gives no token: {type(error).__name__}") from None


@cache
def token_provider(settings: KafkaSettings) -> ClientCredentials:
    """One for all clients of a process, so that they share a token."""
    return ClientCredentials(settings)
