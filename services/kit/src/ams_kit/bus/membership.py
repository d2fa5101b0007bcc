"""Static group membership (``group.instance.id``), and dropping the id when another process uses it.

Two processes with one instance id would take the partitions from each other without end: each one that is no longer a member joins again
with the id and so removes the other (aiokafka 0.14, once per heartbeat). A process that loses its membership therefore continues without
the id, as a dynamic member, and both receive partitions. A process that was frozen for longer than its session also loses the id, until it
restarts.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

logger = structlog.get_logger(__name__)


class Listener(Protocol):
    """Receives the partition assignments of a group member."""

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Awaitable[None]:
        """Runs before the member (re)joins the group: it owns no partition until ``on_partitions_assigned``."""
        ...

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> Awaitable[None]:
        """Runs after the group has assigned these partitions to the member."""
        ...


class GroupMember(ConsumerRebalanceListener):
    """The group membership of one client, starting with its first join.

    Args:
        listener: Receives the assignments.
        client: Returns the client, or ``None`` before it exists.
    """

    def __init__(self, listener: Listener, client: Callable[[], AIOKafkaConsumer | None]) -> None:
        self._listener = listener
        self._client = client
        self._joined = False

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  the client awaits what its base class declares as None
        client = self._client()
        if self._joined and client is not None and _lost_membership(client):
            drop_instance_id(client)
        await self._listener.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  the same
        self._joined = True
        await self._listener.on_partitions_assigned(assigned)


def _lost_membership(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group has removed this member. Also true before its first join."""
    coordinator: Any = consumer._coordinator  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  aiokafka has no public accessor
    return coordinator is not None and not coordinator.member_id


def is_group_rejection(error: KafkaError) -> bool:
    """Whether the error is the bare ``KafkaError`` that aiokafka raises for group errors it does not know, such as FENCED_INSTANCE_ID."""
    return type(error) is KafkaError


def drop_instance_id(consumer: AIOKafkaConsumer) -> None:
    """Rejoin the group as a dynamic member, without an instance id."""
    coordinator: Any = consumer._coordinator  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  aiokafka accepts it only in the constructor
    if coordinator is None or coordinator._group_instance_id is None:  # noqa: SLF001  the same
        return
    instance_id, coordinator._group_instance_id = coordinator._group_instance_id, None  # noqa: SLF001  the same
    coordinator.reset_generation()
    logger.warning(
        "another process uses this instance id, or the session expired; continuing without it",
        instance_id=instance_id,
        group=coordinator.group_id,
    )
