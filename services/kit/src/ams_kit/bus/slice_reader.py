"""Reads a stretch of one partition, for a client that waits: bounded in records, bytes and time, without a group."""

import asyncio
import time
from collections.abc import AsyncIterator

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from ams_contracts.topics import Topic
from ams_kit.bus.clients import Kafka, make_consumer
from ams_kit.bus.cluster import deadline, stop_quietly
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.offsets import end_offsets, start_offsets
from ams_kit.bus.records import LogRecord
from ams_kit.bus.tail import log_record

START_TIMEOUT_SECONDS = 5.0
RECORDS_PER_READ = 2_000
FETCH_WAIT_MS = 500


class SliceDeletedError(Exception):
    """The log does not have the first record of the stretch any more: its retention has passed."""


async def read_slice(
    kafka: Kafka, topic: Topic, partition: int, *, first_offset: int, end_offset: int | None, seconds_max: float
) -> AsyncIterator[list[LogRecord]]:
    """Read the records of a stretch of one partition, in order, in groups.

    Args:
        kafka: How to reach Kafka.
        topic: The topic.
        partition: Its partition.
        first_offset: The first record.
        end_offset: The offset to stop before; null: the end of the log as it is now.
        seconds_max: For all of it.

    Raises:
        SliceDeletedError: The log begins later.
        LogUnavailableError: The broker does not answer, or not in time.
    """
    place = TopicPartition(topic.name, partition)
    consumer = make_consumer(kafka, "ams-slice")
    until = time.monotonic() + seconds_max
    try:
        async with deadline(START_TIMEOUT_SECONDS, "answer"):
            await consumer.start()
        consumer.assign([place])
        (start, end) = ((await start_offsets(consumer, [place]))[place], (await end_offsets(consumer, [place]))[place])
        if start > first_offset:
            raise SliceDeletedError
        stop = end if end_offset is None else min(end_offset, end)
        consumer.seek(place, first_offset)
        at = first_offset
        while at < stop:
            if time.monotonic() > until:
                raise LogUnavailableError(f"Reading the log took more than {seconds_max:g} seconds.")
            got = (await consumer.getmany(place, timeout_ms=FETCH_WAIT_MS, max_records=RECORDS_PER_READ)).get(place, [])
            records = [log_record(record) for record in got if record.offset < stop]
            # the client skips transaction markers without returning anything
            at = max(at, await consumer.position(place))
            if records:
                yield records
            await asyncio.sleep(0)
    except OffsetOutOfRangeError as error:
        raise SliceDeletedError from error
    except KafkaError as error:
        raise LogUnavailableError("The log does not answer.") from error
    finally:
        await stop_quietly(consumer.stop(), "slice")
