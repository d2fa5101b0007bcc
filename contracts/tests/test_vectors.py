"""The fold passes ``contracts/vectors``: every case in every order and with repeats. The TypeScript twin reads the same files."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ams_contracts import codec, fold
from ams_contracts.documents import Status
from ams_contracts.events import StepsTopicEvent

VECTORS = sorted((Path(__file__).parents[1] / "vectors").glob("*.json"))
PERMUTED_EVENTS_MAX = 5  # 120 orders; longer cases are shuffled


class Expected(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    state: dict[str, Any]
    status: Status
    usage: dict[str, int] | None = None


class Vector(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    step_id: str | None = None
    task: bool = False
    events: list[msgspec.Raw]
    expect: Expected


def _orders(events: list[StepsTopicEvent], seed: str) -> Iterator[list[StepsTopicEvent]]:
    if len(events) <= PERMUTED_EVENTS_MAX:
        yield from map(list, itertools.permutations(events))
    shuffler = random.Random(seed)
    for _ in range(200):
        repeated = [event for event in events for _ in range(shuffler.randint(1, 3))]
        shuffler.shuffle(repeated)
        yield repeated


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_order_and_repetition_gives_what_the_vector_says(path: Path) -> None:
    vector = msgspec.json.decode(path.read_bytes(), type=Vector)
    events = [codec.decode_event(bytes(raw)) for raw in vector.events]

    for order in _orders(events, path.stem):
        state = fold.EMPTY_TASK if vector.task else fold.EMPTY_STEP
        for event in order:
            state = fold.fold_task(state, event) if vector.task else fold.fold(state, event, vector.step_id)

        assert msgspec.json.decode(codec.encode(state)) == vector.expect.state
        if vector.task:
            assert (state.document.status if state.document else Status.RUNNING) == vector.expect.status
        else:
            assert state.status == vector.expect.status
            assert msgspec.to_builtins(state.usage) == vector.expect.usage


def test_there_are_vectors_of_steps_and_of_tasks() -> None:
    names = [path.stem for path in VECTORS]

    assert sum(name.startswith("step-") for name in names) >= 25
    assert sum(name.startswith("task-") for name in names) >= 8
