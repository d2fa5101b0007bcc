"""All spans of a request: mapped one by one, then what only their neighbours know."""

from collections.abc import Iterable

from msgspec.structs import force_setattr

from ams_contracts.events import StepRecorded, StepStarted
from ams_trace_ingest.mapping.enum_members import AGENT
from ams_trace_ingest.mapping.identity import service_of
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.media import MediaBudget
from ams_trace_ingest.mapping.span_model import ScopedSpans
from ams_trace_ingest.pricing.price import Prices

CLIMB_MAX = 64


def map_request(project_id: str, groups: Iterable[ScopedSpans], *, received_at_us: int, prices: Prices) -> list[MappedSpan]:
    """Map the spans of a request, in its order.

    A step that names no agent belongs to the nearest agent above it in the request, else to the service that emitted it.
    A large resource or scope is kept whole with its first span only.
    """
    mapped: list[MappedSpan] = []
    services: list[str] = []
    media = MediaBudget()
    for group in groups:
        service = service_of(group.resource)
        for span in group.spans:
            mapped.append(
                map_span(project_id, group.resource, group.scope, span, received_at_us=received_at_us, prices=prices, media=media)
            )
            services.append(service)
            group.resource.encoded = group.resource.encoded_again
            group.scope.encoded = group.scope.encoded_again
    _name_agents(mapped, services)
    return mapped


def _name_agents(mapped: list[MappedSpan], services: list[str]) -> None:
    above: dict[tuple[str, str], StepRecorded | StepStarted] = {(item.task_id, item.event.step_id): item.event for item in mapped}
    nameless = [(item, service) for item, service in zip(mapped, services, strict=True) if item.event.step.agent is None]
    for item, service in nameless:
        if item.event.step.agent is None:
            # frozen for its readers; until it leaves here it is ours, and copying it takes 4 us
            force_setattr(item.event.step, "agent", _nearest_agent(item, above) or service)


def _nearest_agent(item: MappedSpan, above: dict[tuple[str, str], StepRecorded | StepStarted]) -> str | None:
    parent = item.event.step.parent_step_id
    for _ in range(CLIMB_MAX):
        event = above.get((item.task_id, parent)) if parent is not None else None
        if event is None:
            return None
        if event.step.type is AGENT and event.step.agent is not None:
            return event.step.agent
        parent = event.step.parent_step_id
    return None
