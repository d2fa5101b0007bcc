"""Native steps and OpenTelemetry spans in one tree."""

from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ams


@pytest.fixture
def spans() -> Generator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("test")


def ids(span: Any) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def test_a_span_inside_of_a_step_hangs_under_it(tracing: Any, tracer: trace.Tracer, spans: InMemorySpanExporter) -> None:
    with ams.task("task") as task, ams.step("native") as step, tracer.start_as_current_span("auto"):
        pass

    [span] = spans.get_finished_spans()
    assert span.parent is not None
    assert (ids(span)[0], f"{span.parent.span_id:016x}") == (task.task_id, step.step_id)


def test_a_step_inside_of_a_span_inside_of_a_step_hangs_under_the_span(
    tracing: Any, tracer: trace.Tracer, spans: InMemorySpanExporter
) -> None:
    with ams.task("task") as task, tracer.start_as_current_span("auto"):
        assert ams.current_step().name == "task"
        with ams.step("inner"):
            pass

    ams.flush()
    [span] = spans.get_finished_spans()
    assert tracing.steps()["inner"].parent_step_id == ids(span)[1]
    assert list(tracing.tasks()) == [task.task_id]


def test_a_step_under_a_foreign_root_span_joins_its_trace(tracing: Any, tracer: trace.Tracer, spans: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("POST /chat"):
        with ams.agent("planner"):
            pass
        with ams.agent("writer"):
            pass

    ams.flush()
    [span] = spans.get_finished_spans()
    trace_id, span_id = ids(span)
    assert list(tracing.tasks()) == [trace_id]
    assert (tracing.tasks()[trace_id].name, tracing.tasks()[trace_id].agent) == ("POST /chat", "planner")
    assert {step.parent_step_id for step in tracing.steps().values()} == {span_id}
    seqs = [event.seq for batch in tracing.batches() if batch.task_id for event in batch.events]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_second_task_in_one_foreign_trace_has_an_id_of_its_own(tracing: Any, tracer: trace.Tracer, spans: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("worker"):
        with ams.task("first") as first:
            pass
        with ams.task("second") as second:
            pass

    ams.flush()
    [span] = spans.get_finished_spans()
    trace_id, span_id = ids(span)
    assert first.task_id == trace_id != second.task_id
    assert tracing.tasks()[second.task_id].parent_task_id == trace_id
    assert (tracing.steps()["first"].parent_step_id, tracing.steps()["second"].parent_step_id) == (span_id, None)


def test_foreign_spans_can_be_left_alone(intake: Any, tracer: trace.Tracer, spans: InMemorySpanExporter) -> None:
    ams.init("ams_test", endpoint=intake.url, join_opentelemetry=False, announce=False)
    with tracer.start_as_current_span("POST /chat"), ams.agent("planner") as step:
        pass

    ams.shutdown()
    assert step.task_id != ids(spans.get_finished_spans()[0])[0]
    assert intake.steps()["planner"].parent_step_id is None


def test_a_span_that_is_not_recorded_is_no_parent(tracing: Any) -> None:
    with ams.task("task") as task, trace.NoOpTracer().start_as_current_span("nothing"), ams.step("inner"):
        pass

    ams.flush()
    assert tracing.steps()["inner"].parent_step_id == task.step_id


def test_after_a_step_the_context_is_as_before(tracing: Any, tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("outer") as outer:
        with ams.step("s"):
            assert trace.get_current_span() is not outer
        assert trace.get_current_span() is outer


def test_the_step_goes_to_other_processes_as_traceparent(tracing: Any) -> None:
    carrier: dict[str, str] = {}
    with ams.task("task") as task, ams.step("s") as step:
        inject(carrier)

    assert carrier["traceparent"] == f"00-{task.task_id}-{step.step_id}-01"
