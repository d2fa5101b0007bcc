"""The name that a member of a group keeps over restarts (``group.instance.id``), and giving it up when another process goes by it.

Two processes with one name would take the partitions from each other for ever: each that finds itself unknown joins again under the name and
so makes the other one unknown (aiokafka 0.14, one turn per heartbeat). So who has lost the membership goes on without a name, as a second
member, and both have their share. A process that was frozen for longer than its session loses the name in the same way, until it is
started again.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

logger = structlog.get_logger(__name__)


class Listener(Protocol):
    """Told what a client of the group may read."""

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Awaitable[None]:
        """Before the group is joined (again): nothing is ours until ``on_partitions_assigned``."""
        ...

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> Awaitable[None]:
        """These are ours."""
        ...


class GroupMember(ConsumerRebalanceListener):
    """One client's membership, from its first join on.

    Args:
        listener: Who reads.
        client: The client, as soon as there is one.
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
    """Whether the group does not know this member any more. Before its first join nobody does."""
    coordinator: Any = consumer._coordinator  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  aiokafka shows it nowhere else
    return coordinator is not None and not coordinator.member_id


def is_group_rejection(error: KafkaError) -> bool:
    """Whether it is what aiokafka makes of an answer of the group that it does not know, as FENCED_INSTANCE_ID."""
    return type(error) is KafkaError


def drop_instance_id(consumer: AIOKafkaConsumer) -> None:
    """Join from now on as a member without a name."""
    coordinator: Any = consumer._coordinator  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  aiokafka lets it be set at the start only
    if coordinator is None or coordinator._group_instance_id is None:  # noqa: SLF001  the same
        return
    name, coordinator._group_instance_id = coordinator._group_instance_id, None  # noqa: SLF001  the same
    coordinator.reset_generation()
    logger.warning(
        "this member's name is used by another process, or its session is over; it goes on without", name=name, group=coordinator.group_id
    )
