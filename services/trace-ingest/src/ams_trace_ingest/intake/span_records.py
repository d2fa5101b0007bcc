"""Decoded spans -> records of the log, by way of the mapping."""

from collections.abc import Iterable

from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.events import Event, Producer
from ams_contracts.topics import PAYLOADS, STEPS, Topic
from ams_kit.bus import Record
from ams_trace_ingest.intake.log_joiner import Additions, LogJoiner
from ams_trace_ingest.intake.otlp import TracesRequest
from ams_trace_ingest.intake.records import pack
from ams_trace_ingest.mapping.map_request import map_request
from ams_trace_ingest.mapping.span_model import Resource, ScopedSpans
from ams_trace_ingest.pricing.price import Prices

WORD_CHARS_MAX = 256


class PackedSpans(Struct, frozen=True):
    """Records of a request, and how many events they hold."""

    payloads: list[Record]
    steps: list[Record]
    events: int


def pack_spans(
    request: TracesRequest, *, project_id: str, key_id: str, received_at_us: int, prices: Prices, logs: LogJoiner | None = None
) -> PackedSpans:
    """Map every span and pack its events: one record for each task, producer and topic, unless it grows too large.

    Args:
        request: Its spans have checked ids.
        project_id: From the credential.
        key_id: The API key's.
        received_at_us: For spans without times.
        prices: To compute what is not reported.
        logs: Completes steps whose log records arrived before them.
    """
    mapped = map_request(project_id, request.groups, received_at_us=received_at_us, prices=prices)
    steps: dict[tuple[str, str], list[bytes]] = {}
    payloads: dict[tuple[str, str], list[bytes]] = {}
    producers: dict[str, Producer] = {}
    events = 0
    for item, producer in zip(mapped, _producers(request.groups), strict=True):
        producers[producer.instance_id] = producer
        key = (item.task_id, producer.instance_id)
        found = steps.setdefault(key, [])
        found.append(encode(item.event))
        if item.scores:
            found.extend(map(encode, item.scores))
        payloads.setdefault(key, []).extend(map(encode, (*item.media, *item.payloads)))
        events += 1 + len(item.payloads) + len(item.media) + len(item.scores)
    added = Additions([], []) if logs is None else logs.add_spans(project_id, mapped, received_at_us=received_at_us)
    return PackedSpans(
        [
            *pack_additions(PAYLOADS, added.payloads, project_id=project_id, key_id=key_id),
            *(
                record
                for (task, producer), found in payloads.items()
                for record in pack(PAYLOADS, project_id, task, producers[producer], found, key_id=key_id)
            ),
        ],
        [
            *(
                record
                for (task, producer), found in steps.items()
                for record in pack(STEPS, project_id, task, producers[producer], found, key_id=key_id)
            ),
            *pack_additions(STEPS, added.steps, project_id=project_id, key_id=key_id),
        ],
        events + len(added.payloads) + len(added.steps),
    )


def pack_additions(topic: Topic, events: Iterable[tuple[str, Event]], *, project_id: str, key_id: str) -> list[Record]:
    """Records for events that follow from log records: ``(task_id, event)``."""
    by_task: dict[str, list[bytes]] = {}
    for task_id, event in events:
        by_task.setdefault(task_id, []).append(encode(event))
    producer = Producer(sdk="otlp", instance_id="logs")
    return [record for task_id, found in by_task.items() for record in pack(topic, project_id, task_id, producer, found, key_id=key_id)]


def _producers(groups: Iterable[ScopedSpans]) -> Iterable[Producer]:
    for group in groups:
        producer = _producer(group.resource)
        for _ in group.spans:
            yield producer


def _producer(resource: Resource) -> Producer:
    def word(key: str) -> str:
        value = resource.attributes.get(key)
        return value[:WORD_CHARS_MAX] if isinstance(value, str) else ""

    instance_id = word("service.instance.id") or word("service.name") or "unknown_service"
    return Producer(sdk="otlp", version=word("telemetry.sdk.version"), instance_id=instance_id, host=word("host.name"))
