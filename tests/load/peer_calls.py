"""What a traced call costs the agent's own thread with other libraries, for ``bench_sdk_call``. Runs in the environment of ``requirements/peers.in``.

Each library traces the same function, with 1 KB of input and output together, inside one open root; what it would export is discarded.
Prints one JSON line a library: microseconds of thread CPU.
"""

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

os.environ.update(MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="true")

import langfuse
import logfire
import mlflow
from openinference.instrumentation import OITracer, TraceConfig
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

TEXT_IN, TEXT_OUT = "i" * 500, "o" * 500
Call = Callable[[str], str]


class NullExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def nothing(text: str) -> str:
    return TEXT_OUT


def batched() -> BatchSpanProcessor:
    return BatchSpanProcessor(NullExporter(), max_queue_size=100_000)


def measure(call: Call, calls: int, rounds: int) -> dict[str, float]:
    cpu: list[float] = []
    for _ in range(50):
        call(TEXT_IN)
    for _ in range(rounds):
        gc.collect()
        began_ns = time.thread_time_ns()
        for _ in range(calls):
            call(TEXT_IN)
        cpu.append((time.thread_time_ns() - began_ns) / calls / 1e3)
    return {"thread_cpu_us": round(statistics.median(cpu), 2), "best_us": round(min(cpu), 2)}


def main() -> None:
    size = int(sys.argv[1]), int(sys.argv[2])

    def say(case: str, call: Call) -> None:
        print(json.dumps({"case": case, **measure(call, *size)}), flush=True)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batched())
    tracer = OITracer(provider.get_tracer("bench"), TraceConfig())
    with tracer.start_as_current_span("root"):
        say("OpenInference @tracer.tool", tracer.tool(nothing))

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[batched()])
    with logfire.span("root"):
        say("Logfire @instrument", logfire.instrument(record_return=True)(nothing))

    client = langfuse.Langfuse(
        public_key="pk",
        secret_key="sk",
        base_url="http://127.0.0.1:9",
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        span_exporter=NullExporter(),
    )
    with client.start_as_current_observation(name="root"):
        say("Langfuse @observe", langfuse.observe(nothing))

    with mlflow.start_span("root"):
        say("MLflow @trace", mlflow.trace(nothing))
        sys.stdout.flush()
        os._exit(0)  # what is exported at the end has nowhere to go


if __name__ == "__main__":
    main()
