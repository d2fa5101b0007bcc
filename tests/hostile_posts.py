"""Hostile OTLP posts: what nobody sends by intention, and what somebody will. Each with the answers that are right for it.

``good`` in a case is the number of its spans that must be stored although their neighbours are hostile.
"""

import base64
import gzip
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
NOW_NS = 1_790_000_000_000_000_000
MIB = 1024 * 1024
OK = frozenset({200})
BAD = frozenset({400})
EITHER = OK | BAD
UNIMPLEMENTED = "12"  # gRPC has its status in a header; that of HTTP is always 200


class Case(NamedTuple):
    name: str
    body: bytes
    status: frozenset[int] = OK
    content_type: str = JSON
    headers: dict[str, str] = {}  # noqa: RUF012  never changed
    path: str = "/v1/traces"
    rejected: int | None = None  # spans that the answer says are rejected
    good: tuple[str, ...] = ()  # tasks that must be stored
    grpc_status: str | None = None


def trace_id() -> str:
    return os.urandom(16).hex()


def span(task: str | None = None, **changes: Any) -> dict[str, Any]:
    """A good span, and what is bad about it."""
    return {
        "traceId": task or trace_id(), "spanId": os.urandom(8).hex(), "name": "chat m", "kind": 1,
        "startTimeUnixNano": str(NOW_NS), "endTimeUnixNano": str(NOW_NS + 10**9), "attributes": [text("gen_ai.request.model", "m")],
    } | changes  # fmt: skip


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def request(*spans: Any, resource: Any = None, scope: Any = None, **more: Any) -> bytes:
    scoped = {"spans": list(spans)} | ({} if scope is None else {"scope": scope})
    group = {"scopeSpans": [scoped]} | ({} if resource is None else {"resource": resource})
    return json.dumps({"resourceSpans": [group]} | more).encode()


def around(body: bytes, key: str, raw: bytes) -> bytes:
    """A request with raw JSON in the place of the string ``@key``."""
    return body.replace(json.dumps("@" + key).encode(), raw)


def nested(depth: int, kind: str = "array") -> bytes:
    if kind == "array":
        return b'{"arrayValue":{"values":[' * depth + b'{"intValue":1}' + b"]}}" * depth
    return b'{"kvlistValue":{"values":[{"key":"k","value":' * depth + b'{"intValue":1}' + b"}]}}" * depth


def field(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    size, length = len(data), b""
    while size > 127:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + data


def proto_nested(depth: int) -> bytes:
    value = b"\x18\x01"
    for _ in range(depth):
        value = field(5, field(1, value))
    return value


def proto_span(task: str, more: bytes = b"", name: bytes = b"chat m") -> bytes:
    times = b"\x39" + NOW_NS.to_bytes(8, "little") + b"\x41" + (NOW_NS + 10**9).to_bytes(8, "little")
    return field(1, bytes.fromhex(task)) + field(2, os.urandom(8)) + field(5, name) + times + more


def proto_request(*spans: bytes, resource: bytes = b"", scope: bytes = b"") -> bytes:
    scoped = field(1, scope) + b"".join(field(2, one) for one in spans)
    return field(1, field(1, resource) + field(2, scoped))


def proto_attribute(key: bytes, value: bytes) -> bytes:
    return field(1, key) + field(2, value)


def deep() -> Iterator[Case]:
    places: dict[str, Callable[[bytes], bytes]] = {
        "attribute": lambda v: around(request(span(attributes=[{"key": "a", "value": "@v"}])), "v", v),
        "resource": lambda v: around(request(span(), resource={"attributes": [{"key": "a", "value": "@v"}]}), "v", v),
        "scope": lambda v: around(request(span(), scope={"attributes": [{"key": "a", "value": "@v"}]}), "v", v),
        "event": lambda v: around(request(span(events=[{"name": "e", "attributes": [{"key": "a", "value": "@v"}]}])), "v", v),
        "link": lambda v: around(
            request(span(links=[{"traceId": trace_id(), "spanId": "1" * 16, "attributes": [{"key": "a", "value": "@v"}]}])), "v", v
        ),
        "unknown field": lambda v: around(request(span(unheardOf="@v")), "v", v),
    }
    for place, make in places.items():
        for depth in (33, 300, 5_000, 200_000):
            for kind in ("array", "map"):
                yield Case(f"{kind} {depth} deep in {place}", make(nested(depth, kind)), EITHER if depth > 33 else OK)
    yield Case("100,000 open brackets", b"[" * 100_000, BAD)
    yield Case("100,000 open objects", b'{"a":' * 100_000, BAD)
    yield Case("brackets in an unknown field, no span", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", BAD)
    for depth in (33, 90, 5_000):
        attribute = field(9, proto_attribute(b"a", proto_nested(depth)))
        expected = OK if depth == 33 else EITHER
        yield Case(f"protobuf {depth} deep in attribute", proto_request(proto_span(trace_id(), attribute)), expected, PROTOBUF)
        where = field(1, proto_attribute(b"a", proto_nested(depth)))
        yield Case(f"protobuf {depth} deep in resource", proto_request(proto_span(trace_id()), resource=where), expected, PROTOBUF)
    yield Case("protobuf groups 100,000 deep", b"\x0b" * 100_000, BAD, PROTOBUF)


def shapes() -> Iterator[Case]:
    for name, body in {
        "empty": b"", "null": b"null", "array": b"[]", "number": b"1", "string": b'"x"', "byte order mark": b"\xef\xbb\xbf{}",
        "utf-16": "{}".encode("utf-16"), "cut": b'{"resourceSpans":[{"sco', "trailing": b"{}x", "two documents": b"{}{}",
        "nul byte": b"\0", "NaN": b'{"resourceSpans":NaN}', "null groups": b'{"resourceSpans":[null]}', "groups a map": b'{"resourceSpans":{}}',
        "snake case": b'{"resource_spans":[{}]}', "logs": b'{"resourceLogs":[{}]}', "metrics": b'{"resourceMetrics":[{}]}',
        "a lone surrogate and no span": b'{"foo":"\\ud800"}', "a huge number and no span": b'{"foo":' + b"9" * 6_000 + b"}",
        "an infinite number and no span": b'{"foo":1e999}', "a bad escape and no span": b'{"foo":"\\q"}',
        "bytes that are not UTF-8 and no span": b'{"foo":"\xff\xfe"}', "a NUL and no span": b'{"foo":"\\u0000"}',
    }.items():  # fmt: skip
        yield Case(f"json {name}", body, BAD)
    for name, body in {
        "bytes that are not UTF-8 in an unknown field": around(request(span(unheardOf="@v")), "v", b'"\xff\xfe"'),
        "a lone surrogate in an unknown field": around(request(span(unheardOf="@v")), "v", b'"\\udfff"'),
        "a huge number in an unknown field": around(request(span(unheardOf="@v")), "v", b"9" * 6_000),
    }.items():
        yield Case(f"json {name}", body, EITHER)
    for name, body in {
        "random": random.Random(1).randbytes(1_024), "json": request(span()), "cut": proto_request(proto_span(trace_id()))[:-3],
        "field number 0": b"\x02\x00", "endless varint": b"\xff" * 64, "length beyond the end": b"\x0a\xff\xff\xff\xff\x07",
        "wire type 7": b"\x0f", "end of a group": b"\x0c", "not UTF-8 in a name": proto_request(proto_span(trace_id(), name=b"\xff\xfe")),
        "surrogates in a name": proto_request(proto_span(trace_id(), name=b"\xed\xa0\x80")),
        "not UTF-8 in a key": proto_request(proto_span(trace_id(), field(9, proto_attribute(b"\xc3", b"\x18\x01")))),
        "not UTF-8 in a trace state": proto_request(proto_span(trace_id(), field(3, b"\xff"))),
    }.items():  # fmt: skip
        yield Case(f"protobuf {name}", body, BAD, PROTOBUF)
    yield Case("protobuf empty", b"", OK, PROTOBUF)
    yield Case("protobuf with unknown fields", proto_request(proto_span(trace_id(), field(14, b"x" * 100))) + field(15, b"y"), OK, PROTOBUF)
    yield Case("no content type", request(span()), frozenset({415}), "")
    yield Case("a content type of 8 kB", request(span()), frozenset({415, 431}), "x" * 8_000)
    yield Case("grpc", b"\0\0\0\0\0", OK, "application/grpc", grpc_status=UNIMPLEMENTED)


def compressed() -> Iterator[Case]:
    good = request(span())
    packed = gzip.compress(good)
    head, tail = gzip.compress(good[:20]), gzip.compress(good[20:])

    def case(name: str, body: bytes, status: frozenset[int], encoding: str = "gzip") -> Case:
        return Case(f"{encoding} {name}", body, status, headers={"Content-Encoding": encoding})

    yield case("good", packed, OK)
    yield case("two members", head + tail, OK)
    yield case("an empty member in between", head + gzip.compress(b"") + tail, OK)
    yield case("trailing garbage", packed + b"garbage", BAD)
    yield case("trailing zeros", packed + b"\0" * 64, EITHER)
    yield case("wrong checksum", packed[:-8] + bytes(8), BAD)
    yield case("cut", packed[:-9], BAD)
    yield case("not gzip", good, BAD)
    yield case("zlib instead", zlib.compress(good), BAD)
    yield case("in gzip", gzip.compress(packed), BAD)
    yield case("empty", b"", EITHER)
    yield case("bomb of 1 GiB", gzip.compress(b"\0" * (64 * MIB)) * 16, frozenset({413}))
    yield case("100,000 empty members", gzip.compress(b"") * 100_000 + packed, EITHER)
    yield case("a name of 1 MiB in the header", b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * MIB + b"\0" + packed[10:], EITHER)
    for encoding in ("br", "zstd", "deflate", "snappy", "gzip, gzip", "identity, gzip", "x" * 1_000):
        yield case("good", packed, frozenset({415}), encoding)
    yield case("in upper case", packed, EITHER | {415}, "GZIP")


def small_parts_by_the_million() -> Iterator[Case]:
    """What is small as sent, large as inflated, and larger still as objects."""
    refused = frozenset({400, 413})

    def packed(name: str, body: bytes, content_type: str, status: frozenset[int] = refused, path: str = "/v1/traces") -> Case:
        return Case(name, gzip.compress(body, 1), status, content_type, {"Content-Encoding": "gzip"}, path)

    count = 60 * MIB // 3
    yield packed("20 million empty spans in json", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}' + b",{}" * count + b"]}]}]}", JSON)
    scopes = b'{"resourceSpans":[{"scopeSpans":[{}' + b",{}" * count + b"]}]}"
    yield packed("20 million empty scopes in json", scopes, JSON, refused | OK)
    attributes = around(request(span(attributes="@v")), "v", b'[{"key":"k"}' + b",{}" * count + b"]")
    yield packed("20 million empty attributes in json", attributes, JSON, refused | OK)
    values = around(request(span(attributes="@v")), "v", b'[{"key":"k","value":{"arrayValue":{"values":[{}' + b",{}" * count + b"]}}}]")
    yield packed("20 million empty values in json", values, JSON, refused | OK)
    logs = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}' + b",{}" * count + b"]}]}]}"
    yield packed("20 million empty log records in json", logs, JSON, refused | OK, "/v1/logs")
    pairs = 60 * MIB // 2
    yield packed("30 million empty spans in protobuf", field(1, field(2, b"\x12\x00" * pairs)), PROTOBUF)
    yield packed("30 million empty resources in protobuf", b"\x0a\x00" * pairs, PROTOBUF, refused | OK)
    empty = proto_request(proto_span(trace_id(), b"\x4a\x00" * pairs))
    yield packed("30 million empty attributes in protobuf", empty, PROTOBUF, refused | OK)
    items = field(9, proto_attribute(b"a", field(5, b"\x0a\x00" * pairs)))
    yield packed("30 million empty values in protobuf", proto_request(proto_span(trace_id(), items)), PROTOBUF, refused | OK)
    records = field(1, field(2, b"\x12\x00" * pairs))
    yield packed("30 million empty log records in protobuf", records, PROTOBUF, refused | OK, "/v1/logs")


def bad_spans() -> Iterator[Case]:
    def one(name: str, **changes: Any) -> Case:
        task = trace_id()
        return Case(name, request(span(task), span(**changes)), rejected=1, good=(task,))

    for name, value in {"zero": "0" * 32, "short": "ab", "long": "a" * 34, "base64": base64.b64encode(os.urandom(16)).decode(), "empty": "",
                        "with a newline": "a" * 32 + "\n", "full-width digits": "\uff11" * 32, "spaces": " " * 32, "NUL": "\0" * 32}.items():  # fmt: skip
        yield one(f"trace id {name}", traceId=value)
    for name, value in {"zero": "0" * 16, "short": "ab", "long": "a" * 18, "empty": "", "arabic digits": "\u0661" * 16}.items():
        yield one(f"span id {name}", spanId=value)
    yield one("start at the end of uint64", startTimeUnixNano=str(2**64 - 1))
    yield one("end at the end of uint64", endTimeUnixNano=str(2**64 - 1))
    yield one("start at the end of int64", startTimeUnixNano=str(2**63 - 1))
    for name, changes in {
        "start beyond uint64": {"startTimeUnixNano": str(2**64)}, "start negative": {"startTimeUnixNano": "-1"},
        "start a float": {"startTimeUnixNano": 1.5}, "start of 6,000 digits": {"startTimeUnixNano": "9" * 6_000},
        "an int beyond int64": {"attributes": [{"key": "k", "value": {"intValue": str(2**63)}}]},
        "an int that is none": {"attributes": [{"key": "k", "value": {"intValue": "1e3"}}]},
        "base64 that is none": {"attributes": [{"key": "k", "value": {"bytesValue": "!"}}]},
        "spans that are text": {"attributes": "x"}, "events that are numbers": {"events": [1]}, "status a list": {"status": []},
        "a double that is none": {"attributes": [{"key": "k", "value": {"doubleValue": "zz"}}]},
    }.items():  # fmt: skip
        yield Case(name, request(span() | changes), BAD)
    for name, raw in {"a start of 400 digits": b"9" * 400, "a start of 6,000 digits": b"9" * 6_000, "a start of 1e999": b"1e999"}.items():
        yield Case(f"{name}, bare", around(request(span(startTimeUnixNano="@v")), "v", raw), BAD)


def odd_spans() -> Iterator[Case]:
    odd: dict[str, dict[str, Any]] = {
        "all times zero": {"startTimeUnixNano": "0", "endTimeUnixNano": "0"}, "no times": {"startTimeUnixNano": None, "endTimeUnixNano": None},
        "end before start": {"endTimeUnixNano": "1"}, "start in 1970": {"startTimeUnixNano": "1"},
        "start in 2255": {"startTimeUnixNano": str((2**53 - 1) * 1_000), "endTimeUnixNano": str((2**53 - 1) * 1_000 + 999)},
        "kind and status unknown": {"kind": 99, "status": {"code": 99}}, "kind negative": {"kind": -(2**31), "status": {"code": -1}},
        "kind of 30 digits": {"kind": 10**29, "status": {"code": 10**29}}, "kind a word": {"kind": "SPAN_KIND_X", "status": {"code": "X"}},
        "a parent that is itself": {"spanId": "a" * 16, "parentSpanId": "a" * 16}, "a parent that is none": {"parentSpanId": "zz"},
        "a parent with NUL": {"parentSpanId": "\0"}, "a name of 1 MiB": {"name": "n" * MIB}, "a name of NULs": {"name": "\0" * 5_000},
        "a name with every control": {"name": "".join(map(chr, range(32))) + "\x7f\u202e\u2028\ufeff\ufffe\U000e0001"},
        "no name": {"name": ""}, "trace state of 1 MiB with NUL": {"traceState": "\0" * MIB}, "flags beyond uint32": {"flags": 2**40},
        "keys empty, long, NUL": {"attributes": [text("", "1"), text("k" * 10_000, "1"), text("\0", "1"), text("a\0b", "1")]},
        "keys that are magic": {"attributes": [text(key, "{}") for key in ("__proto__", "constructor", "ams.project_id", "project_id", "task_id")]},
        "one key 10,000 times": {"attributes": [text("k", str(n)) for n in range(10_000)]},
        "10,000 attributes": {"attributes": [text(f"k{n}", "v") for n in range(10_000)]},
        "100,000 attributes": {"attributes": [text(f"k{n}", "v") for n in range(100_000)]},
        "100,000 events": {"events": [{"name": "e"}] * 100_000}, "100,000 links": {"links": [{"traceId": "1" * 32, "spanId": "1" * 16}] * 100_000},
        "links with ids that are none": {"links": [{"traceId": "\0zz", "spanId": "\ud800", "traceState": "\0"}]},
        "events at the ends of time": {"events": [{"name": "e", "timeUnixNano": str(n)} for n in (0, 1, 2**63, 2**64 - 1)]},
        "dropped counts beyond uint32": {"droppedAttributesCount": 2**32, "droppedEventsCount": -1, "droppedLinksCount": 10**30},
        "values of all kinds and none": {"attributes": [{"key": str(n), "value": value} for n, value in enumerate((
            None, {}, {"stringValue": None}, {"intValue": "9223372036854775807"}, {"doubleValue": "NaN"}, {"doubleValue": "-Infinity"},
            {"doubleValue": 1e308}, {"bytesValue": ""}, {"arrayValue": {}}, {"arrayValue": {"values": None}}, {"kvlistValue": {}},
            {"arrayValue": {"values": [{}, {"kvlistValue": {"values": [{}, {"key": "a"}]}}]}}, {"stringValue": "a", "intValue": 1}))]},
        "usage of all sizes": {"attributes": [{"key": f"gen_ai.usage.{name}", "value": {"intValue": str(value)}} for name, value in (
            ("input_tokens", 2**63 - 1), ("output_tokens", -(2**63)), ("cache_read_input_tokens", 2**62), ("reasoning_tokens", -1))]},
        "usage as text": {"attributes": [text("gen_ai.usage.input_tokens", "9" * 6_000), text("gen_ai.usage.output_tokens", "1e999"),
                                         text("gen_ai.usage.cost", "NaN"), text("llm.token_count.total", "-0x1"), text("gen_ai.usage.cost", "1e400")]},
        "cost infinite": {"attributes": [{"key": "gen_ai.usage.cost", "value": {"doubleValue": "Infinity"}},
                                         {"key": "llm.cost.total", "value": {"doubleValue": 1e300}}]},
        "messages that nest 100,000 deep": {"attributes": [text("gen_ai.input.messages", "[" * 100_000), text("gen_ai.output.messages", '{"a":' * 100_000),
                                                           text("input.value", "[" * 100_000 + "]" * 100_000), text("traceloop.entity.input", "[" * 90_000)]},
        "messages that are none": {"attributes": [text("gen_ai.input.messages", value) for value in ("[1,null,[]]", '{"role":{}}', "[[[]]]", '"\\ud800"')]},
        "messages of odd types": {"attributes": [text("gen_ai.input.messages", json.dumps([{"role": 1, "parts": {"x": 1}}, {"parts": [{"type": [], "content": {}}]}])),
                                                 {"key": "gen_ai.output.messages", "value": {"kvlistValue": {"values": [{"key": "role"}]}}}]},
        "numbers of 6,000 digits in messages": {"attributes": [text("gen_ai.input.messages", '[{"role":"user","parts":' + "9" * 6_000 + "}]"),
                                                               text("llm.invocation_parameters", '{"n":' + "9" * 6_000 + "}"), text("metadata", "9" * 6_000)]},
        "flat indexes that are wild": {"attributes": [text(f"llm.input_messages.{n}.message.content", "x") for n in (
            "99999999999999999999", "-1", "1e9", "\u0661", "", "0.0", "9" * 5_000, "\u00b2")]
            + [text(f"gen_ai.prompt.{n}.content", "x") for n in ("9999999999", "-1", "x", "", "9" * 5_000, "\u00b2")]},
        "types that are none": {"attributes": [{"key": key, "value": {"arrayValue": {"values": [{}]}}} for key in (
            "openinference.span.kind", "gen_ai.operation.name", "traceloop.span.kind", "gen_ai.provider.name", "gen_ai.request.model",
            "gen_ai.response.id", "gen_ai.conversation.id", "session.id", "user.id", "gen_ai.agent.name", "gen_ai.tool.name", "exception.type",
            "exception.message", "error.type", "tag.tags", "ams.type", "logfire.msg", "logfire.json_schema", "ai.operationId", "graph.node.id")]},
        "surrogates, alone and paired": {"attributes": [text("a", "\ud800"), text("b", "\udc00\ud800"), text("\ud83d", "\ud83d\ude00")]},
        "words of 1 MiB": {"attributes": [text(key, "w" * MIB) for key in ("gen_ai.request.model", "gen_ai.agent.name", "user.id")]},
        "a value with half a letter at the cut": {"attributes": [text("input.value", "a" + "\u00e9" * MIB)]},
        "an exception of 1 MiB": {"events": [{"name": "exception", "attributes": [text("exception.stacktrace", "s" * MIB), text("exception.type", "t" * MIB)]}]},
        "sql and markup": {"name": "'; DROP TABLE steps;--<img src=x onerror=alert(1)>", "attributes": [text("a", "%s %(x)s {0} ${jndi:ldap://x}")]},
        "copy's own signs": {"name": "\\N\t\\.\n\\x00", "attributes": [text("user.id", "\\."), text("gen_ai.request.model", "\\N")]},
    }  # fmt: skip
    for name, changes in odd.items():
        task = trace_id()
        yield Case(name, request(span(task) | changes), good=(task,))
    for name, resource in {
        "none": {}, "a name of 1 MiB": {"attributes": [text("service.name", "s" * MIB)]}, "a name that is a list": {"attributes": [{"key": "service.name", "value": {"arrayValue": {}}}]},
        "a name of NUL": {"attributes": [text("service.name", "\0")]}, "an instance with quotes": {"attributes": [text("service.instance.id", '"\\\0\ud800')]},
        "10,000 attributes": {"attributes": [text(f"r{n}", "v" * 100) for n in range(10_000)]},
    }.items():  # fmt: skip
        task = trace_id()
        yield Case(
            f"resource {name}",
            request(span(task), span(task), resource=resource, scope={"name": "\0" * 5_000, "version": "v" * MIB}),
            good=(task,),
        )


def requests_as_a_whole() -> Iterator[Case]:
    task = trace_id()
    once = span(task)
    yield Case("a span twice in a request", request(once, once), good=(task,))
    yield Case("a span again", request(once), good=(task,))
    other = trace_id()
    a, b = "a" * 16, "b" * 16
    yield Case("a cycle, first half", request(span(other, spanId=a, parentSpanId=b)), good=(other,))
    yield Case("a cycle, second half", request(span(other, spanId=b, parentSpanId=a)), good=(other,))
    yield Case(
        "a cycle turned around",
        request(span(other, spanId=a, parentSpanId="c" * 16), span(other, spanId="c" * 16, parentSpanId=b)),
        good=(other,),
    )
    chain = trace_id()
    long_chain = [span(chain, spanId=f"{n + 1:016x}", parentSpanId=f"{n:016x}", attributes=[]) for n in range(5_000)]
    yield Case("a chain of 5,000", request(*reversed(long_chain)), good=(chain,))
    yield Case("10,001 spans", request(*[span(attributes=[])] * 10_001), frozenset({413}))
    yield Case("5,000 tasks", request(*(span(attributes=[]) for _ in range(5_000))))
    wide = [
        {"resource": {"attributes": [text("service.name", f"s{n}"), text("x", "y" * 3_000)]}, "scopeSpans": [{"spans": [span(task)]}]}
        for n in range(2_000)
    ]
    yield Case("2,000 resources for one task", json.dumps({"resourceSpans": wide}).encode(), good=(task,))
    fan = request(*(span(task, attributes=[]) for _ in range(9_000)), resource={"attributes": [text("big", "r" * MIB)]})
    yield Case("a resource of 1 MiB for 9,000 spans", fan, OK | {413})
    yield Case("half of the spans bad", request(span(task), span(spanId=""), span(task), span(traceId="")), rejected=2, good=(task,))
    both = b'{"resourceSpans":[],' + request(span(task))[1:]
    yield Case("a key twice in json", both, good=(task,))
    big = trace_id()
    yield Case("15 MiB in one span", request(span(big, attributes=[text(f"k{n}", "x" * MIB) for n in range(14)])), good=(big,))
    yield Case("over 16 MiB", b" " * (16 * MIB + 1), frozenset({413}))
    yield Case("logs with everything odd", json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"traceId": "zz", "spanId": "\0", "timeUnixNano": str(2**64 - 1), "eventName": "gen_ai.user.message", "body": {"stringValue": "\0\ud800"}},
        {"traceId": "1" * 32, "spanId": "1" * 16, "timeUnixNano": str(2**64 - 1), "eventName": "gen_ai.user.message",
         "body": {"kvlistValue": {"values": [{"key": "content", "value": {"arrayValue": {"values": [{}]}}}, {"key": "\0"}]}}},
        {"traceId": "1" * 32, "spanId": "1" * 16, "eventName": "gen_ai.choice", "body": {"doubleValue": "NaN"}}]}]}]}).encode(), path="/v1/logs")  # fmt: skip
    for depth in (33, 5_000, 200_000):
        record = json.dumps(
            {
                "resourceLogs": [
                    {"scopeLogs": [{"logRecords": [{"traceId": "1" * 32, "spanId": "1" * 16, "eventName": "gen_ai.choice", "body": "@v"}]}]}
                ]
            }
        )
        yield Case(f"a log body {depth} deep", around(record.encode(), "v", nested(depth, "map")), EITHER, path="/v1/logs")
    yield Case("logs, random bytes", random.Random(2).randbytes(500), BAD, PROTOBUF, path="/v1/logs")
    yield Case("metrics, random bytes", random.Random(3).randbytes(500), EITHER, PROTOBUF, path="/v1/metrics")


def cases() -> list[Case]:
    """All of them. Their ids are new each time."""
    return [*deep(), *shapes(), *compressed(), *bad_spans(), *odd_spans(), *requests_as_a_whole()]


def good_protobuf(task: str) -> bytes:
    """A request that must be stored at once, whatever came before it."""
    ExportTraceServiceRequest.FromString(body := proto_request(proto_span(task)))
    return body
