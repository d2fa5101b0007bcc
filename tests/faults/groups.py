"""Who reads what: the members of a group as the broker knows them."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


async def _shares(bootstrap: str, groups: list[str]) -> dict[str, list[int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found: dict[str, list[int]] = {}
        for name in groups:  # one at a time: aiokafka 0.14 cannot read an answer about several
            answers: list[Any] = await admin.describe_consumer_groups([name])
            found[name] = sorted(_partitions(member[4]) for member in answers[0].groups[0][5])
        return found
    finally:
        await admin.close()


def _partitions(assignment: bytes) -> int:
    topics = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
    return sum(len(partitions) for _, partitions in topics)


def shares(bootstrap: str, *groups: str) -> dict[str, list[int]]:
    """How many partitions each member has, by group. (Who it is, the broker does not say: a name keeps the client id of its first owner.)"""
    return asyncio.run(_shares(bootstrap, list(groups)))
