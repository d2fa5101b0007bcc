"""Topics from their declaration."""

from collections.abc import Sequence

from ams_contracts.topics import TOPICS, Topic

from ams_kit.bus.alarms import Alarm


async def create_topics(bootstrap: str, *, replication: int = 1, min_isr: int = 1, topics: Sequence[Topic] = TOPICS) -> list[Alarm]:
    """Make the topics that are missing and set the configuration of all of them.

    Raises:
        LogUnavailableError: The broker does not answer.
    """
    raise NotImplementedError


async def ping(bootstrap: str, *, timeout_seconds: float = 2.0) -> None:
    """Ask the broker for its metadata.

    Raises:
        LogUnavailableError: It did not answer in time.
    """
    raise NotImplementedError
