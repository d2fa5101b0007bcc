"""Requests that fail with a retriable error are retried within a deadline."""

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, TopicAuthorizationFailedError

from ams_kit.bus.cluster import retry_retriable


async def test_a_request_to_a_moving_coordinator_is_retried() -> None:
    errors: list[KafkaError] = [GroupCoordinatorNotAvailableError(), GroupCoordinatorNotAvailableError()]

    async def ask() -> str:
        if errors:
            raise errors.pop()
        return "answer"

    assert await retry_retriable(ask) == "answer"


@pytest.mark.parametrize(
    ("error", "calls_max"), [(TopicAuthorizationFailedError(), 1), (GroupCoordinatorNotAvailableError(), 10)], ids=repr
)
async def test_other_errors_and_the_deadline_end_the_retries(error: KafkaError, calls_max: int) -> None:
    calls = 0

    async def ask() -> str:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        await retry_retriable(ask, seconds=0.5)
    assert 1 <= calls <= calls_max
