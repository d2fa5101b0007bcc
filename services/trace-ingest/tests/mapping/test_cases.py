"""The cases of ``tests/cases`` through the mapping alone: what one request, or several, make of their steps.

What depends on the tables (searches, and the name and previews of a task) is left to ``tests/e2e/test_cases.py``.
"""

from collections.abc import Iterator
from functools import cache

import msgspec
import pytest
from tests.case_files import NAMES, Case, body_of, case_of, compare_step, differences, posts_of
from tests.reference import NOW_US, PROJECT, counted_steps, to_protobuf

from ams_contracts.derive import derive, step_of
from ams_contracts.documents import Slot, StepDocument
from ams_contracts.events import PayloadStored, ScoreRecorded
from ams_contracts.fold import EMPTY_STEP, StepState, fold
from ams_contracts.views import usd
from ams_trace_ingest.intake.log_joiner import Additions, LogJoiner
from ams_trace_ingest.intake.otlp import Encoding, decode_logs, decode_traces
from ams_trace_ingest.mapping.map_request import map_request
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.projector.payloads import leftover

TASK_FIELDS = frozenset({"steps", "duration_us", "input_tokens", "output_tokens", "cost_usd", "unpriced_steps", "unmetered_calls"})

Key = tuple[str, str]


@cache
def prices() -> Prices:
    return Prices(GenaiPrices())


class Answers:
    """Steps and payloads after the requests of a case."""

    def __init__(self, case: Case, encoding: Encoding) -> None:
        self.documents: dict[Key, StepDocument] = {}
        self.payloads: dict[Key, dict[Slot, PayloadStored]] = {}
        states: dict[Key, StepState] = {}
        joiner = LogJoiner()
        for post in posts_of(case):
            path, content_type, body = body_of(post)
            if path == "/v1/logs":
                self._add(joiner.add_logs(PROJECT, decode_logs(body, Encoding.JSON), received_at_us=NOW_US).additions, states)
                continue
            sent = Encoding.PROTOBUF if content_type == Encoding.PROTOBUF.value else encoding
            if sent is Encoding.PROTOBUF and content_type == Encoding.JSON.value:
                body = to_protobuf(body)
            items = map_request(PROJECT, decode_traces(body, sent).groups, received_at_us=NOW_US, prices=prices())
            self._add(joiner.add_spans(PROJECT, items, received_at_us=NOW_US), states)
            for item in items:
                key = (item.task_id, item.event.step_id)
                states[key] = fold(states.get(key, EMPTY_STEP), item.event, item.event.step_id)
                for payload in item.payloads:
                    self._store(key, payload)
        self.documents = {key: state.document for key, state in states.items() if state.document is not None}
        self.derived = derive(step for (_, step_id), state in states.items() if (step := step_of(step_id, state)) is not None)
        self.counted = counted_steps(self.documents)

    def _add(self, additions: Additions, states: dict[Key, StepState]) -> None:
        for task_id, event in additions.steps:
            if isinstance(event, ScoreRecorded):
                continue  # a row of its own: tests/mapping/test_evaluations.py
            key = (task_id, event.step_id)
            states[key] = fold(states.get(key, EMPTY_STEP), event, event.step_id)
        for task_id, payload in additions.payloads:
            if isinstance(payload, PayloadStored):
                self._store((task_id, payload.step_id), payload)

    def _store(self, key: Key, payload: PayloadStored) -> None:
        slots = self.payloads.setdefault(key, {})
        known = slots.get(payload.slot)
        if known is None or (payload.at_us, payload.seq, payload.event_id) > (known.at_us, known.seq, known.event_id):
            slots[payload.slot] = payload

    def step(self, step_id: str) -> tuple[Case, dict[str, Case]]:
        """A step as the query API shows it, and its payloads by slot."""
        key = next(key for key in self.documents if key[1] == step_id)
        document = self.documents[key]
        counted = self.counted[key]
        step = {
            **msgspec.to_builtins(document),
            "status": document.status.value,
            "agent": self.derived.steps[step_id].agent,
            "cost_usd": usd(document.cost_nusd),
            "cost_source": document.cost_source.value,
            "counted": bool(counted.input_tokens or counted.output_tokens or counted.cost_nusd is not None),
        }
        payloads = self.payloads.get(key, {})
        return step, {
            slot.value: {"mime": item.mime, "text": leftover(item.text) if slot is Slot.ORIGINAL and item.consumed is None else item.text}
            for slot, item in payloads.items()
        }

    def task(self) -> Case:
        task_id = next(iter(self.documents))[0]
        counted = [item for key, item in self.counted.items() if key[0] == task_id]
        known = [item.cost_nusd for item in counted if item.cost_nusd is not None]
        return {
            "steps": len(self.derived.steps),
            "duration_us": self.derived.task.duration_us,
            "input_tokens": sum(item.input_tokens for item in counted),
            "output_tokens": sum(item.output_tokens for item in counted),
            "cost_usd": usd(sum(known)) if known else None,
            "unpriced_steps": sum(item.unpriced for item in counted),
            "unmetered_calls": sum(item.unmetered for item in counted),
        }


def problems(case: Case, encoding: Encoding) -> Iterator[str]:
    answers = Answers(case, encoding)
    for step_id, want in case["expect"].get("steps", {}).items():
        for line in compare_step(want, *answers.step(step_id)):
            yield f"{step_id}: {line}"
    want = {key: value for key, value in case["expect"].get("task", {}).items() if key in TASK_FIELDS}
    yield from differences(want, answers.task(), "task")


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_right(name: str, encoding: Encoding) -> None:
    assert list(problems(case_of(name), encoding)) == []
