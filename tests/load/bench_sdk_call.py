"""What a step costs the agent's own thread, beside a span of a bare OpenTelemetry BatchSpanProcessor in the same run.

Prints one JSON line a case: median microseconds of thread CPU and of wall time, around a function that does nothing, with
1 KB of input and output together. Sending goes to a sink in the same process, which is counted as the process's CPU.

The decorators of OpenInference, Logfire, Langfuse and MLflow follow, in a process and an environment of their own (``peer_calls.py``).

    python -m tests.load.bench_sdk_call [--calls 3000] [--rounds 7] [--without-peers]
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import ams
from ams.sending.client import Client, install
from ams.sending.transport import Delivered
from ams.settings import SdkSettings
from ams_contracts.native import NativeAnswer, RawNativeRequest
from ams_local.environments import python_with

TEXT_IN = "i" * 500
TEXT_OUT = "o" * 500
TARGET_US = 6.0
TARGET_ALWAYS_US = 12.0
TARGET_RATIO = 0.25
PEER_CALLS = 500
_request = msgspec.json.Decoder(RawNativeRequest)

Call = Callable[[str], str]
AsyncCall = Callable[[str], Awaitable[str]]


class Sink:
    """Takes every request at once."""

    def post(self, body: bytes) -> Delivered:
        batches = _request.decode(body).batches
        return Delivered(NativeAnswer(accepted=sum(len(batch.events) for batch in batches)))

    def close(self) -> None:
        pass


class NullExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def nothing(text: str) -> str:
    return TEXT_OUT


async def nothing_async(text: str) -> str:
    return TEXT_OUT


traced = ams.tool(nothing)
traced_async = ams.tool(nothing_async)


def with_block(text: str) -> str:
    with ams.step("nothing", type="tool", input=text) as step:
        step.output = out = nothing(text)
        return out


def measure(call: Call, calls: int, rounds: int, settle: Callable[[], object]) -> dict[str, float]:
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(200):
        call(TEXT_IN)
    for _ in range(rounds):
        settle()
        gc.collect()
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        for _ in range(calls):
            call(TEXT_IN)
        wall.append((time.perf_counter_ns() - wall_ns) / calls / 1e3)
        cpu.append((time.thread_time_ns() - cpu_ns) / calls / 1e3)
    settle()
    return {"thread_cpu_us": round(statistics.median(cpu), 2), "best_us": round(min(cpu), 2), "wall_us": round(statistics.median(wall), 2)}


def looped(call: AsyncCall) -> Callable[[str, int], None]:
    def run(text: str, calls: int) -> None:
        async def go() -> None:
            for _ in range(calls):
                await call(text)

        asyncio.run(go())

    return run


def measure_async(call: AsyncCall, calls: int, rounds: int, settle: Callable[[], object]) -> dict[str, float]:
    run = looped(call)
    cpu: list[float] = []
    for _ in range(rounds):
        settle()
        gc.collect()
        cpu_ns = time.thread_time_ns()
        run(TEXT_IN, calls)
        cpu.append((time.thread_time_ns() - cpu_ns) / calls / 1e3)
    settle()
    return {"thread_cpu_us": round(statistics.median(cpu), 2), "best_us": round(min(cpu), 2)}


def otel_call(provider: TracerProvider) -> Call:
    tracer = provider.get_tracer("bench")

    def call(text: str) -> str:
        with tracer.start_as_current_span("nothing") as span:
            span.set_attribute("openinference.span.kind", "LLM")
            span.set_attribute("input.value", text)
            span.set_attribute("llm.model_name", "gpt-4o")
            out = nothing(text)
            span.set_attribute("output.value", out)
            return out

    return call


def say(case: str, **numbers: object) -> None:
    print(json.dumps({"bench": "sdk_call", "case": case, **numbers}), flush=True)


def say_peers(own_us: float, rounds: int) -> None:
    """The other libraries take up to a hundred times as long, so they get fewer calls."""
    command = [python_with("peers"), str(Path(__file__).with_name("peer_calls.py")), str(PEER_CALLS), str(rounds)]
    for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        if line.startswith('{"case"'):
            found = json.loads(line)
            say(**found, times_ours=round(found["thread_cpu_us"] / own_us, 1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    size = (arguments.calls, arguments.rounds)

    base = measure(nothing, *size, lambda: None)
    say("bare function", **base)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(NullExporter(), max_queue_size=100_000))
    otel = measure(otel_call(provider), *size, provider.force_flush)
    say("OpenTelemetry span, BatchSpanProcessor", **otel)
    provider.shutdown()

    with tempfile.TemporaryDirectory() as folder:
        client = Client(SdkSettings(api_key="ams_bench", announce=False, spool="always", spool_dir=folder), lambda _: Sink())
        install(client, handle_sigterm=False)
        with ams.task("bench"):
            say('@ams.tool, spool="always"', **measure(traced, *size, lambda: ams.flush(30)), target_us=TARGET_ALWAYS_US)
        ams.shutdown(30)

    client = Client(SdkSettings(api_key="ams_bench", announce=False, spool="off"), lambda _: Sink())
    install(client, handle_sigterm=False)
    with ams.task("bench"):
        for case, call in (("with ams.step", with_block), ("@ams.tool", traced)):
            numbers = measure(call, *size, lambda: ams.flush(30))
            ratio = round(numbers["thread_cpu_us"] / otel["thread_cpu_us"], 3)
            say(case, **numbers, ratio_to_otel=ratio, target_us=TARGET_US, target_ratio=TARGET_RATIO)
        say("@ams.tool async", **measure_async(traced_async, *size, lambda: ams.flush(30)))
    result = ams.shutdown(30)
    if not arguments.without_peers:
        say_peers(numbers["thread_cpu_us"], arguments.rounds)
    say("account", sent=result.sent, pending=result.pending, dropped=result.dropped, threads=threading.active_count())


if __name__ == "__main__":
    main()
