"""Access tokens for Kafka: fetched by the client's secret, kept, and renewed before they expire."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError
from tests.token_server import TokenServer

from ams_kit.bus.clients import connection_options, make_broker
from ams_kit.bus.oauth import ClientCredentials, token_provider
from ams_kit.kafka_settings import KafkaSettings


def settings(server: TokenServer, **changes: str) -> KafkaSettings:
    values = {"sasl_user": server.client, "sasl_password": server.secret, "oauth_token_url": server.url, "oauth_scope": "kafka", **changes}
    return KafkaSettings(bootstrap="kafka:9092", sasl_mechanism="OAUTHBEARER", **values)


async def test_clients_share_a_token_until_most_of_its_lifetime_has_passed() -> None:
    now = 0.0
    with TokenServer() as server:
        provider = ClientCredentials(settings(server), monotonic=lambda: now)
        first = set(await asyncio.gather(*(provider.token() for _ in range(5))))
        now = 0.79 * server.lifetime_seconds
        assert {await provider.token()} == first
        now = 0.81 * server.lifetime_seconds
        assert await provider.token() not in first

        assert server.requests == [{"grant_type": ["client_credentials"], "scope": ["kafka"]}] * 2


@pytest.mark.parametrize(("changes", "status", "reason"), [({"sasl_password": "wrong"}, 200, "answers 401"), ({}, 503, "answers 503")])
async def test_without_a_token_there_is_no_connection_and_no_secret_in_the_reason(
    changes: dict[str, str], status: int, reason: str
) -> None:
    with TokenServer() as server:
        server.status = status
        with pytest.raises(KafkaConnectionError, match=reason) as refused:
            await ClientCredentials(settings(server, **changes)).token()
        assert server.secret not in str(refused.value)
    with pytest.raises(KafkaConnectionError, match="gives no token: ConnectError"):
        await ClientCredentials(settings(server)).token()


async def test_every_client_gets_the_same_provider() -> None:
    with TokenServer() as server:
        kafka = settings(server)

        assert connection_options(kafka)["sasl_oauth_token_provider"] is token_provider(kafka)
        broker = make_broker(kafka, "b")._connection_kwargs
        assert broker["sasl_oauth_token_provider"] is token_provider(settings(server))
        assert (broker["sasl_mechanism"], broker["security_protocol"]) == ("OAUTHBEARER", "SASL_PLAINTEXT")
