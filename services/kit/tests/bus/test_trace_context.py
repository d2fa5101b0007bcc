"""The trace of a request continues where its records are applied."""

import pytest
from tests.otlp_receiver import attributes_of, otlp_receiver

from ams_contracts.topics import INBOUND
from ams_kit.otel_settings import OtelSettings
from ams_kit.telemetry import tracing
from ams_kit.telemetry.otel.own import LINKS_MAX, OwnTelemetry


@pytest.fixture
async def observed():
    with otlp_receiver() as taking:
        own = OwnTelemetry("probe", OtelSettings(endpoint=taking.url, headers={}, sample_ratio=1.0, public_url=""))
        tracing.activate(own)
        yield own, taking
        tracing.activate(None)
        await own.exporter.close()
        own.close()


async def test_a_record_carries_the_trace_of_its_request_to_the_consumer(bus, observed) -> None:
    own, taking = observed
    with own._tracer.start_as_current_span("GET /things"):
        await bus.publish(1, 2)
    await bus.publish(3)  # of no request
    async with bus.consumer():
        await bus.applied(3)
    await own.exporter.send_spans()

    by_name = {span.name: span for span in taking.spans()}
    request, publish, process = by_name["GET /things"], by_name["publish"], by_name[f"process {bus.topic.name}"]
    assert (publish.parent_span_id, process.parent_span_id) == (request.span_id, publish.span_id)
    assert attributes_of(publish)["messaging.batch.message_count"] == 2
    assert attributes_of(process)["messaging.consumer.group.name"] == bus.group


async def test_records_of_many_requests_are_linked_up_to_a_limit(observed) -> None:
    own, taking = observed
    headers = [[("traceparent", f"00-{number:032x}-{number:016x}-01".encode())] for number in range(1, 200)]
    with own.consuming("topic", "group", [*headers, [("traceparent", b"\xff")], [("traceparent", b"")], []]):
        pass
    await own.exporter.send_spans()

    [span] = taking.spans()
    assert (int.from_bytes(span.trace_id), len(span.links)) == (1, LINKS_MAX - 1)


async def test_what_agents_publish_decides_nothing(observed) -> None:
    own, taking = observed
    with own.consuming(INBOUND.name, "group", [[("traceparent", b"00-11111111111111111111111111111111-2222222222222222-01")]]):
        pass
    await own.exporter.send_spans()

    assert taking.spans() == []
