"""Many requests for older records share one scan, and their memory is bounded."""

import asyncio

import pytest

from ams_contracts.topics import Topic
from ams_kit.bus import BacklogReader, LogRecord, LogUnavailableError, backlog_reader
from ams_kit.bus.backlog_reader import BUFFERED_BYTES_MAX, CHUNK_BYTES_MAX, Pass, Request

REQUESTS = 10_000


def record(offset: int, key: bytes, size: int = 10) -> LogRecord:
    return LogRecord(topic="t", partition=0, offset=offset, key=key, value=b"x" * size, headers=(), timestamp_ms=0)


def key_of(number: int) -> bytes:
    return f"key-{number}".encode()


async def test_a_record_is_offered_only_to_the_requests_of_its_key() -> None:
    scan = Pass()
    requests = [Request(key_of(number), 0, 20_000) for number in range(REQUESTS)]
    for request in requests:
        scan.join(request)

    offered = [scan.offer(record(offset, key_of(offset % REQUESTS))) for offset in range(20_000)]
    scan.advance_to(20_000)

    assert sum(offered) == 20_000
    chunks = [request.answer.result() for request in requests]
    assert [[one.offset for one in chunk.records] for chunk in chunks[:2]] == [[0, 10_000], [1, 10_001]]
    assert {chunk.next_offset for chunk in chunks} == {20_000}


async def test_requests_that_end_earlier_are_answered_when_the_scan_passes_them() -> None:
    scan = Pass()
    early, late = Request(b"k", 0, 5), Request(b"k", 0, 50)
    for request in (late, early):
        scan.join(request)

    scan.offer(record(3, b"k"))
    scan.offer(record(7, b"k"))
    scan.advance_to(8)

    assert [one.offset for one in early.answer.result().records] == [3]
    assert not late.answer.done()
    assert scan.is_wanted


async def test_a_chunk_ends_when_it_is_full() -> None:
    scan, request = Pass(), Request(b"k", 0, 100)
    scan.join(request)

    for offset in range(3):
        scan.offer(record(offset, b"k", CHUNK_BYTES_MAX // 2))

    assert (len(request.answer.result().records), request.answer.result().next_offset) == (2, 2)


async def test_the_records_that_all_requests_buffer_are_bounded() -> None:
    scan = Pass()
    size = CHUNK_BYTES_MAX - 1
    count = BUFFERED_BYTES_MAX // size + 1
    requests = [Request(key_of(number), 0, 1_000_000) for number in range(count)]
    for request in requests:
        scan.join(request)

    for number in range(count):
        scan.offer(record(number, key_of(number), size))

    assert all(request.answer.done() for request in requests)
    assert [request.answer.result().next_offset for request in requests] == [number + 1 for number in range(count)]


async def test_requests_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_reader, "REQUESTS_MAX", 5)
    reader = BacklogReader("127.0.0.1:1", Topic(name="t", version=1, partitions=1))
    waiting = [asyncio.create_task(reader.read(0, b"k", 0, 5)) for _ in range(5)]
    await asyncio.sleep(0)

    with pytest.raises(LogUnavailableError, match="Too many requests"):
        await reader.read(0, b"k", 0, 5)

    await reader.stop()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [LogUnavailableError] * 5
