"""The topic reader reads from stored positions up to given offsets, and refuses positions of another log."""

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from ams_kit.bus import LogRecreatedError, StoredPosition, TopicReader


async def values_until(reader: TopicReader, until: dict[int, int], records_max: int = 2) -> list[bytes | None]:
    found: list[bytes | None] = []
    while any(reader.next_offset(partition) < offset for partition, offset in until.items()):
        for records in (await reader.read(until, records_max)).values():
            found += [record.value for record in records]
    return found


async def test_it_reads_from_its_position_up_to_the_given_offset(bus) -> None:
    await bus.publish(*range(10))
    reader = TopicReader(bus.bootstrap, bus.topic)
    await reader.start({})
    try:
        partition = next(number for number, (_, end) in (await reader.bounds()).items() if end)

        first = await values_until(reader, {partition: 4})
        second = await values_until(reader, {partition: 10}, records_max=100)

        assert first == [b"0", b"1", b"2", b"3"]
        assert second == [b"4", b"5", b"6", b"7", b"8", b"9"]
        assert await reader.read({partition: 10}, 100) == {}
    finally:
        await reader.stop()


async def test_what_is_published_after_the_end_was_reached_is_read_next(bus) -> None:
    await bus.publish(*range(3))
    reader = TopicReader(bus.bootstrap, bus.topic)
    await reader.start({})
    try:
        partition = next(number for number, (_, end) in (await reader.bounds()).items() if end)
        assert await values_until(reader, {partition: 3}) == [b"0", b"1", b"2"]
        assert await reader.read({partition: 3}, 100) == {}

        await bus.publish(3, 4)

        assert (await reader.bounds())[partition] == (0, 5)
        assert await values_until(reader, {partition: 5}) == [b"3", b"4"]
    finally:
        await reader.stop()


async def test_a_position_of_another_log_is_refused(bus) -> None:
    await bus.publish(*range(3))
    reader = TopicReader(bus.bootstrap, bus.topic)
    try:
        with pytest.raises(LogRecreatedError, match="beyond the end"):
            await reader.start({0: StoredPosition(1_000, 5)})
    finally:
        await reader.stop()


async def test_records_that_the_log_has_deleted_are_counted(bus) -> None:
    await bus.publish(*range(10))
    reader = TopicReader(bus.bootstrap, bus.topic)
    await reader.start({})
    try:
        partition = next(number for number, (_, end) in (await reader.bounds()).items() if end)
        async with bus.admin() as admin:
            await admin.delete_records({TopicPartition(bus.topic.name, partition): RecordsToDelete(before_offset=6)})

        await reader.seek({partition: StoredPosition(2, 0)})

        assert await values_until(reader, {partition: 10}) == [b"6", b"7", b"8", b"9"]
        assert reader.lost_records == 4
    finally:
        await reader.stop()
