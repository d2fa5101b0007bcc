"""OpenTelemetry without code changes: exporter, running spans, ``ams run``, and one family for each library. Over real HTTP and in real processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

import ams
from ams.cli.run import environment_of
from ams.masking import MASKED, Masker
from ams.otel.export import AmsSpanExporter, AmsSpanProcessor, masked
from ams.otel.instrument import FAMILIES
from ams.tracing.runtime import runtime

PROGRAM_SECONDS = 60.0  # starting a Python with OpenTelemetry takes a while on a busy machine
KEY = "ams_test"
SECRET = "sk-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def spans(intake: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The intake, named by the environment."""
    monkeypatch.setattr(runtime, "endpoint", "")  # as before the first ams.init
    monkeypatch.setenv("AMS_ENDPOINT", intake.url)
    monkeypatch.setenv("AMS_API_KEY", KEY)
    return intake


def test_the_exporter_sends_with_the_endpoint_and_key_of_the_environment(spans: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(AmsSpanExporter()))

    with provider.get_tracer("t").start_as_current_span("one"):
        pass
    provider.shutdown()

    assert spans.ended("one") == [True]
    assert spans.headers["authorization"] == f"Bearer {KEY}"


def test_the_exporter_sends_with_the_endpoint_and_key_of_init(intake: Any) -> None:
    ams.init("ams_other", endpoint=intake.url, announce=False)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(AmsSpanExporter()))

    with provider.get_tracer("t").start_as_current_span("one"):
        pass
    provider.shutdown()
    ams.shutdown()

    assert intake.ended("one") == [True]
    assert intake.headers["authorization"] == "Bearer ams_other"


def test_keys_of_other_platforms_do_not_reach_this_one(spans: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-vendor-key=hidden,authorization=Basic%20hidden")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(AmsSpanExporter()))

    with provider.get_tracer("t").start_as_current_span("one"):
        pass
    provider.shutdown()

    assert spans.headers["authorization"] == f"Bearer {KEY}"
    assert "hidden" not in str(spans.headers)


def test_without_a_key_nothing_is_sent_and_nothing_fails(
    spans: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AMS_API_KEY")
    provider = TracerProvider()
    provider.add_span_processor(AmsSpanProcessor())

    with provider.get_tracer("t").start_as_current_span("one"):
        pass
    provider.shutdown()

    assert spans.spans == []
    assert caplog.text.count("no API key") == 1


def test_a_span_that_runs_is_sent_when_it_started_and_when_it_ended(spans: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(AmsSpanProcessor())
    tracer = provider.get_tracer("t")

    with tracer.start_as_current_span("long") as outer:
        outer.set_attribute("late", "yes")
        with tracer.start_as_current_span("short"):
            pass
        spans.wait(lambda: bool(spans.ended("long")))
    provider.shutdown()

    assert spans.ended("long") == [False, True]
    assert spans.ended("short") == [True]
    assert len({(span.trace_id, span.span_id) for span in spans.spans if span.name == "long"}) == 1


def test_secrets_of_foreign_spans_do_not_leave_the_process(spans: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(AmsSpanProcessor())

    with provider.get_tracer("t").start_as_current_span("call") as span:
        span.set_attribute("input.value", f'{{"api_key": "hunter22", "text": "{SECRET}"}}')
        span.set_attribute("llm.model_name", "gpt-4o")
        span.add_event("exception", {"exception.message": f"wrong key {SECRET}"})
        span.add_link(span.get_span_context(), {"why": SECRET})
        span.set_status(StatusCode.ERROR, f"wrong key {SECRET}")
    provider.shutdown()

    [sent] = spans.spans
    assert SECRET not in str(sent)
    assert "hunter22" not in str(sent)
    assert {item.key: item.value.string_value for item in sent.attributes}["llm.model_name"] == "gpt-4o"
    assert sent.status.message == f"wrong key {MASKED}"


def test_functions_of_init_mask_foreign_spans(spans: Any) -> None:
    ams.init(mask=lambda text: text.replace("Ada", "[name]"), announce=False)
    provider = TracerProvider()
    provider.add_span_processor(AmsSpanProcessor())

    with provider.get_tracer("t").start_as_current_span("call", attributes={"input.value": "Dear Ada"}):
        pass
    ams.shutdown()
    provider.shutdown()  # after the SDK, as at the end of a program

    [sent] = spans.spans
    assert [item.value.string_value for item in sent.attributes] == ["Dear [name]"]


def test_a_masked_span_keeps_what_was_dropped(spans: Any) -> None:
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=2, max_events=1, max_links=1))
    span: Any = provider.get_tracer("t").start_span("call", attributes={"a": 1, "b": (1, 2), "c": "x"})
    context = span.get_span_context()
    for _ in range(3):
        span.add_event("e")
        span.add_link(context)
    span.end()

    copy = masked(span, Masker())

    assert (copy.dropped_attributes, copy.dropped_events, copy.dropped_links) == (1, 2, 2)
    assert (copy.attributes, copy.name, copy.context, copy.end_time) == (span.attributes, "call", context, span.end_time)


def test_capture_levels_do_not_apply_to_foreign_spans_and_a_line_says_so(
    spans: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AMS_CAPTURE", "metadata")

    AmsSpanExporter().shutdown()

    assert caplog.text.count("capture levels apply to native steps") == 1


AGENT = """
from opentelemetry import trace
import library

with trace.get_tracer("agent").start_as_current_span("outer"):
    print(library.call(), flush=True)
    input()
"""

NESTED = """
import ams
import library
from opentelemetry import trace

ams.init(announce=False)
print(ams.instrument() == ams.instrument())
with ams.task("task"), ams.step("native"):
    with trace.get_tracer("agent").start_as_current_span("auto"):
        with ams.step("inner"):
            library.call()
"""

LIBRARY = """
def call():
    return "called"
"""

INSTRUMENTOR = """
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Instrumentor(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return ()

    def _instrument(self, **_):
        import library
        inner = library.call
        def call():
            with trace.get_tracer("{package}").start_as_current_span("{package}"):
                return inner()
        library.call = call

    def _uninstrument(self, **_):
        pass
"""
LATER = """
from opentelemetry_instrumentation_library import Instrumentor

Instrumentor().instrument()
"""


class Folder(NamedTuple):
    """A program with a library and the instrumentors of two families for it, installed in a folder."""

    path: Path

    def run(self, *command: str, **more: str) -> "subprocess.Popen[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {"PYTHONPATH": str(self.path), **more}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=self.path, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "library.py").write_text(LIBRARY)
    for prefix in FAMILIES:
        package = f"{prefix}library".replace("-", "_")
        (tmp_path / f"{package}.py").write_text(INSTRUMENTOR.format(package=package))
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {prefix}library\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\nlibrary = {package}:Instrumentor\n")
    return Folder(tmp_path)


def calls(spans: Any) -> list[str]:
    return [span.name for span in spans.spans if span.name.endswith("library")]


def beside_python(command: str) -> str:
    return str(Path(sys.executable).with_name(command))


@pytest.mark.parametrize("command", [("ams", "run", "--"), ("opentelemetry-instrument",)])
def test_a_program_without_changes_shows_its_calls_while_it_runs(spans: Any, folder: Folder, command: tuple[str, ...]) -> None:
    names = {"OTEL_TRACES_EXPORTER": "ams", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    own = {} if command[0] == "ams" else names
    program = folder.run(beside_python(command[0]), *command[1:], sys.executable, "agent.py", **own)

    try:
        spans.wait(lambda: bool(spans.ended("outer")), PROGRAM_SECONDS)
        running = spans.ended("outer")
    finally:
        out, err = program.communicate("\n", timeout=PROGRAM_SECONDS)

    assert (program.returncode, out) == (0, "called\n"), err
    assert running == [False]
    assert spans.ended("outer") == [False, True]
    assert calls(spans) == ["openinference_instrumentation_library"]
    assert err.count("openinference-instrumentation-library is used") == 1
    assert "already instrumented" not in err
    if command[0] == "ams":
        assert spans.services == {"agent"}


def test_a_family_that_was_not_chosen_can_be_enabled_by_the_program(spans: Any, folder: Folder) -> None:
    (folder.path / "agent.py").write_text(LATER + AGENT)

    program = folder.run(beside_python("ams"), "run", "--", sys.executable, "agent.py")
    _, err = program.communicate("\n", timeout=PROGRAM_SECONDS)

    assert program.returncode == 0, err
    assert sorted(calls(spans)) == ["openinference_instrumentation_library", "opentelemetry_instrumentation_library"]
    assert "already instrumented" not in err


def test_disabled_instrumentations_stay_off(spans: Any, folder: Folder) -> None:
    program = folder.run(beside_python("ams"), "run", sys.executable, "agent.py", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="other, library")
    out, err = program.communicate("\n", timeout=PROGRAM_SECONDS)

    assert (program.returncode, out) == (0, "called\n"), err
    assert calls(spans) == []
    assert "is used" not in err


@pytest.mark.parametrize("prefix", [[], ["ams", "run", "--"]])
def test_native_steps_and_instrumented_calls_nest_in_one_tree_both_ways(spans: Any, folder: Folder, prefix: list[str]) -> None:
    (folder.path / "agent.py").write_text(NESTED)

    program = folder.run(*map(beside_python, prefix[:1]), *prefix[1:], sys.executable, "agent.py")
    out, err = program.communicate(timeout=PROGRAM_SECONDS)

    assert (program.returncode, out) == (0, "True\n"), err
    assert "already instrumented" not in err
    steps, ids = spans.steps(), spans.step_ids()
    [task_id] = [key for key in spans.tasks() if key]
    by_name = {span.name: span for span in spans.spans if span.end_time_unix_nano}
    auto, call = by_name["auto"], by_name["openinference_instrumentation_library"]
    assert {span.trace_id.hex() for span in spans.spans} == {task_id}
    assert auto.parent_span_id.hex() == ids["native"]
    assert steps["inner"].parent_step_id == auto.span_id.hex()
    assert call.parent_span_id.hex() == ids["inner"]
    assert len(calls(spans)) == 1
    assert spans.services == {"agent"}


def test_run_keeps_what_the_environment_says() -> None:
    given = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "mine", "PYTHONPATH": "/mine", "OTEL_METRICS_EXPORTER": "console"}

    found = environment_of(("python", "agent.py"), given)

    assert (found["OTEL_TRACES_EXPORTER"], found["OTEL_SERVICE_NAME"], found["OTEL_METRICS_EXPORTER"]) == ("otlp,ams", "mine", "console")
    assert found["PYTHONPATH"].endswith(f"{os.pathsep}/mine")
    assert environment_of(("python", "tool.py"), {})["OTEL_SERVICE_NAME"] == "tool"
    assert "OTEL_SERVICE_NAME" not in environment_of(("python", "tool.py"), {"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=mine"})


def test_run_answers_as_a_shell_for_a_command_that_is_not_there(folder: Folder) -> None:
    program = folder.run(beside_python("ams"), "run", "--", "no-such-command")
    _, err = program.communicate(timeout=PROGRAM_SECONDS)

    assert program.returncode == 127
    assert "no-such-command: command not found" in err


def test_without_the_extra_instrument_says_what_to_install(
    tracing: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ams.otel.instrument", None)

    assert ams.instrument() == []
    assert "pip install 'ams-tracing[otel]'" in caplog.text


def test_importing_ams_imports_nothing_of_opentelemetrys_sdk() -> None:
    code = "import sys, ams; print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'ams.otel', 'requests'))])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
