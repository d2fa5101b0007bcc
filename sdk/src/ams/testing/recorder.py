"""``ams_recorder``: questions and assertions about the steps of a test."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from ams.testing.events import CapturedEvents
from ams.testing.fixed import Fixed, FixedClock
from ams.testing.recording import Recording
from ams.testing.snapshots import Snapshots
from ams.testing.steps import RecordedStep
from ams.testing.tree import Tree, contents_of, difference, tree_of
from ams_contracts.documents import BILLABLE_TYPES, TaskDocument


class Recorder:
    """What the code under test did. Every method sees all steps of this process until the call."""

    def __init__(self, recording: Recording, *, fixed: Fixed | None = None, snapshots: Snapshots | None = None) -> None:
        self._recording = recording
        self._fixed = fixed
        self._snapshots = snapshots

    @property
    def clock(self) -> FixedClock:
        """The clock of a recording with ``fixed=True``.

        Raises:
            RuntimeError: The recording uses the real clock.
        """
        if self._fixed is None:
            raise RuntimeError("The clock is the real one. Mark the test with @pytest.mark.ams_recorder(fixed=True).")
        return self._fixed.clock

    def steps(self, *, name: str | None = None, type: str | None = None) -> list[RecordedStep]:  # noqa: A002 - the contract's word
        """The steps in the order of their starts, or those of them with this name and type."""
        return [step for step in self._recording.steps() if (name is None or step.name == name) and (type is None or step.type == type)]

    def step(self, name: str, *, type: str | None = None) -> RecordedStep:  # noqa: A002 - the same
        """The one step with this name.

        Raises:
            LookupError: There is none, or more than one.
        """
        found = self.steps(name=name, type=type)
        if len(found) != 1:
            raise LookupError(f"{len(found)} steps are called {name!r}. Recorded:\n{self.tree or '(nothing)'}")
        return found[0]

    def tasks(self) -> list[TaskDocument]:
        """The latest document of every task."""
        return CapturedEvents(self._recording).tasks()

    @property
    def tree(self) -> Tree:
        """A line per step: name, type in brackets, and how it ended unless that is ``ok``."""
        return tree_of(self.steps())

    def assert_tree(self, expected: str) -> None:
        """``assert recorder.tree == expected``, with the complete diff in every test runner.

        Raises:
            AssertionError: The tree is another one.
        """
        __tracebackhide__ = True
        tree = self.tree
        if tree != expected:
            raise AssertionError("\n".join(["The trees differ (- expected, + recorded).", *difference(expected, tree)]))

    def assert_order(self, *names: str) -> None:
        """The first steps of these names started in this order. A name given twice is its first and its second step.

        Raises:
            AssertionError: A step is missing, or started earlier than the one before it.
        """
        __tracebackhide__ = True
        found = [step.name for step in self.steps()]
        places = {name: [at for at, other in enumerate(found) if other == name] for name in names}
        taken: dict[str, int] = {}
        before: tuple[int, str] | None = None
        for name in names:
            nth = taken.get(name, 0)
            taken[name] = nth + 1
            if nth >= len(places[name]):
                raise AssertionError(f"There are {len(places[name])} steps called {name!r}, not {nth + 1}. Recorded: {_listed(found)}")
            at = places[name][nth]
            if before is not None and at < before[0]:
                raise AssertionError(f"{name!r} started before {before[1]!r}. Recorded: {_listed(found)}")
            before = (at, name)

    def assert_no_errors(self) -> None:
        """No step failed.

        Raises:
            AssertionError: Some did, or nothing was recorded.
        """
        __tracebackhide__ = True
        steps = self._some_steps()
        failed = [step.title for step in steps if step.failed]
        if failed:
            raise AssertionError("\n  ".join([f"{len(failed)} of {len(steps)} steps failed:", *failed]))

    def assert_within(
        self,
        *,
        cost_usd: float | None = None,
        tokens: int | None = None,
        steps: int | None = None,
        latency_seconds: float | None = None,
    ) -> None:
        """The test stayed within these budgets.

        Args:
            cost_usd: Of all model calls; each must report its cost (``step.cost``).
            tokens: Input and output of all model calls; each must report its usage (``step.usage``).
            steps: How many.
            latency_seconds: Of the slowest outermost step.

        Raises:
            AssertionError: Something is over its budget or unknown, or nothing was recorded. The message has every figure.
            ValueError: No budget was given.
        """
        __tracebackhide__ = True
        if cost_usd is None and tokens is None and steps is None and latency_seconds is None:
            raise ValueError("assert_within needs a budget: cost_usd, tokens, steps or latency_seconds")
        found = self._some_steps()
        faults: list[str] = []
        if cost_usd is not None:
            faults += _over(found, "cost", cost_usd, lambda step: step.cost_usd, lambda value: f"${value:.9f}".rstrip("0").rstrip("."))
        if tokens is not None:
            faults += _over(found, "tokens", tokens, lambda step: step.tokens, lambda value: f"{value:,.0f}")
        if steps is not None and len(found) > steps:
            faults.append(f"steps: {len(found)}, the budget is {steps}")
        if latency_seconds is not None:
            faults += _too_slow(found, latency_seconds)
        if faults:
            raise AssertionError("\n  ".join(["Over the budget:", *faults]))

    def assert_snapshot(self, name: str | None = None, *, contents: bool = True) -> None:
        """The steps are those of the snapshot file; ``pytest --ams-update`` writes it.

        Args:
            name: For the file, where a test has several; default a number.
            contents: Also models, tokens, inputs, outputs and log lines, not only the tree.

        Raises:
            AssertionError: They differ, there is no file, or nothing was recorded.
            RuntimeError: The recorder is not the fixture, so it does not know where the file is.
        """
        __tracebackhide__ = True
        if self._snapshots is None:
            raise RuntimeError("Snapshots need the pytest fixture ams_recorder.")
        steps = self._some_steps()
        self._snapshots.check(contents_of(steps) if contents else tree_of(steps), name)

    def _some_steps(self) -> list[RecordedStep]:
        __tracebackhide__ = True
        steps = self.steps()
        if not steps:
            raise AssertionError("Nothing was recorded: the code under test made no step, or turned tracing off.")
        return steps


def _over(
    steps: Sequence[RecordedStep], what: str, budget: float, value: Callable[[RecordedStep], float | None], shown: Callable[[float], str]
) -> list[str]:
    """Faults of a sum over the model calls. Only these count: an agent's step repeats the usage of the calls below it."""
    calls = [step for step in steps if step.type in BILLABLE_TYPES]
    unknown = [step.name for step in calls if value(step) is None and step.ok]
    total = sum(value(step) or 0 for step in calls)
    faults: list[str] = []
    if total > budget:
        each = ", ".join(f"{step.name} {shown(value(step) or 0)}" for step in calls)
        faults.append(f"{what}: {shown(total)}, the budget is {shown(budget)} ({each})")
    if unknown:
        faults.append(f"{what}: unknown of {len(unknown)} model calls ({', '.join(unknown[:5])})")
    return faults


def _too_slow(steps: Sequence[RecordedStep], budget: float) -> list[str]:
    known = {step.id for step in steps}
    faults: list[str] = []
    for step in steps:
        if step.parent_id in known:
            continue
        if step.duration_seconds is None:
            faults.append(f"latency: {step.name} is still {step.status}")
        elif step.duration_seconds > budget:
            faults.append(f"latency: {step.name} took {step.duration_seconds:.3f} s, the budget is {budget:g} s")
    return faults


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"


@contextmanager
def record(*, fixed: bool = False) -> Generator[Recorder]:
    """Record the steps of a block, with any test runner.

    Args:
        fixed: Ids count from 1, and the clock stays at 2026-01-01T00:00:00Z until ``recorder.clock.advance(seconds)``.
    """
    with recording_of_block() as recording, recorder_of(recording, fixed=fixed) as recorder:
        yield recorder


@contextmanager
def recording_of_block() -> Generator[Recording]:
    """Trace into memory within the block."""
    recording = Recording()
    try:
        yield recording
    finally:
        recording.stop()


@contextmanager
def recorder_of(recording: Recording, *, fixed: bool, snapshots: Snapshots | None = None) -> Generator[Recorder]:
    """A recorder of what is recorded; with ``fixed`` and its clock within the block."""
    replaced = Fixed() if fixed else None
    try:
        yield Recorder(recording, fixed=replaced, snapshots=snapshots)
    finally:
        if replaced is not None:
            replaced.stop()
