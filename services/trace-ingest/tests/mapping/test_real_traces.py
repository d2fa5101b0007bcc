"""Every real trace gives exactly the tasks, steps, types, errors and token sums of ``expected.json``, however it is posted."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.reference import EXPECTED, FOREIGN, NAMES, NOW_US, PRICES, PROJECT, answer, as_json, expected, folded, mapped, to_protobuf

from ams_trace_ingest.intake.otlp import Encoding, MalformedOtlpError
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.original import read_original


def test_every_file_has_its_expectation() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_json_gives_the_expected_sums(name: str) -> None:
    items = mapped([as_json(name)], Encoding.JSON)

    assert len(items) == EXPECTED[name]["spans"]
    assert answer(folded(items)) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_protobuf_gives_the_same_events_as_json(name: str) -> None:
    body = as_json(name)

    assert mapped([to_protobuf(body)], Encoding.PROTOBUF) == mapped([body], Encoding.JSON)


@pytest.mark.parametrize("name", NAMES)
def test_posted_twice_nothing_changes(name: str) -> None:
    body = as_json(name)

    assert answer(folded(mapped([body, body], Encoding.JSON))) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_spans_does_not_matter(name: str) -> None:
    items = mapped([as_json(name)], Encoding.JSON)

    assert answer(folded(reversed(items))) == expected(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_requests_of_a_few_spans_in_any_order_and_either_encoding_give_the_same(name: str, seed: int) -> None:
    chance = random.Random(seed)
    body = json.loads(as_json(name))
    spans = [
        {"resource": resource.get("resource", {}), "scopeSpans": [{"scope": scope.get("scope", {}), "spans": [span]}]}
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    chance.shuffle(spans)
    items: list[MappedSpan] = []
    while spans:
        size = chance.randrange(1, 12)
        sent = json.dumps({"resourceSpans": spans[:size]}).encode()
        del spans[:size]
        encoding = chance.choice(list(Encoding))
        items += mapped([to_protobuf(sent) if encoding is Encoding.PROTOBUF else sent], encoding)

    assert answer(folded(items)) == expected(name)


def test_all_files_in_one_project_give_the_sum_of_all() -> None:
    steps = folded(mapped(map(as_json, NAMES), Encoding.JSON))

    got = answer(steps)

    for key in ("steps", "tasks", "errors", "input_tokens", "output_tokens"):
        assert got[key] == sum(expected(name)[key] for name in NAMES), key
    assert got["types"] == sum((Counter(expected(name)["types"]) for name in NAMES), Counter())


@pytest.mark.parametrize("name", NAMES)
def test_the_original_can_be_mapped_again(name: str) -> None:
    for item in mapped([as_json(name)], Encoding.JSON):
        resource, scope, span = read_original(item.payloads)
        again = map_span(PROJECT, resource, scope, span, received_at_us=NOW_US, prices=PRICES)

        assert again.payloads == item.payloads
        assert again.event.event_id == item.event.event_id


@pytest.mark.parametrize("name", NAMES)
def test_previews_are_words(name: str) -> None:
    for item in mapped([as_json(name)], Encoding.JSON):
        for preview in (item.event.step.preview_input, item.event.step.preview_output):
            assert preview is None or (preview[:1] not in "{[" and len(preview) <= 512)


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.stem)
def test_a_foreign_trace_becomes_steps_or_a_sentence(path: Path) -> None:
    body = path.read_bytes()
    if b'"resourceSpans"' not in body:  # Jaeger's own JSON
        with pytest.raises(MalformedOtlpError):
            mapped([body], Encoding.JSON)
        return

    items = mapped([body], Encoding.JSON)

    assert items
    assert mapped([to_protobuf(body)], Encoding.PROTOBUF) == items
    assert answer(folded(items))["input_tokens"] == 0


def test_a_client_that_dropped_attributes_is_marked() -> None:
    (item,) = mapped([as_json("openinference_openai_truncated_attrs")], Encoding.JSON)

    assert item.event.step.flags == ["truncated_by_client"]


def test_a_pending_span_is_its_step_still_running() -> None:
    steps = folded(mapped([as_json("logfire_pending_spans")], Encoding.JSON))
    pending = [item for item in mapped([as_json("logfire_pending_spans")], Encoding.JSON) if item.event.step.status == "running"]

    assert len(pending) == 5
    assert all(state.ended for state in steps.values())
    assert all(item.event.step_id != item.event.step.parent_step_id for item in pending)
