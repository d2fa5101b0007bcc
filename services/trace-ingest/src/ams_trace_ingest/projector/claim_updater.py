"""Roll-up rule R3 on a batch: which steps of this task or another one report the same call, and no longer count or count again."""

from collections.abc import Iterable, Mapping

from ams_trace_ingest.projector.changes import StepChanges, TaskChanges
from ams_trace_ingest.repeated_calls import CALL_PREFIX, Claim, Place, is_call_key, overlapping_claims
from ams_trace_ingest.rollup import Node
from ams_trace_ingest.store import claims as claims_table
from ams_trace_ingest.store import steps as steps_table
from ams_trace_ingest.store import tasks as tasks_table
from ams_trace_ingest.store.claims import ClaimKey, ClaimPlace, StoredClaims
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.steps import StepPlace
from ams_trace_ingest.store.tasks import TaskKey

StepKey = tuple[TaskKey, str]
ClaimChanges = dict[ClaimKey, dict[Place, Claim | None]]
"""Per key what steps claim now; null: nothing any more."""
_NOTHING: dict[str, Claim] = {}


def claims_of_step(task_id: str, step: StepChanges, node: Node | None) -> dict[str, Claim]:
    """What a step claims by R3, by key."""
    if node is None or step.wrapper or not (node.response_id or node.call_key) or not node.billable:
        return _NOTHING
    return step.claims(task_id)


def candidate_claims(tasks: Iterable[TaskChanges]) -> dict[ClaimKey, list[Claim]]:
    """The claims that a batch may make, before any stored step is known: these keys are locked first, and mostly no others."""
    wanted: dict[ClaimKey, list[Claim]] = {}
    for task in tasks:
        project_id, task_id = task.key
        for step in task.steps.values():
            document = step.state.document
            if document is not None and (document.response_id or document.call_key):
                for key, claim in claims_of_step(task_id, step, step.node).items():
                    wanted.setdefault((project_id, key), []).append(claim)
    return wanted


def places_of(tasks: Mapping[TaskKey, TaskChanges], wanted: Iterable[StepKey]) -> list[StepPlace]:
    """Where the rows of these steps are."""
    return [(*key, step_id, day) for key, step_id in wanted if (day := tasks[key].day) is not None]


async def load_steps(connection: Connection, tasks: Mapping[TaskKey, TaskChanges], wanted: Iterable[StepKey]) -> None:
    """Load complete rows of steps that change although no event of the batch concerns them."""
    for stored in await steps_table.load(connection, places_of(tasks, wanted)):
        tasks[stored.key].steps[stored.step_id] = StepChanges.of(stored)


class ClaimUpdater:
    """R3 for the tasks of one batch, within its transaction, once R2 is known."""

    def __init__(
        self,
        connection: Connection,
        tasks: dict[TaskKey, TaskChanges],
        new_claims: Mapping[ClaimKey, list[Claim]],
        stored_claims: dict[ClaimKey, StoredClaims],
        recount: dict[StepKey, StepChanges],
        *,
        steps_max: int,
    ) -> None:
        """Take the batch.

        Args:
            connection: In the batch's transaction.
            tasks: Joined with what is stored. Tasks of which a count or a flag changes are added.
            new_claims: What ``candidate_claims`` found; locked, and written where no row existed.
            stored_claims: What ``store.claims.lock`` returned.
            recount: Steps whose count may change; steps whose shadow changes are added.
            steps_max: Steps that may claim one response id before R3 is off for it.
        """
        self._connection = connection
        self._tasks = tasks
        self._new_claims = new_claims
        self._stored_claims = stored_claims
        self._recount = recount
        self._steps_max = steps_max
        self._repeats: dict[tuple[StepKey, bool], str | None] = {}  # by step and whether by call key
        self._rows: dict[ClaimKey, StoredClaims] = {}
        self._overflow_changed: set[TaskKey] = set()

    async def update(self, deleted_claims: Mapping[ClaimKey, set[str]]) -> None:
        """Write the claims, and set ``shadowed`` of every step whose answer may be another one now.

        Args:
            deleted_claims: Per key the tasks that were deleted, and whose claims are deleted with them.
        """
        changes = self._claim_changes()
        late = [key for key in changes.keys() | deleted_claims.keys() if key not in self._stored_claims and key not in self._new_claims]
        if late:  # rare: a deletion, or a step that names another response id than before. A deadlock here is retried
            empty: dict[ClaimKey, list[Claim]] = {key: [] for key in late}
            self._stored_claims.update({key: StoredClaims([]) for key in late})
            self._stored_claims.update(await claims_table.lock(self._connection, empty, self._steps_max))
        for key, task_ids in deleted_claims.items():
            stored = self._stored_claims.get(key)
            places = [(claim.task_id, claim.step_id) for claim in stored.claims if claim.task_id in task_ids] if stored is not None else []
            changes.setdefault(key, {}).update(dict.fromkeys(places))
        if not changes:
            return
        overflowing = {key for key in changes if (stored := self._stored_claims.get(key)) is not None and stored.overflow}
        spilled = [claim for key in changes if key not in overflowing for claim in self._compare(key, changes[key])]
        if overflowing or spilled:
            deleted_tasks = {(key, task_id) for key in overflowing & deleted_claims.keys() for task_id in deleted_claims[key]}
            await self._change_overflow({key: changes[key] for key in overflowing}, spilled, deleted_tasks)
        if self._rows:
            await claims_table.update(self._connection, self._rows)
        await self._apply()

    def _claim_changes(self) -> ClaimChanges:
        changes: ClaimChanges = {}
        settled: dict[ClaimKey, StepChanges] = {}
        for claim_key, new_claims in self._new_claims.items():
            fresh = claim_key not in self._stored_claims
            for claim in new_claims:
                step = self._tasks[claim_key[0], claim.task_id].steps[claim.step_id]
                if fresh and len(new_claims) == 1 and step.redocumented and not step.wrapper:
                    # the first and only step to claim it, and its row is written
                    if is_call_key(claim_key[1]):
                        step.repeats_call = None
                    else:
                        step.repeats_response = None
                    settled[claim_key] = step
                    continue
                now = claims_of_step(claim.task_id, step, step.node).get(claim_key[1])
                changes.setdefault(claim_key, {})[claim.task_id, claim.step_id] = now
        for (key, step_id), step in self._recount.items():
            project_id, task_id = key
            now = claims_of_step(task_id, step, step.node)
            if step.stored is not None:
                for released in _keys_of(step.stored.node) - now.keys():
                    changes.setdefault((project_id, released), {})[task_id, step_id] = None
            for claimed, claim in now.items():
                claim_key = (project_id, claimed)
                if settled.get(claim_key) is not step:
                    changes.setdefault(claim_key, {})[task_id, step_id] = claim
        return changes

    def _compare(self, key: ClaimKey, steps: Mapping[Place, Claim | None]) -> list[tuple[str, Claim]]:
        """A response id whose row holds its claims.

        Returns:
            With their project, all of them, when they are too many for the row now.
        """
        stored = self._stored_claims.get(key)
        before = [] if stored is None else stored.claims
        # a step that ``_claim_changes`` has settled is in the new row, and not among ``steps``
        written = {(claim.task_id, claim.step_id): claim for claim in (self._new_claims[key] if stored is None else before)}
        after = {place: claim for place, claim in written.items() if place not in steps}
        after.update((place, claim) for place, claim in steps.items() if claim is not None)
        shadowed_before = overlapping_claims(before, self._steps_max)
        if len(after) > self._steps_max:
            self._rows[key] = StoredClaims([], len(after))
            self._overflow_changed.update((key[0], task_id) for task_id, _ in after)
            self._set_repeats(key, steps.keys() | shadowed_before.keys(), after, {})
            return [(key[0], claim) for claim in after.values()]
        if after != written or not after:
            self._rows[key] = StoredClaims(list(after.values()))
        shadowed = overlapping_claims(after.values(), self._steps_max)
        changed = {place for place, _ in shadowed.items() ^ shadowed_before.items()}
        self._set_repeats(key, steps.keys() | changed, after, shadowed)
        return []

    async def _change_overflow(
        self, changes: ClaimChanges, spilled: list[tuple[str, Claim]], deleted_tasks: set[tuple[ClaimKey, str]]
    ) -> None:
        """Response ids above the limit: nothing is compared, and a batch reads and writes its own claims only.

        The count is kept by what the statements say that they inserted and deleted, so it is the number of rows.
        """
        removed: list[ClaimPlace] = []
        added = list(spilled)
        for key, steps in changes.items():
            for (task_id, step_id), claim in steps.items():
                self._overflow_changed.add((key[0], task_id))
                if claim is None:
                    removed.append((key, task_id, step_id))
                else:
                    added.append((key[0], claim))
        fewer = await claims_table.remove_overflow(self._connection, removed)  # first: a step may claim another one of them now
        fewer += await claims_table.remove_overflow_of_tasks(self._connection, deleted_tasks)
        more = await claims_table.add_overflow(self._connection, added)
        for key, steps in changes.items():
            count = self._stored_claims[key].overflow + more[key] - fewer[key]
            if count > self._steps_max:
                self._rows[key] = StoredClaims([], count)
                self._set_repeats(key, steps.keys(), {place for place, claim in steps.items() if claim is not None}, {})
                continue
            claims = await claims_table.take_overflow(self._connection, key)
            self._rows[key] = StoredClaims(claims)
            self._overflow_changed.update((key[0], claim.task_id) for claim in claims)
            shadowed = overlapping_claims(claims, self._steps_max)
            self._set_repeats(key, steps.keys() | shadowed.keys(), {claim.place for claim in claims}, shadowed)

    def _set_repeats(
        self, key: ClaimKey, places: Iterable[Place], after: Mapping[Place, Claim] | set[Place], shadowed: Mapping[Place, str]
    ) -> None:
        by_call = is_call_key(key[1])
        for task_id, step_id in places:
            step_key = ((key[0], task_id), step_id)
            if (task_id, step_id) not in after and self._claims_another(*step_key, key[1]):
                continue  # the batch named this key, and what is stored outranks it: that claim decides
            self._repeats[step_key, by_call] = self._repeats.get((step_key, by_call)) or shadowed.get((task_id, step_id))

    def _claims_another(self, key: TaskKey, step_id: str, released: str) -> bool:
        step = self._tasks[key].steps.get(step_id) if key in self._tasks else None
        claims = _NOTHING if step is None else claims_of_step(key[1], step, step.node)
        return any(claimed != released and is_call_key(claimed) is is_call_key(released) for claimed in claims)

    async def _apply(self) -> None:
        tasks, repeats = self._tasks, self._repeats
        others = sorted({key for key in {key for (key, _), _ in repeats} | self._overflow_changed if key not in tasks})
        if others:
            for key, row in (await tasks_table.lock(self._connection, others)).items():
                task = tasks[key] = TaskChanges(key, row.partition, row.first_offset, row.seen_at_us)
                task.row, task.day = row, row.day
        missing = {(key, step_id) for (key, step_id), _ in repeats if key in tasks and step_id not in tasks[key].steps}
        await load_steps(self._connection, tasks, missing)
        for ((key, step_id), by_call), task_id in repeats.items():
            step = tasks[key].steps.get(step_id) if key in tasks else None
            if step is not None:
                if by_call:
                    step.repeats_call = task_id
                else:
                    step.repeats_response = task_id
                self._recount[key, step_id] = step
        changed = [key for key in self._overflow_changed if key in tasks]
        overflowing = await claims_table.overflowing(self._connection, changed)
        for key in changed:
            tasks[key].repeated_response = key in overflowing


def _keys_of(node: Node | None) -> set[str]:
    """What the stored step may have claimed."""
    if node is None:
        return set()
    return {key for key in (node.response_id, node.call_key and CALL_PREFIX + node.call_key) if key}
