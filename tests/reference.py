"""The pipeline without servers: decode, map, fold, roll up. What the platform must answer for the same posts."""

import base64
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ams_contracts.codec import decode_event, encode
from ams_contracts.derive import derive
from ams_contracts.derive import step_of as derive_step_of
from ams_contracts.documents import StepDocument
from ams_contracts.fold import EMPTY_STEP, StepState, fold
from ams_trace_ingest import rollup
from ams_trace_ingest.intake.otlp import Encoding, decode_traces
from ams_trace_ingest.mapping.map_request import map_request
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.span_model import Resource, Scope, Span
from ams_trace_ingest.pricing.price import Prices, UnitPrice, UnitPrices
from ams_trace_ingest.repeated_calls import Claim, Place, claims_of, overlapping_claims

PROJECT = "01900000-0000-7000-8000-000000000001"
NOW_US = 1_795_300_000_000_000
TRACES = Path(__file__).parent / "traces"
NAMES = sorted(path.name.removesuffix(".json.gz") for path in TRACES.glob("*.json.gz"))
FOREIGN = sorted(TRACES.glob("foreign/*.json"))
EXPECTED: dict[str, Any] = json.loads((TRACES / "expected.json").read_text())

Steps = dict[tuple[str, str], StepState]


class OneCent:
    """A catalog in which every token of every model costs 10 nano-USD."""

    def find(self, provider: str | None, model: str, at_us: int, service_tier: str | None = None) -> UnitPrices | None:
        return UnitPrices(input=UnitPrice(10_000), output=UnitPrice(10_000))

    def knows(self, provider: str) -> bool:
        return True


PRICES = Prices(OneCent())


def as_json(name: str) -> bytes:
    """A real trace as it was posted."""
    return gzip.decompress((TRACES / f"{name}.json.gz").read_bytes())


def to_protobuf(body: bytes) -> bytes:
    """The same request in protobuf."""
    request = json.loads(body)
    for resource in request.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for item in (span, *span.get("links", [])):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if item.get(key):
                            item[key] = base64.b64encode(bytes.fromhex(item[key])).decode()
    return ParseDict(request, ExportTraceServiceRequest(), ignore_unknown_fields=True).SerializeToString()


def mapped(bodies: Iterable[bytes], encoding: Encoding) -> list[MappedSpan]:
    """Every span of the requests, mapped; every event is one that the log's consumers can read."""
    found: list[MappedSpan] = []
    for body in bodies:
        request = decode_traces(body, encoding)
        found += map_request(PROJECT, request.groups, received_at_us=NOW_US, prices=PRICES)
    for item in found:
        for event in (item.event, *item.payloads):
            assert decode_event(encode(event)) == event
    return found


def folded(items: Iterable[MappedSpan]) -> Steps:
    """The steps after all events."""
    steps: Steps = {}
    for item in items:
        key = (item.task_id, item.event.step_id)
        steps[key] = fold(steps.get(key, EMPTY_STEP), item.event, item.event.step_id)
    return steps


def wrappers_and_claims(documents: Mapping[Place, StepDocument]) -> tuple[set[Place], list[Claim]]:
    """R2, and what the others claim by R3, by the pure rules from all steps at once."""
    trees: dict[str, rollup.Tree] = defaultdict(rollup.Tree)
    for (task_id, step_id), document in documents.items():
        trees[task_id].put(rollup.node_of(step_id, document))
    wrappers = {(task_id, step_id) for task_id, tree in trees.items() for step_id in rollup.shadowed_steps(tree)}
    claims = [
        claim
        for (task_id, step_id), document in documents.items()
        if (task_id, step_id) not in wrappers and rollup.node_of(step_id, document).billable
        for claim in claims_of(task_id, step_id, document).values()
    ]
    return wrappers, claims


def counted_steps(documents: Mapping[Place, StepDocument]) -> dict[Place, rollup.Counted]:
    """What each step adds to the totals, by the pure rules from all steps at once."""
    wrappers, claims = wrappers_and_claims(documents)
    shadowed = wrappers | overlapping_claims(claims).keys()
    return {place: rollup.count(rollup.node_of(place[1], document), shadowed=place in shadowed) for place, document in documents.items()}


def answer(steps: Steps) -> dict[str, Any]:
    """The steps as ``expected.json`` lists them."""
    counted = counted_steps({key: state.document for key, state in steps.items() if state.document is not None}).values()
    states = steps.values()
    tasks = {task_id for task_id, _ in steps}
    return {
        "steps": len(steps),
        "tasks": len(tasks),
        "errors": sum(_errors(steps, task_id) for task_id in tasks),
        "input_tokens": sum(item.input_tokens for item in counted),
        "output_tokens": sum(item.output_tokens for item in counted),
        "types": dict(Counter(state.document.type.value for state in states if state.document is not None)),
    }


def _errors(steps: Steps, of_task: str) -> int:
    found = (derive_step_of(step_id, state) for (task_id, step_id), state in steps.items() if task_id == of_task)
    return derive(step for step in found if step is not None).task.errors


def expected(name: str) -> dict[str, Any]:
    """What the query API must answer for a file."""
    return {key: value for key, value in EXPECTED[name].items() if key != "spans"}


def a_span(attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    """A good span of one second."""
    given: dict[str, Any] = {
        "trace_id": "1" * 32,
        "span_id": "2" * 16,
        "name": "work",
        "start_ns": NOW_US * 1000,
        "end_ns": NOW_US * 1000 + 10**9,
        "attributes": attributes or {},
    }
    return Span(**{**given, **fields})


def map_one(
    attributes: dict[str, Any] | None = None,
    *,
    scope: str = "test",
    resource: dict[str, Any] | None = None,
    prices: Prices = PRICES,
    **fields: Any,
) -> MappedSpan:
    """One span with these attributes, mapped."""
    return map_span(
        PROJECT,
        Resource(resource or {}, b"{}", b"{}"),
        Scope(scope, "", {}, b"{}", b"{}"),
        a_span(attributes, **fields),
        received_at_us=NOW_US,
        prices=prices,
    )


def step_of(attributes: dict[str, Any] | None = None, **options: Any) -> StepDocument:
    """The document of one span with these attributes."""
    return map_one(attributes, **options).event.step
