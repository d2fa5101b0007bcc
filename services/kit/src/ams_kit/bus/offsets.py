"""Reads start and end offsets and timestamps of partitions through a consumer, each request with a deadline."""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from ams_kit.bus.clients import Kafka, make_consumer
from ams_kit.bus.cluster import deadline, stop_quietly
from ams_kit.bus.records import StoredPosition
from ams_kit.bus.resume import LogFacts

REQUEST_TIMEOUT_SECONDS = 5.0


async def end_offsets(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Read the end offset of each partition (before open transactions).

    Raises:
        LogUnavailableError: No answer in time.
    """
    async with deadline(REQUEST_TIMEOUT_SECONDS, "return its end"):
        return await consumer.end_offsets(list(partitions))


async def start_offsets(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Read the first offset that each partition still has.

    Raises:
        LogUnavailableError: No answer in time.
    """
    async with deadline(REQUEST_TIMEOUT_SECONDS, "return its start"):
        return await consumer.beginning_offsets(list(partitions))


async def log_facts(
    consumer: AIOKafkaConsumer, kafka: Kafka, stored: Mapping[TopicPartition, StoredPosition], partitions: list[TopicPartition]
) -> dict[TopicPartition, LogFacts]:
    """Read the start, the end and the timestamp before the stored position of each partition.

    Raises:
        LogUnavailableError: No answer in time.
    """
    starts, ends = await asyncio.gather(start_offsets(consumer, partitions), end_offsets(consumer, partitions))
    asked = {
        tp: stored[tp]
        for tp in partitions
        if tp in stored and starts[tp] < stored[tp].next_offset <= ends[tp] and stored[tp].last_timestamp_ms > 0
    }
    timestamps = await _timestamps_before(consumer, kafka, asked) if asked else {}
    return {tp: LogFacts(starts[tp], ends[tp], timestamps.get(tp)) for tp in partitions}


async def _timestamps_before(
    consumer: AIOKafkaConsumer, kafka: Kafka, stored: Mapping[TopicPartition, StoredPosition]
) -> dict[TopicPartition, int | None]:
    """Find the timestamps of the records before the stored positions.

    One request finds the stored timestamps that are still in place (the broker's clock only moves forward). Only for the others the record
    itself is read.
    """
    async with deadline(REQUEST_TIMEOUT_SECONDS, "find offsets by time"):
        found = await consumer.offsets_for_times({tp: item.last_timestamp_ms for tp, item in stored.items()})
    known: dict[TopicPartition, int | None] = {}
    for tp, item in stored.items():
        at = found.get(tp)
        if at is not None and at.timestamp == item.last_timestamp_ms and at.offset < item.next_offset:
            known[tp] = item.last_timestamp_ms
        else:
            known[tp] = await _read_timestamp(kafka, tp, item.next_offset - 1)
    return known


async def _read_timestamp(kafka: Kafka, tp: TopicPartition, offset: int) -> int | None:
    """Read the timestamp of the record at an offset, or ``None`` when there is none. Uses a separate consumer outside the group."""
    reader = make_consumer(kafka, "ams-probe", auto_offset_reset="earliest")
    try:
        async with deadline(REQUEST_TIMEOUT_SECONDS, "return a record"):
            await reader.start()
            reader.assign([tp])
            reader.seek(tp, offset)
            record = await reader.getone(tp)
            return record.timestamp if record.offset == offset else None
    finally:
        await stop_quietly(reader.stop(), "probe")
