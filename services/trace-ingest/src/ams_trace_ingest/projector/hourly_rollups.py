"""Hourly rollups: what the steps that a batch changes add to their rows, less what they added before."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

from ams_contracts.documents import StepDocument, StepType
from ams_contracts.fold import PHASE_ENDED
from ams_contracts.histograms import bucket_of
from ams_trace_ingest.projector.changes import BatchChanges, KnownStep, TaskChanges, repeats_other_than
from ams_trace_ingest.rollup import NOTHING, Counted
from ams_trace_ingest.store import hourly_rollups
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.hourly_rollups import Rollup, RollupKey, ValueKey
from ams_trace_ingest.store.steps import DeletedStep

HOUR_US = 3_600_000_000
OTHER = "other"
_AGENT = StepType.AGENT  # a look-up in the class costs 0.3 us
KNOWN_VALUES_MAX = 100_000  # of all projects, some 200 bytes each
_DIMENSIONS = (("agent", 2), ("model", 3), ("tool", 6))  # those whose values people choose, and their places in a key

_Where = tuple[str, int, date]
"""Project, partition, day of the task."""
_What = tuple[int, str | None, str | None, str, str, str | None]
"""Hour, agent, model, type, status, tool."""


class _Group:
    """Steps of one row, as lists: adding them up one by one took twice as long."""

    __slots__ = ("counted", "durations")

    def __init__(self) -> None:
        self.durations: list[int | None] = []  # of each step
        self.counted: list[Counted] = []  # of those that count

    def add(self, duration_us: int | None, counted: Counted) -> None:
        self.durations.append(duration_us)
        if counted is not NOTHING:
            self.counted.append(counted)

    def add_to(self, row: Rollup, sign: int) -> None:
        """Add all of them to a row, or subtract them."""
        durations = [duration for duration in self.durations if duration is not None]
        tokens = [counted.input_tokens + counted.output_tokens for counted in self.counted if counted.input_tokens or counted.output_tokens]
        costs = [counted.cost_nusd for counted in self.counted if counted.cost_nusd is not None]
        row.steps += sign * len(self.durations)
        row.timed_steps += sign * len(durations)
        row.duration_us += sign * sum(durations)
        row.input_tokens += sign * sum(counted.input_tokens for counted in self.counted)
        row.output_tokens += sign * sum(counted.output_tokens for counted in self.counted)
        row.priced_steps += sign * len(costs)
        row.cost_nusd += sign * sum(costs)
        for buckets, numbers in ((row.durations, durations), (row.tokens, tokens), (row.costs, costs)):
            for number, count in Counter(numbers).items():
                bucket = bucket_of(number)
                buckets[bucket] = buckets.get(bucket, 0) + sign * count


_Groups = dict[_Where, dict[_What, _Group]]


class RollupDifferences:
    """What is to be added, by row."""

    def __init__(self) -> None:
        self._added: _Groups = {}
        self._subtracted: _Groups = {}

    def add_task(self, task: TaskChanges) -> None:
        """Add the changed steps of a task. Open steps are not counted: they have no duration, cost or final status.

        Nor are calls that a step of another task reports too, which counts.
        """
        day = task.day
        if day is None:
            return
        task_id, where = task.key[1], (task.key[0], task.partition, day)
        groups = self._added.setdefault(where, {})
        for step in task.steps.values():
            if not step.changed:
                continue
            if step.stored is not None:
                self._subtract_stored(step.stored, where, task_id)
            state, counted = step.state, step.counted
            stamp, document = state.stamp, state.document
            if stamp is None or document is None or stamp.phase != PHASE_ENDED:
                continue
            if (step.repeats_response is not None or step.repeats_call is not None) and repeats_other_than(step, task_id):
                continue
            # ``_what`` without its calls
            at_us, agent, kind = document.started_at_us, document.agent, document.type
            if agent is None and kind is _AGENT:
                agent = document.name
            what = ((stamp.at_us if at_us is None else at_us) // HOUR_US, agent, document.model, kind, document.status, document.tool_name)
            group = groups.get(what)
            if group is None:
                group = groups[what] = _Group()
            group.durations.append(document.duration_us)
            if counted is not NOTHING:
                group.counted.append(counted)

    def _subtract_stored(self, stored: KnownStep, where: _Where, task_id: str) -> None:
        before = stored.stamp
        if before is not None and before.phase == PHASE_ENDED:
            document = stored.document
            if document is not None and not repeats_other_than(stored, task_id):
                _group(self._subtracted, where, _what(document, before.at_us)).add(document.duration_us, stored.counted)

    def subtract(self, project_id: str, partition: int, deleted: Iterable[DeletedStep]) -> None:
        """Subtract steps whose rows were deleted."""
        for step in deleted:
            if step.stamp_phase == PHASE_ENDED and not step.repeats_other:
                where = (project_id, partition, step.day)
                _group(self._subtracted, where, _what_of_row(step)).add(step.duration_us, step.counted)

    def rows(self) -> dict[RollupKey, Rollup]:
        """The differences that change something."""
        rows: dict[RollupKey, Rollup] = {}
        for by_place, sign in ((self._added, 1), (self._subtracted, -1)):
            for (project_id, partition, day), groups in by_place.items():
                for (hour, agent, model, kind, status, tool), group in groups.items():
                    key = (project_id, hour, agent or "", model or "", kind, status, tool or "", partition, day)
                    row = rows.get(key)
                    if row is None:
                        row = rows[key] = Rollup({}, {}, {})
                    group.add_to(row, sign)
        return {key: row for key, row in rows.items() if _changes_something(row)}


def _group(groups: _Groups, where: _Where, what: _What) -> _Group:
    return groups.setdefault(where, {}).setdefault(what, _Group())


def _agent_of(document: StepDocument) -> str | None:
    """The agent that the step itself names, or is: one that follows from steps above it would move between rows when those arrive later."""
    return document.name if document.agent is None and document.type is _AGENT else document.agent


def _what(document: StepDocument, stamp_at_us: int) -> _What:
    at_us = document.started_at_us
    return (
        (stamp_at_us if at_us is None else at_us) // HOUR_US, _agent_of(document), document.model, document.type, document.status, document.tool_name,
    )  # fmt: skip


def _what_of_row(step: DeletedStep) -> _What:
    at_us = step.started_at_us if step.started_at_us is not None else step.stamp_at_us or 0
    return (at_us // HOUR_US, step.agent, step.model, step.type, step.status or "", step.tool_name)


class HourlyRollups:
    """Adds differences to the rows, and remembers which values have rows of their own."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ValueKey], bool] = {}  # by generation

    def forget(self) -> None:
        """Read the values from the table again: it may not be as this process left it."""
        self._known.clear()

    async def write(self, connection: Connection, generation: str, differences: RollupDifferences) -> Callable[[], None]:
        """Add differences, in the transaction of the steps.

        Returns:
            What to do once it is committed.
        """
        rows = differences.rows()
        if not rows:
            return nothing_written
        values = {(key[0], dimension, str(key[place])) for key in rows for dimension, place in _DIMENSIONS if key[place]}
        unknown = [value for value in values if (generation, value) not in self._known]
        found: dict[tuple[str, ValueKey], bool] = {}
        if unknown:
            admitted = await hourly_rollups.admit(connection, unknown)
            found = {(generation, value): value in admitted for value in unknown}
        refused = {value for value in values if not (found.get((generation, value)) or self._known.get((generation, value)))}
        await hourly_rollups.add(connection, _with_others(rows, refused) if refused else rows)

        def committed() -> None:
            if len(self._known) + len(found) > KNOWN_VALUES_MAX:
                self._known.clear()
            self._known.update(found)

        return committed


def nothing_written() -> None:
    """Nothing was written."""


def _changes_something(row: Rollup) -> bool:
    return bool(row.steps or row.duration_us or row.input_tokens or row.output_tokens or row.cost_nusd or row.priced_steps) or any(
        count for buckets in (row.durations, row.tokens, row.costs) for count in buckets.values()
    )


def _with_others(rows: dict[RollupKey, Rollup], refused: set[ValueKey]) -> dict[RollupKey, Rollup]:
    """The same, with ``other`` in place of values that have no rows of their own."""
    result: dict[RollupKey, Rollup] = {}
    for key, row in rows.items():
        agent, model, tool = (OTHER if (key[0], dimension, key[place]) in refused else str(key[place]) for dimension, place in _DIMENSIONS)
        new = (key[0], key[1], agent, model, key[4], key[5], tool, key[7], key[8])
        known = result.get(new)
        if known is None:
            result[new] = row
        else:
            _merge(known, row)
    return result


def _merge(row: Rollup, other: Rollup) -> None:
    row.steps += other.steps
    row.input_tokens += other.input_tokens
    row.output_tokens += other.output_tokens
    row.cost_nusd += other.cost_nusd
    row.priced_steps += other.priced_steps
    row.duration_us += other.duration_us
    row.timed_steps += other.timed_steps
    for mine, theirs in ((row.durations, other.durations), (row.tokens, other.tokens), (row.costs, other.costs)):
        for bucket, count in theirs.items():
            mine[bucket] = mine.get(bucket, 0) + count


def differences_of(changes: BatchChanges) -> RollupDifferences:
    """What all changed steps of a batch add."""
    found = RollupDifferences()
    for task in changes.tasks.values():
        found.add_task(task)
    return found
