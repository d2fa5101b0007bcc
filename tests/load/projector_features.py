"""What the projector does beside folding and writing, each to be left out by a benchmark, so that its price is known (ADR 0069)."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from ams_trace_ingest.projector.derivation import Derivation
from ams_trace_ingest.projector.hourly_rollups import RollupDifferences
from ams_trace_ingest.projector.rollup_updater import RollupUpdater

Patches = Sequence[tuple[type, str, Callable[..., Any]]]


async def _do_nothing(*_: Any) -> None:
    """Leave out a part that waits for Postgres."""


FEATURES: dict[str, Patches] = {
    "derived": ((Derivation, "derive", _do_nothing), (Derivation, "write", _do_nothing)),
    "hourly_rollups": ((RollupDifferences, "add_task", lambda *_: None),),
    "counting_rules": ((RollupUpdater, "update", _do_nothing),),
}
"""Agents, previews, errors and the end of a task; sums by hour; which usage counts (R1 to R3)."""

LATER = ("derived", "hourly_rollups")
"""What the two-stage pipeline did not do when its cost was agreed on."""


@contextmanager
def without(names: Sequence[str]) -> Generator[None]:
    """Leave out these parts of the projector, in this process."""
    with ExitStack() as stack:
        for name in names:
            for owner, attribute, replacement in FEATURES[name]:
                stack.enter_context(mock.patch.object(owner, attribute, replacement))
        yield
