"""All spans of a request: mapped one by one, then what only their neighbours know."""

from collections.abc import Iterable, Mapping

from msgspec.structs import force_setattr

from ams_contracts.events import StepRecorded, StepStarted
from ams_trace_ingest.mapping.identity import main_agent_of
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.media import MediaBudget
from ams_trace_ingest.mapping.span_model import ScopedSpans
from ams_trace_ingest.pricing.price import Prices

CLIMB_MAX = 64


def map_request(project_id: str, groups: Iterable[ScopedSpans], *, received_at_us: int, prices: Prices) -> list[MappedSpan]:
    """Map the spans of a request, in its order.

    A step that names no agent belongs to the one that the nearest step above it names. Where that is not in the request, the step's place in
    its task decides (``ams_contracts.derive``), and last the main agent of the process, or the service, that emitted it.
    A large resource or scope is kept whole with its first span only.
    """
    mapped: list[MappedSpan] = []
    services: list[str] = []
    media = MediaBudget()
    for group in groups:
        service = main_agent_of(group.resource)
        for span in group.spans:
            mapped.append(
                map_span(project_id, group.resource, group.scope, span, received_at_us=received_at_us, prices=prices, media=media)
            )
            services.append(service)
            group.resource.encoded = group.resource.encoded_again
            group.scope.encoded = group.scope.encoded_again
    name_agents(mapped, services)
    return mapped


def name_agents(mapped: list[MappedSpan], services: list[str]) -> None:
    """Give steps the agent of the nearest step above that names one, and the service that emitted them. In place."""
    if all(item.event.step.agent is not None for item in mapped):
        return
    events: dict[tuple[str, str], StepRecorded | StepStarted] = {(item.task_id, item.event.step_id): item.event for item in mapped}
    named = {key: event.step.agent for key, event in events.items() if event.step.agent is not None}
    for item, service in zip(mapped, services, strict=True):
        step = item.event.step
        # frozen for its readers; until it leaves here it is ours, and copying it takes 4 us
        force_setattr(step, "service", service)
        if step.agent is None and (agent := _nearest_agent(item, events, named)) is not None:
            force_setattr(step, "agent", agent)


def _nearest_agent(
    item: MappedSpan, events: dict[tuple[str, str], StepRecorded | StepStarted], named: Mapping[tuple[str, str], str | None]
) -> str | None:
    """The agent that the nearest step above names, of whatever type that step is."""
    parent = item.event.step.parent_step_id
    for _ in range(CLIMB_MAX):
        if parent is None:
            return None
        key = (item.task_id, parent)
        agent = named.get(key)
        if agent is not None or key not in events:
            return agent
        parent = events[key].step.parent_step_id
    return None
