"""Hostile records of the log: what a broken or foreign program could write to the topics that only intake should write.

Each names what becomes of it: the reasons of its dead letters, and the steps of the task that must be stored all the same.
"""

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from ams_contracts.topics import PAYLOADS, STEPS, task_key

BASE_US = 1_790_000_000_000_000
VERSION = (("v", b"1"), ("kinds", b"steps"), ("key_id", b"k"))
NOT_TAKEN = frozenset({"not_json", "too_deep", "not_utf8", "invalid"})


class Hostile(NamedTuple):
    name: str
    task: str
    value: bytes | None
    dead: int = 0  # dead letters
    reasons: frozenset[str] = frozenset()  # of them; empty: any
    steps: int = 1  # of the task that are stored
    key: bytes | None = b"@"  # the task's own
    headers: tuple[tuple[str, bytes], ...] = VERSION
    topic: str = STEPS.name
    timestamp_ms: int | None = None
    events: int = 1  # that it counts as


def new_task() -> str:
    return os.urandom(16).hex()


def event(kind: Any = "step.recorded", **changes: Any) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "llm", "name": "work", "status": "ok", "started_at_us": BASE_US, "ended_at_us": BASE_US + 5}
    if isinstance(changes.get("step"), dict):
        changes["step"] = step | changes["step"]
    made = {"kind": kind, "event_id": os.urandom(16).hex(), "seq": 0, "at_us": BASE_US, "step_id": os.urandom(8).hex(), "step": step}
    return {name: value for name, value in (made | changes).items() if value is not ...}


def payload(**changes: Any) -> dict[str, Any]:
    made = {"slot": "input", "text": "x", "bytes": 1}
    return {name: value for name, value in event("payload.stored", **(made | changes)).items() if name != "step"}


def batch(project: str, task: str, *events: Any, **changes: Any) -> bytes:
    made = {"v": 1, "project_id": project, "task_id": task, "producer": {"sdk": "x", "instance_id": "i"}, "events": list(events)} | changes
    return json.dumps({name: value for name, value in made.items() if value is not ...}).encode()


def raw(value: bytes, **places: bytes) -> bytes:
    """JSON in the place of the strings ``@name``."""
    for name, text in places.items():
        value = value.replace(json.dumps("@" + name).encode(), text)
    return value


def bad_events() -> Iterator[tuple[str, Any, str]]:
    """An event that is refused alone: its neighbours live."""
    yield "K20 no step id", event(step_id=...), "invalid"
    yield "K20 no kind", event(kind=...), "invalid"
    yield "no document", event(step=...), "invalid"
    yield "K21 an unknown kind", event("step.teleported"), "unknown_kind"
    yield "K21 a kind that is a number", event(kind=7), "invalid"
    for name, seq in {"2^63": 2**63, "-1": -1, "1.5": 1.5, "text": "1", "true": True, "null": None, "2^53": 2**53}.items():
        yield f"K15 seq {name}", event(seq=seq), "invalid"
    yield "K16 tokens 10^30", event(step={"usage": {"input": 10**30}}), "invalid"
    yield "K16 tokens negative", event(step={"usage": {"output": -1}}), "invalid"
    yield "usage a list", event(step={"usage": []}), "invalid"
    for name, step_id in {"empty": "", "10 kB": "a" * 10_000, "upper": "A" * 16, "newline": "a" * 15 + "\n", "nil": "0" * 16}.items():
        yield f"K26 step id {name}", event(step_id=step_id), "invalid"
    yield "event id short", event(event_id="ab"), "invalid"
    yield "K46 started in the year 294277", event(step={"started_at_us": 9_224_318_015_999_999_999}), "invalid"
    yield "K46 started before 1970", event(step={"started_at_us": -1}), "invalid"
    yield "K46 at 1e18", event(at_us=10**18), "invalid"
    yield "K48 a time that is text", event(step={"started_at_us": "2026-02-30T00:00:60Z"}), "invalid"
    yield "K50 duration a float", event(step={"duration_us": 1.5}), "invalid"
    yield "K51 cost a float", event(step={"cost_nusd": 1e300}), "invalid"
    yield "K55 10,000 tags", event(step={"tags": {str(n): "v" for n in range(10_000)}}), "invalid"
    yield "K55 a tag of 1 MiB", event(step={"tags": {"a": "v" * 300_000}}), "invalid"
    yield "a name of 300 kB", event(step={"name": "n" * 300_000}), "invalid"
    yield "a status that is none", event(step={"status": "exploded"}), "invalid"
    yield "a type that is none", event(step={"type": "'; DROP TABLE steps"}), "invalid"
    yield "a parent that is none", event(step={"parent_step_id": "x"}), "invalid"
    yield "a payload among steps", payload(), "wrong_topic"
    yield "null", None, "invalid"
    yield "a number", 1, "invalid"
    yield "a list", [], "invalid"
    yield "empty", {}, "invalid"
    yield "a score without a name", event("step.scored", source="human", step=...), "invalid"


def odd_events() -> Iterator[tuple[str, dict[str, Any]]]:
    """An event that is stored after a repair, and flagged."""
    yield "K11 NUL in a name", event(step={"name": "a\0b", "tags": {"\0": "\0"}})
    yield "a lone surrogate", event(step={"name": "\ud800", "preview_input": "\udfff\ud800"})
    yield "K38 its own parent", event(step_id="a" * 16, step={"parent_step_id": "a" * 16})
    yield "K38 an unknown parent", event(step={"parent_step_id": "b" * 16})
    yield "K46 at the first moment", event(step={"started_at_us": 0, "ended_at_us": 0}, at_us=0)
    yield "K46 at the last moment", event(step={"started_at_us": 2**53 - 1, "ended_at_us": 2**53 - 1}, at_us=2**53 - 1)
    yield "K50 duration negative", event(step={"duration_us": -5, "ttft_us": -(2**63)})
    yield "K50 duration 10^18", event(step={"duration_us": 10**18})
    yield "K50 duration 10^30", event(step={"duration_us": 10**30, "ttft_us": 10**30})
    yield "K51 cost negative", event(step={"cost_nusd": -1})
    yield "K51 cost 10^30", event(step={"cost_nusd": 10**30})
    yield "attempts 10^30", event(step={"attempts": 10**30})
    yield "attempts negative", event(step={"attempts": -(10**30)})
    yield "tokens 10^15", event(step={"usage": {"input": 10**15, "output": 10**15}, "cost_nusd": 10**15})
    yield "seq 2^53-1", event(seq=2**53 - 1)
    yield "K73 sql and COPY's signs", event(step={"name": "'; DROP TABLE steps;--\\N\t\\.\n", "agent": "\\N", "user_id": "\\."})
    yield "controls and directions", event(step={"name": "".join(map(chr, range(1, 32))) + "\u202e\u2028\ufffe"})
    yield "an agent that is blank", event(step={"agent": "", "model": "", "response_id": ""})
    yield "unknown fields", event(step={"unheard": {"of": [1]}}, more=10**30)
    yield "a response id of 256", event(step={"response_id": "\U0001f600" * 256})


def whole_records(project: str) -> Iterator[Hostile]:
    """What cannot be read at all, and what can although its envelope is strange."""

    def refused(name: str, value: bytes | None, *reasons: str, **more: Any) -> Hostile:
        return Hostile(name, new_task(), value, dead=1, reasons=frozenset(reasons), steps=0, **more)

    good = batch(project, new_task(), event())
    yield refused("K01 no value", None, "tombstone_unsupported")
    yield refused("empty", b"", "empty")
    yield refused("K06 not JSON", b"<xml/>", "not_json")
    yield refused("random", os.urandom(500), "not_json", "not_utf8")
    yield refused("cut", good[:-5], "not_json")
    yield refused("twice", good + good, "not_json")
    yield refused("K13 NaN", raw(batch(project, new_task(), event(at_us="@v")), v=b"NaN"), "not_json")
    yield refused("K13 Infinity", raw(batch(project, new_task(), event(at_us="@v")), v=b"-Infinity"), "not_json")
    for depth in (1_500, 100_000, 300_000):
        yield refused(f"K08 {depth} deep", b"[" * depth + b"]" * depth, *NOT_TAKEN)
        deep = raw(batch(project, new_task(), event(), unheard="@v"), v=b"[" * depth + b"]" * depth)
        yield refused(f"K10 {depth} deep in an unknown field", deep, "too_deep")
        inside = raw(batch(project, new_task(), event(unheard="@v")), v=b'{"a":' * depth + b"1" + b"}" * depth)
        yield refused(f"K10 {depth} deep in an unknown field of an event", inside, "too_deep")


def envelopes(project: str) -> Iterator[Hostile]:
    """What cannot be read for its envelope."""

    def refused(name: str, value: bytes | None, *reasons: str, **more: Any) -> Hostile:
        return Hostile(name, new_task(), value, dead=1, reasons=frozenset(reasons), steps=0, **more)

    good = batch(project, new_task(), event())
    yield refused("K18 a byte order mark", b"\xef\xbb\xbf" + good, "not_json", "not_utf8")
    yield refused("K18 UTF-16", good.decode().encode("utf-16"), "not_json", "not_utf8")
    yield refused("bytes that are not UTF-8", good.replace(b"work", b"\xff\xfe\xfd\xfc"), "not_utf8")
    yield refused("surrogates in UTF-8", good.replace(b"work", b"\xed\xa0\x80!"), "not_utf8")
    yield refused("bytes that are not UTF-8, skipped", raw(batch(project, new_task(), event(), unheard="@v"), v=b'"\xff"'), "not_utf8")
    yield refused("K20 no task id and steps", batch(project, "", event(), task_id=...), "no_task")
    yield refused("K20 no producer", batch(project, new_task(), event(), producer=...), "invalid")
    yield refused("no events", batch(project, new_task(), events=...), "invalid")
    yield refused("events a map", batch(project, new_task(), events={}), "invalid")
    yield refused("1,001 events", batch(project, new_task(), *[event()] * 1_001), "too_many_events", "invalid")
    yield refused("K23 version 2", batch(project, new_task(), event(), v=2), "unsupported_major")
    yield refused("version 10^400", batch(project, new_task(), event(), v=10**400), "unsupported_major", "invalid", "not_json")
    yield refused("version text", batch(project, new_task(), event(), v="1"), "invalid")
    yield refused("version true", batch(project, new_task(), event(), v=True), "invalid", "unsupported_major")
    yield refused("K23 header says 2", good, "unsupported_major", headers=(("v", b"2"),))
    for name, header in {"garbage": b"\xff\0", "empty": b"", "of 10 kB": b"9" * 10_000, "superscript": "\u00b2".encode()}.items():
        yield refused(f"K25 header {name}", good, "bad_header", "unsupported_major", headers=(("v", header),))
    for name, task in {"10 kB": "a" * 10_000, "empty": "", "upper": "A" * 32, "newline": "a" * 31 + "\n", "nil": "0" * 32}.items():
        yield refused(f"K26 task id {name}", batch(project, task, event()), "invalid", "nil_id")
    for name, owner in {"no uuid": "p", "nil": "00000000-0000-0000-0000-000000000000", "braces": f"{{{project}}}", "a number": 1}.items():
        yield refused(f"K28 project id {name}", batch("", new_task(), event(), project_id=owner), "invalid", "nil_id")
    yield refused("over 1 MiB", b'{"v":1,"x":"' + b"y" * 1_900_000 + b'"}', "invalid", "too_large")
    yield refused("steps among payloads", good, "wrong_topic", topic=PAYLOADS.name)
    yield refused("a payload without a task", batch(project, "", payload(), task_id=...), "no_task", topic=PAYLOADS.name)
    yield refused("a payload of an unknown slot", batch(project, new_task(), payload(slot="x")), "invalid", topic=PAYLOADS.name)
    yield refused("a payload of null text", batch(project, new_task(), payload(text=None)), "invalid", topic=PAYLOADS.name)
    yield refused("a payload, not JSON", b"\0\0", "not_json", topic=PAYLOADS.name)
    yield refused("a payload of nothing", None, "tombstone_unsupported", topic=PAYLOADS.name)


def strange_records(project: str) -> Iterator[Hostile]:
    """What is stored although something about it is strange, and what nearly is."""

    def taken(name: str, **more: Any) -> Hostile:
        task = new_task()
        return Hostile(name, task, batch(project, task, event()), **more)

    agent = {"kind": "agent.registered", "event_id": "1" * 32, "seq": 0, "at_us": BASE_US, "name": " "}
    nameless = batch(project, "", agent, task_id=...)
    yield Hostile("an agent without a name", new_task(), nameless, dead=1, reasons=frozenset({"agent_without_name"}), steps=0)
    odd_agent = agent | {"name": "\0\\N", "description": "\ud800", "metadata": {"\0": "\0", "": ""}, "tools": [""]}
    yield Hostile("an agent of odd letters", new_task(), batch(project, "", odd_agent, task_id=...), steps=0)
    yield taken("K03 no key", key=None)
    yield taken("K05 a key that is not UTF-8", key=b"\xff\xfe")
    yield taken("another task's key", key=task_key(project, new_task()))
    yield taken("a key of 100 kB", key=b"k" * 100_000)
    yield taken("no headers", headers=())
    yield taken("1,000 headers", headers=(("v", b"1"), *(("x", b"y") for _ in range(1_000))))
    yield taken("K65 a time of tomorrow's century", timestamp_ms=2**42)
    yield taken("K65 no time", timestamp_ms=0)
    twice = new_task()
    same = event(step_id="c" * 16)
    yield Hostile(
        "K30 an event id twice, another content", twice, batch(project, twice, same, same | {"step": same["step"] | {"name": "other"}})
    )
    ends = new_task()
    yield Hostile("K36 progress after the end", ends, batch(project, ends, event(step_id="d" * 16), event(
        "step.progressed", step_id=..., step=..., at_us=BASE_US + 9, deltas=[{"step_id": "d" * 16, "index": 10**30, "text": "\0"}])))  # fmt: skip
    cycle = new_task()
    a, b = "a" * 16, "b" * 16
    yield Hostile("K38 a cycle", cycle, batch(project, cycle, event(step_id=a, step={"parent_step_id": b}), event(step_id=b, step={"parent_step_id": a})), steps=2)  # fmt: skip
    chain = new_task()
    links = [event(step_id=f"{n + 1:016x}", step={"parent_step_id": f"{n:016x}"} if n else {}) for n in range(1_000)]
    yield Hostile("K41 a chain of 1,000", chain, batch(project, chain, *reversed(links)), steps=1_000, events=1_000)
    for name, text in {
        "deep": "[" * 100_000,
        "with NUL": "\0" * 50,
        "of surrogates": "\ud800",
        "no original": '{"attributes":[1]}',
        "huge": "9" * 900_000,
    }.items():
        task = new_task()
        stored = batch(project, task, payload(slot="original", text=text), payload(text=text, bytes=10**30, sha256="0" * 64))
        yield Hostile(
            f"a payload {name}, and one of 10^30 bytes",
            task,
            stored,
            dead=1,
            reasons=frozenset({"unencodable"}),
            steps=0,
            topic=PAYLOADS.name,
        )


def records(project: str) -> list[Hostile]:
    """All of them, with a good neighbour beside every bad event."""
    found: list[Hostile] = []
    for name, bad, reason in bad_events():
        task = new_task()
        reasons = frozenset({reason, "nil_id", "invalid"})
        found.append(Hostile(name, task, batch(project, task, event(), bad, event()), dead=1, reasons=reasons, steps=2, events=3))
    for name, odd in odd_events():
        task = new_task()
        found.append(Hostile(name, task, batch(project, task, event(), odd), steps=2, events=2))
    return [*found, *whole_records(project), *envelopes(project), *strange_records(project)]
