"""Events -> requests within their limits."""

from collections.abc import Iterable

from ams.sending.assemble import Encoded
from ams_contracts.native import REQUEST_BATCHES_MAX, REQUEST_BYTES_MAX

_ENVELOPE_BYTES = 1_000  # of one batch, an upper estimate


def next_chunk(events: Iterable[object], events_max: int) -> list[Encoded]:
    """The oldest events, up to whatever is no event, within the limits of a request."""
    chunk: list[Encoded] = []
    tasks: set[str | None] = set()
    size = _ENVELOPE_BYTES
    for event in events:
        if not isinstance(event, Encoded) or len(chunk) >= events_max:
            break
        size += len(event.data) + 1 + (_ENVELOPE_BYTES if event.task_id not in tasks else 0)
        if chunk and (size > REQUEST_BYTES_MAX or (len(tasks) >= REQUEST_BATCHES_MAX and event.task_id not in tasks)):
            break
        tasks.add(event.task_id)
        chunk.append(event)
    return chunk


def body_of(chunk: list[Encoded], producer: bytes) -> bytes:
    """A ``NativeRequest`` of events that are encoded already.

    Args:
        chunk: At least one event.
        producer: The contract's ``Producer`` in JSON.
    """
    batches: dict[str | None, list[bytes]] = {}
    for event in chunk:
        batches.setdefault(event.task_id, []).append(event.data)
    encoded = [
        b'{"task_id":%b,"producer":%b,"events":[%b]}' % (b"null" if task is None else b'"%b"' % task.encode(), producer, b",".join(events))
        for task, events in batches.items()
    ]
    return b'{"v":1,"batches":[%b]}' % b",".join(encoded)
