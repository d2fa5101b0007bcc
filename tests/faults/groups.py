"""Who reads what: the members of a group as the broker knows them."""

import asyncio
from functools import partial
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from ams_kit.bus.cluster import retry_retriable

RETRY_SECONDS = 30.0  # a broker that was just frozen or killed elects its coordinators again


async def _shares(bootstrap: str, groups: list[str]) -> dict[str, list[int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found: dict[str, list[int]] = {}
        for name in groups:  # one at a time: aiokafka 0.14 cannot read an answer about several
            found[name] = await retry_retriable(partial(_group_shares, admin, name), seconds=RETRY_SECONDS)
        return found
    finally:
        await admin.close()


async def _group_shares(admin: AIOKafkaAdminClient, name: str) -> list[int]:
    answers: list[Any] = await admin.describe_consumer_groups([name])
    code, *_, members = answers[0].groups[0][:6]
    if code:
        raise for_code(code)
    return sorted(_partitions(member[4]) for member in members)


def _partitions(assignment: bytes) -> int:
    topics = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
    return sum(len(partitions) for _, partitions in topics)


def shares(bootstrap: str, *groups: str) -> dict[str, list[int]]:
    """How many partitions each member has, by group. (Who it is, the broker does not say: a name keeps the client id of its first owner.)"""
    return asyncio.run(_shares(bootstrap, list(groups)))
