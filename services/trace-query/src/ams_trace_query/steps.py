"""Steps: windows of one task in chronological order, a single step with its payloads, and the search across tasks."""

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import func as sql
from sqlalchemy import literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.documents import Slot
from ams_contracts.fold import PHASE_ENDED
from ams_contracts.tables import step_payloads, steps
from ams_contracts.views import Step, step_view
from ams_kit.auth import SHARED, Shared
from ams_kit.errors import BadRequestError
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, FROM, LIMIT, STEP_IDS, TO, Q, hex_id, not_found, read_parameters, with_parameters
from ams_trace_query.rows import STEP_COLUMNS, position_text
from ams_trace_query.search.compile import required, step_condition
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.parse import parse
from ams_trace_query.search.text import candidate_steps, common_words, is_among, look_up_words, read_text_index_lag
from ams_trace_query.search.windowed_scan import Budget, ScanResult, indexed_clauses, is_indexed_for_steps, windowed_scan
from ams_trace_query.sharing import slots_for, steps_for
from ams_trace_query.tasks import find_task

_WINDOW = (STEP_IDS, LIMIT, CURSOR)
_SEARCH = (Q, FROM, TO, LIMIT, CURSOR)
_WINDOW_SORT = "started_at_us, seq, step_id"
_SEARCH_SORT = "started_at_us desc, step_id, task_id"
_ALWAYS_SHOWN = (Slot.INPUT, Slot.OUTPUT)
_EVERY_SLOT = frozenset(Slot)

RECENT_STEPS = 10_000  # about 20 ms
WINDOW_STEPS = 2_000  # of which a search looks at first
WINDOW_STEPS_BY_WORDS = 500  # where the texts of each are looked at
_TIE = tuple_(steps.c.step_id, steps.c.task_id)

NOT_CAPTURED = "not_captured"
NOT_HERE_YET = "not_here_yet"
TOO_LARGE = "too_large"
NOT_SHARED = "not_shared"


class StepWindow(Struct, frozen=True, kw_only=True):
    """Steps of one task in chronological order; steps without a known start come last."""

    items: list[Step]
    next_cursor: str | None
    position: str | None


class StepPage(Struct, frozen=True, kw_only=True):
    """Steps across tasks, newest first; steps without a known start come last.

    When ``q`` has words, ``text_lag_records`` is the number of records of the log that are not in the text index yet, and ``text_until_us`` the
    time up to which all of them are; null when the index is current.

    ``scanned_back_to_us`` is not null when the search reached its time limit: the page then has the matches among steps that started at or after
    that time, possibly none, and ``next_cursor`` continues from there.
    """

    items: list[Step]
    next_cursor: str | None
    text_lag_records: int | None
    text_until_us: int | None
    scanned_back_to_us: int | None


class Payload(Struct, frozen=True, kw_only=True):
    """An input, an output, a stack trace or the original span.

    ``bytes`` is the original length; with ``truncated``, ``text`` is only its beginning. When ``text`` is null, ``absent`` is the reason:
    not_captured, not_here_yet, too_large, or not_shared for visitors of a link that does not show contents.
    """

    slot: Slot
    mime: str | None
    text: str | None
    bytes: int | None
    truncated: bool
    absent: str | None


class StepAnswer(Struct, frozen=True, kw_only=True):
    """A step with its payloads: always input and output, the others when they exist."""

    step: Step
    payloads: list[Payload]


@get(
    "/tasks/{task:str}/steps",
    operation_class=with_parameters(*_WINDOW),
    operation_id="listTaskSteps",
    responses=PROBLEMS,
    opt={SHARED: Shared.STRUCTURE},
)
async def list_task_steps(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> StepWindow:
    """List steps of one task in chronological order, or the steps with the given ids."""
    context = context_of(request)
    query = read_parameters(request, _WINDOW)
    task_id = hex_id(task, 32, "task")
    limit = query.limit()
    ids = [hex_id(item, 16, "step") for item in query.list_of("step_id")]
    if ids and "cursor" in query.values:
        raise BadRequestError("step_id and cursor cannot be combined. Send one of them.", code="bad_cursor")
    bound = (access.project_id, "tasks/steps", task_id, _WINDOW_SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)

    async with context.database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, [])
        mine = (
            *of_task(access.project_id, task_id, found["day"]),
            *((steps.c.step_id == sql.any(literal(ids, ARRAY(Text))),) if ids else ()),
        )
        rows = await step_window(reader, mine, after, len(ids) + 1 if ids else limit + 1)

    shown = rows if ids else rows[:limit]
    return StepWindow(
        items=steps_for(request, [step_view(row) for row in shown]),
        next_cursor=context.cursors.seal(bound, window_key(shown[-1])) if len(rows) > len(shown) else None,
        position=position_text(found["partition"], found["next_offset"]),
    )


@get(
    "/tasks/{task:str}/steps/{step:str}",
    operation_class=with_parameters(),
    operation_id="getStep",
    responses=PROBLEMS,
    opt={SHARED: Shared.STRUCTURE},
)
async def get_step(
    request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str], step: FromPath[str]
) -> StepAnswer:
    """Read one step with its payloads; an absent payload has a reason."""
    read_parameters(request, ())
    task_id, step_id = hex_id(task, 32, "task"), hex_id(step, 16, "step")
    async with context_of(request).database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, [])
        mine = of_task(access.project_id, task_id, found["day"])
        row = await reader.row(select(*STEP_COLUMNS).where(*mine, steps.c.step_id == step_id).limit(1))
        if row is None:
            raise not_found("step")
        shown = slots_for(request)
        stored = await reader.rows(_payloads(access.project_id, task_id, step_id, found["day"])) if shown else []
    view = step_view(row)
    payloads = payloads_of(view, row["stamp_phase"] == PHASE_ENDED, {item["slot"]: item for item in stored}, shown)
    return StepAnswer(step=steps_for(request, [view])[0], payloads=payloads)


@get("/steps", operation_class=with_parameters(*_SEARCH), operation_id="searchSteps", responses=PROBLEMS)
async def search_steps(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> StepPage:
    """Search steps across the tasks of a project, newest first."""
    context = context_of(request)
    query = read_parameters(request, _SEARCH)
    limit = query.limit()
    start, end = query.time_range(context.now())
    tree = parse(query.text_of("q") or "")
    bound = (access.project_id, "steps", {"q": query.text_of("q"), "from": start, "to": end}, _SEARCH_SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    within = _started(start, end)

    async with slot_if(context.heavy_queries, tree is not None), context.database.read(access.project_id) as reader:
        found = await look_up_words(reader, tree, [] if after is None else after[4])
        common = common_words(found)
        budget = Budget(time.monotonic() + context.search_seconds_max, WINDOW_STEPS_BY_WORDS if common else WINDOW_STEPS)
        mine = [steps.c.project_id == access.project_id]
        condition = step_condition(tree, found)
        search = Search([*mine, *([] if condition is None else [condition])], within, after, limit + 1)
        few = candidate_steps(tree, found)
        recent_us = await _recent_from_us(reader, mine, within, after) if few is not None else None
        if condition is None:
            scan = ScanResult(await _indexed_page(reader, search), None)
        elif few is None or recent_us is None:
            index = [*mine, *(required(step_condition(clause)) for clause in indexed_clauses(tree, is_indexed_for_steps))]
            scan = await _scan(reader, search, index, budget)
        else:
            async with reader.index_lookups_only():
                of_word = await _indexed_page(reader, search.where(is_among(few))) if few else []
            recent = await _indexed_page(reader, search.since(recent_us))
            scan = ScanResult(_merge(of_word, recent, limit + 1), None)
        text_lag = await read_text_index_lag(reader) if found else None

    shown = scan.rows[:limit]
    key: tuple[int | None, str, str] | None = None
    if len(scan.rows) > limit:
        key = _search_key(shown[-1])
    elif scan.scanned_back_to_us is not None:
        key = (scan.scanned_back_to_us - 1, "", "")
    return StepPage(
        items=[step_view(row) for row in shown],
        next_cursor=None if key is None else context.cursors.seal(bound, (*key, recent_us, common)),
        text_lag_records=None if text_lag is None else text_lag.records,
        text_until_us=None if text_lag is None else text_lag.searchable_until_us,
        scanned_back_to_us=scan.scanned_back_to_us,
    )


def payloads_of(step: Step, ended: bool, stored: Mapping[Any, Any], shown: frozenset[Slot] = _EVERY_SLOT) -> list[Payload]:
    """The payloads of a step in the response.

    Args:
        step: The row of the step, which has what was captured and what was too large.
        ended: Whether the step has ended. The output of an open step may still arrive.
        stored: Rows of ``step_payloads`` by slot.
        shown: What the caller may see. Of the others, input and output say so, and the rest is left out.
    """
    found = {slot for slot in Slot if slot in stored or slot in step.captured or slot in step.too_large} & shown
    return [
        _payload(slot, step, ended, stored.get(slot)) if slot in shown else _absent(slot, NOT_SHARED)
        for slot in Slot
        if slot in found or slot in _ALWAYS_SHOWN
    ]


def _payload(slot: Slot, step: Step, ended: bool, row: Any) -> Payload:
    if row is not None:
        return Payload(slot=slot, mime=row["mime"], text=row["text"], bytes=row["bytes"], truncated=row["truncated"], absent=None)
    if slot in step.too_large:
        absent = TOO_LARGE
    elif slot in step.captured or (slot == Slot.OUTPUT and not ended):
        absent = NOT_HERE_YET
    else:
        absent = NOT_CAPTURED
    return _absent(slot, absent)


def _absent(slot: Slot, absent: str) -> Payload:
    return Payload(slot=slot, mime=None, text=None, bytes=None, truncated=False, absent=absent)


def of_task(project_id: str, task_id: str, day: date) -> tuple[Condition, ...]:
    """The conditions that choose the steps of a task."""
    # with the day, Postgres reads one partition only
    return steps.c.project_id == project_id, steps.c.task_id == task_id, steps.c.day == day


def _payloads(project_id: str, task_id: str, step_id: str, day: date) -> Statement:
    table = step_payloads.c
    return (
        select(table.slot, table.mime, table.text, table.bytes, table.truncated)
        .where(table.project_id == project_id, table.task_id == task_id, table.step_id == step_id, table.day == day)
        .limit(len(Slot))
    )


def window_key(row: Any) -> tuple[int | None, int, str]:
    """Where the window after this row begins."""
    return row["started_at_us"], row["seq"], row["step_id"]


def _search_key(row: Any) -> tuple[int | None, str, str]:
    return row["started_at_us"], row["step_id"], row["task_id"]


async def step_window(
    reader: SnapshotReader, mine: tuple[Condition, ...], after: Sequence[Any] | None, limit: int, columns: Sequence[Any] = STEP_COLUMNS
) -> list[Any]:
    """Select the steps of a task: those with a start in chronological order, then those without.

    Args:
        reader: A snapshot.
        mine: The conditions that choose the task's steps.
        after: ``window_key`` of the last row of the previous window.
        limit: The most rows.
        columns: What is read of each.
    """
    rows: list[Any] = []
    known = select(*columns).where(*mine, steps.c.started_at_us.is_not(None))
    if after is None or after[0] is not None:
        if after is not None:
            row_key = tuple_(steps.c.started_at_us, steps.c.seq, steps.c.step_id)
            known = known.where(row_key > tuple_(literal(after[0], BigInteger), literal(after[1], BigInteger), literal(after[2], Text)))
        rows = await reader.rows(known.order_by(steps.c.started_at_us, steps.c.seq, steps.c.step_id).limit(limit))
        after = None
    if len(rows) < limit:
        unknown = select(*columns).where(*mine, steps.c.started_at_us.is_(None))
        if after is not None:
            unknown = unknown.where(tuple_(steps.c.seq, steps.c.step_id) > tuple_(literal(after[1], BigInteger), literal(after[2], Text)))
        rows += await reader.rows(unknown.order_by(steps.c.seq, steps.c.step_id).limit(limit - len(rows)))
    return rows


def _started(start: int | None, end: int | None) -> list[Condition]:
    conditions: list[Condition] = []
    if start is not None:
        conditions.append(steps.c.started_at_us >= literal(start, BigInteger))
    if end is not None:
        conditions.append(steps.c.started_at_us < literal(end, BigInteger))
    return conditions


async def _recent_from_us(reader: SnapshotReader, mine: list[Condition], within: list[Condition], after: list[Any] | None) -> int | None:
    """The start of the 10,000th newest step; null when there are fewer. Substring search in names and previews reads only newer steps.

    Without this limit, a rare word would be searched in all steps. All pages of one search use the same limit.
    """
    if after is not None:
        return after[3]
    newest = (
        select(steps.c.started_at_us)
        .where(*mine, steps.c.started_at_us.is_not(None), *within)
        .order_by(steps.c.started_at_us.desc())
        .offset(RECENT_STEPS)
        .limit(1)
    )
    row = await reader.row(newest)
    return None if row is None else row["started_at_us"]


def _merge(one: list[Any], two: list[Any], limit: int) -> list[Any]:
    """Merge two results in the order of the search. Rows without a start come last."""
    rows = {_search_key(row): row for row in (*one, *two)}
    keys = sorted(rows, key=lambda key: (key[0] is None, -(key[0] or 0), key[1], key[2]))
    return [rows[key] for key in keys[:limit]]


class Search(Struct, frozen=True):
    """A search for steps of a project.

    Attributes:
        mine: The condition for the project and the filters.
        within: The requested range of starts.
        after: The cursor.
        limit: Maximum number of rows.
    """

    mine: list[Condition]
    within: list[Condition]
    after: list[Any] | None
    limit: int

    def where(self, condition: Condition) -> "Search":
        """The search with another condition."""
        return replace(self, mine=[*self.mine, condition])

    def since(self, at_us: int) -> "Search":
        """The search limited to steps that started at or after a time."""
        return replace(self, within=[*self.within, steps.c.started_at_us >= literal(at_us, BigInteger)])

    @property
    def range(self) -> list[Condition]:
        """The condition on starts: the requested range, after the cursor."""
        if self.after is None or self.after[0] is None:
            return self.within
        return [*self.within, steps.c.started_at_us <= literal(self.after[0], BigInteger)]

    def known(self, more: Sequence[Condition], limit: int) -> Statement:
        """Select steps with a start, newest first, with further conditions."""
        chosen = select(*STEP_COLUMNS).where(*self.mine, *self.range, steps.c.started_at_us.is_not(None), *more)
        if self.after is not None and self.after[0] is not None:
            later = tuple_(literal(self.after[1], Text), literal(self.after[2], Text)) < _TIE
            chosen = chosen.where((steps.c.started_at_us < literal(self.after[0], BigInteger)) | later)
        return chosen.order_by(steps.c.started_at_us.desc(), steps.c.step_id, steps.c.task_id).limit(limit)

    @property
    def is_past_known(self) -> bool:
        """Whether the cursor is past the steps with a start."""
        return self.after is not None and self.after[0] is None

    async def unknown(self, reader: SnapshotReader, limit: int) -> list[Any]:
        """Select steps without a start. They come last, and match no time range."""
        if self.within or limit <= 0:
            return []
        chosen = select(*STEP_COLUMNS).where(*self.mine, steps.c.started_at_us.is_(None))
        if self.after is not None and self.after[0] is None:
            chosen = chosen.where(tuple_(literal(self.after[1], Text), literal(self.after[2], Text)) < _TIE)
        return await reader.rows(chosen.order_by(steps.c.step_id, steps.c.task_id).limit(limit))


async def _indexed_page(reader: SnapshotReader, search: Search) -> list[Any]:
    """Read the page of a search that an index supports."""
    rows = [] if search.is_past_known else await reader.rows(search.known([], search.limit))
    return rows + await search.unknown(reader, search.limit - len(rows))


async def _scan(reader: SnapshotReader, search: Search, index: list[Condition], budget: Budget) -> ScanResult:
    """Read the page, or the matches found within the time limit."""
    scan = ScanResult([], None)
    if not search.is_past_known:
        scan = await windowed_scan(reader, steps.c.started_at_us, [*index, *search.range], search.known, limit=search.limit, budget=budget)
    if scan.scanned_back_to_us is not None:
        return scan
    return ScanResult(scan.rows + await search.unknown(reader, search.limit - len(scan.rows)), None)
