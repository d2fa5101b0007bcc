"""``derive`` passes ``contracts/vectors/derive``, whatever the order of the steps. The TypeScript twin reads the same files."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ams_contracts.derive import DeriveStep, DeriveTree, derive, derive_task
from ams_contracts.fold import EMPTY_TASK, TaskState

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "derive").glob("*.json"))
PERMUTED_STEPS_MAX = 4  # 24 orders; longer cases are shuffled


class Expected(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    steps: dict[str, Any]
    task: dict[str, Any]


class Vector(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    steps: list[DeriveStep]
    task: TaskState = EMPTY_TASK
    expect: Expected


def _orders(steps: list[DeriveStep], seed: str) -> Iterator[list[DeriveStep]]:
    if len(steps) <= PERMUTED_STEPS_MAX:
        yield from map(list, itertools.permutations(steps))
    shuffler = random.Random(seed)
    for _ in range(20):
        yield shuffler.sample(steps, len(steps))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_order_of_steps_gives_what_the_vector_says(path: Path) -> None:
    vector = msgspec.json.decode(path.read_bytes(), type=Vector)

    for steps in _orders(vector.steps, path.stem):
        at_once = derive(steps, vector.task)
        tree = DeriveTree()
        for step in steps:
            tree.put(step)

        assert msgspec.to_builtins(at_once.steps) == vector.expect.steps
        assert msgspec.to_builtins(at_once.task) == vector.expect.task
        assert {step_id: tree.derived(step_id) for step_id in tree.steps} == at_once.steps
        assert derive_task(tree, vector.task) == at_once.task


def test_there_are_vectors_of_every_concern() -> None:
    concerns = {path.stem.split("-")[0] for path in VECTORS}

    assert len(VECTORS) >= 70
    assert concerns >= {"agent", "task", "error", "cycle", "asked", "answer", "end", "skewed"}
