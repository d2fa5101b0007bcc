"""GenAI events that come as log records: their conversation joins its step as payloads, by trace and span id.

The step itself comes as a span; its own input and output win when they are later. Records of one span are merged within a request.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored
from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.mapping.content import MESSAGES
from ams_trace_ingest.mapping.messages import Message
from ams_trace_ingest.mapping.payloads import payload_of
from ams_trace_ingest.mapping.span_model import LogRecord
from ams_trace_ingest.mapping.vendors import events

_US_NS = 1_000
_encode = msgspec.json.Encoder().encode


class JoinedLogs(Struct):
    """What became of a request's records.

    Attributes:
        payloads: ``(task_id, payload)``.
        joined: Records that are in them.
        ignored: Records that are no GenAI events, or belong to no span.
    """

    payloads: list[tuple[str, PayloadStored]]
    joined: int
    ignored: int


def map_logs(project_id: str, records: Iterable[LogRecord], *, received_at_us: int) -> JoinedLogs:
    """Payloads of the steps that GenAI log records speak of.

    Args:
        project_id: From the credential; part of the event ids.
        records: As decoded; ids are checked here.
        received_at_us: Stands in for times that are missing.
    """
    spoken: dict[tuple[str, str], tuple[events.Conversation, int]] = {}
    joined = ignored = 0
    for record in records:
        name = record.event_name or str(record.attributes.get("event.name", ""))
        if name not in events.NAMES or not _is_id(record.trace_id, 32) or not _is_id(record.span_id, 16):
            ignored += 1
            continue
        joined += 1
        key = (record.trace_id, record.span_id)
        conversation, at_us = spoken.get(key, (events.Conversation([], [], []), 0))
        body: dict[str, Any] = (
            record.body if isinstance(record.body, dict) else {"content": record.body} if isinstance(record.body, str) else {}
        )
        events.add(conversation, name, {**record.attributes, **body})
        spoken[key] = (conversation, max(at_us, min(record.time_ns // _US_NS or received_at_us, TIME_MAX_US)))
    payloads: list[tuple[str, PayloadStored]] = []
    for (task_id, step_id), (conversation, at_us) in spoken.items():
        for slot, messages in ((Slot.INPUT, conversation.asked), (Slot.OUTPUT, conversation.output)):
            if messages:
                payloads.append((task_id, _payload(project_id, (task_id, step_id), slot, messages, at_us)))
    return JoinedLogs(payloads, joined, ignored)


def _payload(project_id: str, step: tuple[str, str], slot: Slot, messages: list[Message], at_us: int) -> PayloadStored:
    text = _encode(messages).decode()
    digest = hashlib.blake2b(_encode([*step, slot, text]), digest_size=16, key=project_id.encode())
    return payload_of(step[1], slot, MESSAGES, text, event_id=digest.hexdigest(), at_us=at_us)


def _is_id(value: str, digits: int) -> bool:
    return len(value) == digits and all(digit in "0123456789abcdef" for digit in value) and bool(value.strip("0"))
