"""The ring and the encoding of frames, without servers."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ams_live_gateway.encoding import encode_frame, encode_task_frame, frames_to_messages
from ams_live_gateway.endpoint import same_authority
from ams_live_gateway.ring import Ring

KEY = b"01900000-0000-7000-8000-000000000001:" + b"a" * 32


def unframe(message: bytes) -> bytes:
    """The payload of an unmasked websocket text message."""
    assert message[0] == 0x81
    length = message[1]
    if length == 126:
        length, start = int.from_bytes(message[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(message[2:10], "big"), 10
    else:
        start = 2
    assert len(message) == start + length
    return message[start:]


def test_a_ring_covers_the_offsets_after_the_last_evicted_record() -> None:
    ring = Ring(bytes_max=3 * 600, seconds_max=300)
    ring.reset(0, 5)
    for offset in range(5, 11):
        ring.add(0, offset, KEY, b"x" * 100, 1_000)

    assert ring.covers(0, 10)
    assert not ring.covers(0, 5)
    assert [entry.offset for entry in ring.since(KEY, 0)] == list(range(ring.start(0) or 0, 11))


def test_an_unknown_partition_is_not_covered() -> None:
    assert not Ring(1_000, 300).covers(0, 0)


def test_old_records_are_evicted_and_the_previous_position_is_kept() -> None:
    ring = Ring(1_000_000, seconds_max=300)
    ring.reset(0, 0)
    ring.add(0, 0, KEY, b"{}", 0)
    ring.expire(301_000)

    assert ring.size == 0
    assert ring.start(0) == 1
    assert ring.add(0, 7, KEY, b"{}", 301_000).prev == 1


def test_a_recreated_partition_drops_only_its_own_records() -> None:
    ring = Ring(1_000_000, 300)
    ring.reset(0, 0)
    ring.reset(1, 0)
    ring.add(0, 0, KEY, b"{}", 0)
    ring.add(1, 0, KEY[:-1] + b"b", b"{}", 0)
    ring.reset(0, 90)

    assert ring.since(KEY, 0) == []
    assert len(ring.since(KEY[:-1] + b"b", 0)) == 1
    assert ring.start(0) == 90
    assert ring.add(0, 90, KEY, b"{}", 0).prev is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 400)), max_size=120), st.integers(500, 20_000))
def test_a_ring_holds_a_contiguous_range_within_its_byte_limit(records: list[tuple[int, int, int]], bytes_max: int) -> None:
    ring = Ring(bytes_max, 300)
    written: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for partition in written:
        ring.reset(partition, 0)
    for partition, key_number, size in records:
        key = b"%d:%d" % (partition, key_number)
        ring.add(partition, len(written[partition]), key, b"x" * size, 0)
        written[partition].append(key)

    assert ring.size <= bytes_max or len(ring._entries) == 1
    assert ring.size == sum(entry.size for entry in ring._entries)
    for partition, keys in written.items():
        start = ring.start(partition) or 0
        for key in set(keys):
            expected = [offset for offset, written_key in enumerate(keys) if written_key == key and offset >= start]
            assert [entry.offset for entry in ring.since(key, start)] == expected


@given(st.lists(st.binary(min_size=0, max_size=2_000).map(lambda data: msgspec.json.encode(data.hex())), max_size=300))
def test_messages_carry_every_frame_once_and_in_order(frames: list[bytes]) -> None:
    messages = list(frames_to_messages(frames))

    assert [item for message, _ in messages for item in msgspec.json.decode(unframe(message))] == [
        msgspec.json.decode(frame) for frame in frames
    ]
    assert sum(count for _, count in messages) == len(frames)


@given(st.binary(max_size=200))
def test_the_frame_of_any_record_is_json_or_empty(value: bytes) -> None:
    ring = Ring(1_000_000, 300)
    frame = encode_frame(ring.add(0, 0, KEY, value, 0))
    assert frame == b"" or msgspec.json.decode(frame)["op"] == "frame"
    changed = encode_task_frame("a" * 32, value)
    assert changed == b"" or msgspec.json.decode(changed)["op"] == "task"


def test_hosts_are_equal_when_identical_or_both_loopback() -> None:
    assert same_authority("app.example:443", "app.example:443")
    assert same_authority("127.0.0.1:8080", "localhost:8080")
    assert not same_authority("127.0.0.1:8081", "localhost:8080")
    assert not same_authority("app.example.evil.com", "app.example")
    assert not same_authority("APP.example", "app.example")
