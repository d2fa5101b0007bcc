"""Decoded spans and log records -> records of the log, by way of the mapping."""

import asyncio

from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.events import Producer
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_trace_ingest.intake.otlp import TracesRequest
from ams_trace_ingest.intake.records import pack
from ams_trace_ingest.mapping.logs import map_log
from ams_trace_ingest.mapping.span import map_span
from ams_trace_ingest.mapping.spans import LogRecord, Resource

SPANS_BETWEEN_BREATHS = 200  # mapping holds the event loop for some 5 ms at a time
WORD_CHARS_MAX = 256


class PackedSpans(Struct, frozen=True):
    """Records of a request, and how many events they hold."""

    payloads: list[Record]
    steps: list[Record]
    events: int


class _Packer:
    """Collects encoded events by task and producer, in the order in which they come."""

    def __init__(self) -> None:
        self.steps: dict[tuple[str, int], list[bytes]] = {}
        self.payloads: dict[tuple[str, int], list[bytes]] = {}
        self.producers: dict[int, Producer] = {}

    def records(self, project_id: str, key_id: str) -> PackedSpans:
        payloads = [
            record
            for (task_id, producer), events in self.payloads.items()
            for record in pack(PAYLOADS, project_id, task_id, self.producers[producer], events, key_id=key_id)
        ]
        steps = [
            record
            for (task_id, producer), events in self.steps.items()
            for record in pack(STEPS, project_id, task_id, self.producers[producer], events, key_id=key_id)
        ]
        events = sum(map(len, self.steps.values())) + sum(map(len, self.payloads.values()))
        return PackedSpans(payloads, steps, events)


async def pack_spans(request: TracesRequest, *, project_id: str, key_id: str, received_at_us: int) -> PackedSpans:
    """Map every span and pack what becomes of it. Lets other requests run now and then.

    Args:
        request: Its spans have checked ids.
        project_id: From the credential.
        key_id: The API key's.
        received_at_us: For spans without times.
    """
    packer = _Packer()
    mapped = 0
    for group in request.groups:
        producer = id(group.resource)
        packer.producers.setdefault(producer, _producer(group.resource))
        for span in group.spans:
            result = map_span(group.resource, group.scope, span, project_id=project_id, received_at_us=received_at_us)
            key = (span.trace_id, producer)
            packer.steps.setdefault(key, []).append(encode(result.event))
            if result.payloads:
                packer.payloads.setdefault(key, []).extend(map(encode, result.payloads))
            mapped += 1
            if mapped % SPANS_BETWEEN_BREATHS == 0:
                await asyncio.sleep(0)
    return packer.records(project_id, key_id)


def pack_logs(records: list[LogRecord], *, project_id: str, key_id: str, received_at_us: int) -> PackedSpans:
    """Payloads of the GenAI events among log records."""
    packer = _Packer()
    packer.producers[0] = Producer(sdk="otlp", instance_id="")
    for record in records:
        for payload in map_log(record, project_id=project_id, received_at_us=received_at_us):
            packer.payloads.setdefault((record.trace_id, 0), []).append(encode(payload))
    return packer.records(project_id, key_id)


def _producer(resource: Resource) -> Producer:
    def word(key: str) -> str:
        value = resource.attributes.get(key)
        return value[:WORD_CHARS_MAX] if isinstance(value, str) else ""

    return Producer(
        sdk="otlp",
        version=word("telemetry.sdk.version"),
        instance_id=word("service.instance.id") or word("service.name"),
        host=word("host.name"),
    )
