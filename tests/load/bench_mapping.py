"""How long intake works on a span before the log: decode, map with prices, encode the events. One core, no I/O. JSON lines.

    python tests/load/bench_mapping.py [--spans 5000] [--rounds 5] [--profile]

The spans are 1.4 KB OpenInference spans like those that the peers were measured with: agents, model calls and tools, 20 to a trace.
Times are CPU time of the best round, so that a busy machine changes them little.
"""

import argparse
import cProfile
import gc
import json
import pstats
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ams_contracts.codec import encode
from ams_trace_ingest.intake.otlp import Encoding, decode_traces
from ams_trace_ingest.mapping.map_request import map_request
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices

GC_THRESHOLD = 100_000
REQUEST_SPANS = 500
PROJECT = "01a1ffb8-f261-7716-9892-a8d9f0aa4e3b"
NOW_US = 1_795_000_000_000_000
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "for",
    "on",
    "with",
    "agent",
    "tool",
    "call",
    "search",
    "result",
    "error",
    "timeout",
    "invoice",
    "customer",
    "order",
    "payment",
    "retry",
    "model",
    "prompt",
    "context",
    "token",
]
MODELS = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "gemini-2.5-pro"]


def put(attributes: Any, key: str, value: str | int) -> None:
    entry = attributes.add()
    entry.key = key
    if isinstance(value, str):
        entry.value.string_value = value
    else:
        entry.value.int_value = value


def request_of(spans: int, seed: int, per_trace: int = 20) -> ExportTraceServiceRequest:
    """A request of spans of about 1.4 KB."""
    r = random.Random(seed)
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    put(resource.resource.attributes, "service.name", "agents")
    scope = resource.scope_spans.add()
    root = trace = b""
    for index in range(spans):
        first = index % per_trace == 0
        if first:
            trace = r.getrandbits(128).to_bytes(16, "big")
        span = scope.spans.add(trace_id=trace, span_id=r.getrandbits(64).to_bytes(8, "big"), parent_span_id=b"" if first else root, kind=1)
        root = span.span_id if first else root
        kind = "AGENT" if first else r.choice(["LLM", "TOOL"])
        span.name = f"{kind.lower()}-agent-{r.randint(0, 39)}"
        span.start_time_unix_nano = (NOW_US + index * 10_000) * 1000
        span.end_time_unix_nano = span.start_time_unix_nano + 10**7
        put(span.attributes, "openinference.span.kind", kind)
        put(span.attributes, "input.value", " ".join(r.choices(WORDS, k=95)))
        put(span.attributes, "output.value", " ".join(r.choices(WORDS, k=95)))
        put(span.attributes, "gen_ai.system", "openai")
        put(span.attributes, "session.id", f"s{r.randint(0, 999)}")
        if kind == "LLM":
            model = r.choice(MODELS)
            put(span.attributes, "llm.model_name", model)
            put(span.attributes, "gen_ai.request.model", model)
            put(span.attributes, "llm.token_count.prompt", r.randint(10, 4000))
            put(span.attributes, "llm.token_count.completion", r.randint(10, 900))
        span.status.code = 1
    return request


def best_us(rounds: int, spans: int, work: Callable[[], object]) -> float:
    """Microseconds of CPU time a span, of the best round."""
    times: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return round(min(times) / spans * 1e6, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Decode and map spans, and say what it costs.")
    parser.add_argument("--spans", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    prices = Prices(GenaiPrices())
    messages = [request_of(REQUEST_SPANS, seed) for seed in range(max(1, arguments.spans // REQUEST_SPANS))]
    spans = REQUEST_SPANS * len(messages)
    bodies = [message.SerializeToString() for message in messages]
    bodies_json = [_json(message) for message in messages]
    requests = [decode_traces(body, Encoding.PROTOBUF) for body in bodies]
    events = [map_request(PROJECT, request.groups, received_at_us=NOW_US, prices=prices) for request in requests]
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 50, 100)  # as intake does: a request's structures die together, young collections find nothing

    def decode() -> None:
        for body in bodies:
            decode_traces(body, Encoding.PROTOBUF)

    def decode_json() -> None:
        for body in bodies_json:
            decode_traces(body, Encoding.JSON)

    def mapped() -> None:
        for request in requests:
            map_request(PROJECT, request.groups, received_at_us=NOW_US, prices=prices)

    def encoded() -> int:
        return sum(
            len(encode(item.event)) + sum(len(encode(payload)) for payload in item.payloads) for request in events for item in request
        )

    if arguments.profile:
        with cProfile.Profile() as profile:
            decode()
            mapped()
            encoded()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    costs = {
        "decode_protobuf_us": best_us(arguments.rounds, spans, decode),
        "decode_json_us": best_us(arguments.rounds, spans, decode_json),
        "map_us": best_us(arguments.rounds, spans, mapped),
        "encode_us": best_us(arguments.rounds, spans, encoded),
    }
    total = round(costs["decode_protobuf_us"] + costs["map_us"] + costs["encode_us"], 2)
    line = {
        "bench": "mapping",
        "spans": spans,
        "bytes_span": sum(map(len, bodies)) // spans,
        "bytes_out_span": encoded() // spans,
        **costs,
        "total_us": total,
    }
    print(json.dumps(line), flush=True)


def _json(message: ExportTraceServiceRequest) -> bytes:
    """The same request in JSON: hex ids, unlike protobuf's own JSON."""
    value = MessageToDict(message)
    for span, source in zip(
        value["resourceSpans"][0]["scopeSpans"][0]["spans"], message.resource_spans[0].scope_spans[0].spans, strict=True
    ):
        span.update(traceId=source.trace_id.hex(), spanId=source.span_id.hex(), parentSpanId=source.parent_span_id.hex())
    return json.dumps(value).encode()


if __name__ == "__main__":
    main()
