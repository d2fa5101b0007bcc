"""Where a text occurs in the contents of one task: inputs, outputs, stacks, logs, parameters and errors of its steps.

The text index finds words in all tasks; a person who filters the steps of one task types parts of words. So the texts of the task are
read, a window of steps at a time and for a limited time; the cursor continues after the last step that was read.
"""

import time
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import ColumnElement, func, literal, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from ams_contracts.claims import Access
from ams_contracts.documents import Slot
from ams_contracts.tables import step_payloads, steps
from ams_kit.auth import SHARED, Shared
from ams_kit.errors import BadRequestError
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, Parameter, hex_id, read_parameters, with_parameters
from ams_trace_query.skeleton import LARGE_STEPS
from ams_trace_query.tasks import find_task

TEXT_CHARS_MIN = 2
TEXT_CHARS_MAX = 200
WINDOW_STEPS = 1_000  # with their payloads; an eighth of them after a window that took too long
WINDOW_MS_MAX = 1_500
SCAN_SECONDS_MAX = 1.0
MATCHES_MAX = 5_000
_SEARCHED = [slot.value for slot in (Slot.INPUT, Slot.OUTPUT, Slot.ERROR_STACK, Slot.LOGS)]

TEXT = Parameter(
    name="text",
    description="The text to find, in upper or lower case; no wildcards.",
    schema={"type": OpenAPIType.STRING, "min_length": TEXT_CHARS_MIN, "max_length": TEXT_CHARS_MAX},
)
_PARAMETERS = (TEXT, CURSOR)


class Match(Struct, frozen=True, kw_only=True):
    """A step whose contents have the text.

    Attributes:
        step_id: 16 hex digits.
        places: Where: input, output, error_stack, logs, parameters, error or preview.
    """

    step_id: str
    places: list[str]


class MatchPage(Struct, frozen=True, kw_only=True):
    """The matches in the steps that were read, by step id. With ``next_cursor`` there are more steps to read, even if ``items`` is empty."""

    items: list[Match]
    next_cursor: str | None


@get(
    "/tasks/{task:str}/matches",
    operation_class=with_parameters(*_PARAMETERS),
    operation_id="listTaskMatches",
    responses=PROBLEMS,
    opt={SHARED: Shared.CONTENTS},
)
async def list_task_matches(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> MatchPage:
    """Find a text in the inputs, outputs and errors of a task's steps."""
    context = context_of(request)
    query = read_parameters(request, _PARAMETERS)
    task_id = hex_id(task, 32, "task")
    text = (query.text_of("text") or "").lower()
    if not TEXT_CHARS_MIN <= len(text) <= TEXT_CHARS_MAX:
        raise BadRequestError(f"text must have {TEXT_CHARS_MIN} to {TEXT_CHARS_MAX} characters.", code="bad_text")
    bound = (access.project_id, "matches", task_id, text)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, [])
        heavy = await reader.row(_beyond_small(_steps_of(access.project_id, task_id, found["day"]))) is not None
    async with slot_if(context.heavy_queries, heavy), context.database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, [])
        scan = _Scan(reader, access.project_id, task_id, found["day"], text)
        last = await scan.run("" if after is None else after[0])
    return MatchPage(
        items=[Match(step_id=step, places=sorted(places)) for step, places in scan.matches.items()],
        next_cursor=None if last is None else context.cursors.seal(bound, (last,)),
    )


class _Scan:
    def __init__(self, reader: SnapshotReader, project_id: str, task_id: str, day: Any, text: str) -> None:
        self._reader = reader
        self._steps = _steps_of(project_id, task_id, day)
        payload = step_payloads.c
        self._payloads = [
            payload.project_id == project_id,
            payload.task_id == task_id,
            payload.day == day,
            payload.slot == func.any(literal(_SEARCHED, ARRAY(Text))),
        ]
        self._text = literal(text, Text)
        self.matches: dict[str, set[str]] = {}

    async def run(self, after: str) -> str | None:
        """Read windows until the end, or until time or matches are used up; the last step that was read, null at the end."""
        deadline = time.monotonic() + SCAN_SECONDS_MAX
        window = WINDOW_STEPS
        while True:
            ids = await self._reader.rows(
                select(steps.c.step_id).where(*self._steps, steps.c.step_id > after).order_by(steps.c.step_id).limit(window)
            )
            if not ids:
                return None
            last = ids[-1]["step_id"]
            row = await self._reader.row_within(self._matches(after, last), WINDOW_MS_MAX)
            if row is None and window > 1:
                window = max(1, window // 8)
                continue
            for step_id, place in zip((row and row["step_ids"]) or [], (row and row["places"]) or [], strict=True):
                self.matches.setdefault(step_id, set()).add(place)
            after = last
            if len(ids) < window:
                return None
            if time.monotonic() > deadline or len(self.matches) >= MATCHES_MAX:
                return after

    def _matches(self, after: str, last: str) -> Statement:
        """The steps and places of one window, as one row."""
        window = [steps.c.step_id > after, steps.c.step_id <= last]
        columns: dict[str, ColumnElement[Any]] = {
            "error": func.concat_ws(" ", steps.c.error_type, steps.c.error_message),
            "parameters": steps.c.rest["parameters"].astext,
            "preview": func.concat_ws(" ", steps.c.preview_input, steps.c.preview_output),
        }
        parts = [
            select(steps.c.step_id, literal(place, Text).label("place")).where(*self._steps, *window, self._has(column))
            for place, column in columns.items()
        ]
        payload = step_payloads.c
        parts.append(
            select(payload.step_id, payload.slot.label("place")).where(
                *self._payloads, payload.step_id > after, payload.step_id <= last, self._has(payload.text)
            )
        )
        hits = union_all(*parts).subquery("hits")
        return select(func.array_agg(hits.c.step_id).label("step_ids"), func.array_agg(hits.c.place).label("places"))

    def _has(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return func.strpos(func.lower(column), self._text) > literal_column("0")


def _steps_of(project_id: str, task_id: str, day: Any) -> list[ColumnElement[bool]]:
    return [steps.c.project_id == project_id, steps.c.task_id == task_id, steps.c.day == day]


def _beyond_small(mine: list[ColumnElement[bool]]) -> Statement:
    """A row when the task has more than 5,000 steps."""
    return select(steps.c.step_id).where(*mine).offset(LARGE_STEPS).limit(1)
