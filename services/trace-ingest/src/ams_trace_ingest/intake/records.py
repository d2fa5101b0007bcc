"""Packs encoded events of one task into records of the log."""

from collections.abc import Iterator, Sequence

from ams_contracts.codec import encode
from ams_contracts.events import EVENTS_PER_BATCH_MAX, Producer
from ams_contracts.topics import PAYLOADS, STEPS, Topic, agent_key, prices_key, task_key
from ams_kit.bus import Record

STEPS_RECORD_BYTES_MAX = 240 * 1024  # the live gateway forwards records up to 256 KiB
PAYLOADS_RECORD_BYTES_MAX = 1024 * 1024
HEADER_VERSION = ("v", b"1")


def pack(topic: Topic, project_id: str, task_id: str, producer: Producer, events: Sequence[bytes], *, key_id: str) -> list[Record]:
    """Records for events of one task, in the order given.

    Args:
        topic: ``STEPS`` or ``PAYLOADS``.
        project_id: From the credential.
        task_id: 32 hex.
        producer: Who sent them.
        events: Encoded events; each fits into a record.
        key_id: The API key's, for the record's headers.
    """
    record_bytes_max = STEPS_RECORD_BYTES_MAX if topic is STEPS else PAYLOADS_RECORD_BYTES_MAX
    head = b'{"v":1,"project_id":"%b","task_id":"%b","producer":%b,"events":[' % (project_id.encode(), task_id.encode(), encode(producer))
    key = task_key(project_id, task_id)
    headers = _headers(topic, key_id)
    return [
        Record(topic=topic, key=key, value=head + b",".join(group) + b"]}", headers=headers)
        for group in _groups(events, record_bytes_max - len(head) - 2)
    ]


def pack_agent(project_id: str, agent: str, producer: Producer, event: bytes, *, key_id: str) -> Record:
    """The record of an ``agent.registered`` event, which belongs to no task."""
    return _of_project(project_id, agent_key(project_id, agent), producer, event, key_id)


def pack_price(project_id: str, producer: Producer, event: bytes) -> Record:
    """The record of a ``price.set`` event, which belongs to no task."""
    return _of_project(project_id, prices_key(project_id), producer, event, "")


def _of_project(project_id: str, key: bytes, producer: Producer, event: bytes, key_id: str) -> Record:
    value = b'{"v":1,"project_id":"%b","producer":%b,"events":[%b]}' % (project_id.encode(), encode(producer), event)
    return Record(topic=STEPS, key=key, value=value, headers=_headers(STEPS, key_id))


def _headers(topic: Topic, key_id: str) -> list[tuple[str, bytes]]:
    return [HEADER_VERSION, ("kinds", b"payloads" if topic is PAYLOADS else b"steps"), ("key_id", key_id.encode())]


def _groups(events: Sequence[bytes], bytes_max: int) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for index, event in enumerate(events):
        if index > start and (size + len(event) + 1 > bytes_max or index - start >= EVENTS_PER_BATCH_MAX):
            yield events[start:index]
            start, size = index, 0
        size += len(event) + 1
    if start < len(events):
        yield events[start:]
