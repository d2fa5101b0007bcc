"""Payloads of several steps of a task at once: what a view of the conversation reads as it scrolls."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from ams_contracts.claims import Access
from ams_contracts.documents import Slot
from ams_contracts.fold import PHASE_ENDED
from ams_contracts.tables import step_payloads, steps
from ams_contracts.views import step_view
from ams_kit.auth import SHARED, Shared
from ams_kit.errors import BadRequestError
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import STEP_IDS, Parameter, QueryParameters, hex_id, read_parameters, with_parameters
from ams_trace_query.rows import STEP_COLUMNS
from ams_trace_query.search.filters import Condition
from ams_trace_query.sharing import slots_for, steps_for
from ams_trace_query.steps import StepAnswer, payloads_of
from ams_trace_query.tasks import find_task

_SLOTS = (Slot.INPUT, Slot.OUTPUT)
_ALLOWED = (*_SLOTS, Slot.ORIGINAL)
SLOTS = Parameter(
    name="slots",
    description="Which payloads, comma-separated: input, output, original. Without it, input and output.",
    schema={"type": OpenAPIType.STRING, "max_length": 64},
)
_PARAMETERS = (STEP_IDS, SLOTS)
TEXT_BYTES_MAX = 4_194_304
"""The texts of one response, in bytes: a step that begins below this limit is complete, so a response may be one step longer."""


class StepPayloads(Struct, frozen=True, kw_only=True):
    """Steps with their input and output, or the payloads asked for, in the order in which they were asked for. A step that does not exist is left out.

    ``omitted`` lists the steps that did not fit: ask for them again. It never has the first one.
    """

    items: list[StepAnswer]
    omitted: list[str]


@get(
    "/tasks/{task:str}/payloads",
    operation_class=with_parameters(*_PARAMETERS),
    operation_id="listStepPayloads",
    responses=PROBLEMS,
    opt={SHARED: Shared.CONTENTS},
)
async def list_step_payloads(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> StepPayloads:
    """Read the inputs and outputs of several steps of one task, up to 4 MiB of text."""
    query = read_parameters(request, _PARAMETERS)
    task_id = hex_id(task, 32, "task")
    slots = [slot for slot in _slots(query) if slot in slots_for(request)]
    ids = list(dict.fromkeys(hex_id(item, 16, "step") for item in query.list_of("step_id")))
    async with context_of(request).database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, [])
        mine = (
            step_payloads.c.project_id == access.project_id,
            step_payloads.c.task_id == task_id,
            step_payloads.c.day == found["day"],
            step_payloads.c.slot == sql.any(literal([slot.value for slot in slots], ARRAY(Text))),
        )
        sizes = {row["step_id"]: row["size"] for row in await reader.rows(_sizes(mine, ids))}
        chosen = _that_fit(ids, sizes)
        rows = await reader.rows(
            select(*STEP_COLUMNS)
            .where(
                steps.c.project_id == access.project_id,
                steps.c.task_id == task_id,
                steps.c.day == found["day"],
                _among(steps.c.step_id, chosen),
            )
            .limit(len(chosen) + 1)
        )
        stored = await reader.rows(_texts(mine, chosen))

    texts: dict[str, dict[str, Any]] = {}
    for row in stored:
        texts.setdefault(row["step_id"], {})[row["slot"]] = row
    by_id = {row["step_id"]: row for row in rows}
    items: list[StepAnswer] = []
    for step_id in chosen:
        if (row := by_id.get(step_id)) is not None:
            view = step_view(row)
            shown = payloads_of(view, row["stamp_phase"] == PHASE_ENDED, texts.get(step_id, {}))
            items.append(StepAnswer(step=steps_for(request, [view])[0], payloads=[payload for payload in shown if payload.slot in slots]))
    return StepPayloads(items=items, omitted=ids[len(chosen) :])


def _slots(query: QueryParameters) -> list[Slot]:
    words = query.list_of("slots")
    if not set(words) <= set(_ALLOWED):
        raise BadRequestError(f"slots takes {', '.join(_ALLOWED)}.", code="bad_slots")
    return [slot for slot in _ALLOWED if slot in (words or _SLOTS)]


def _that_fit(ids: Sequence[str], sizes: dict[str, int]) -> list[str]:
    """The first steps, until their texts exceed the limit."""
    chosen: list[str] = []
    total = 0
    for step_id in ids:
        if total >= TEXT_BYTES_MAX:
            break
        chosen.append(step_id)
        total += sizes.get(step_id, 0)
    return chosen


def _among(column: Any, ids: Sequence[str]) -> Condition:
    return column == sql.any(literal(list(ids), ARRAY(Text)))


def _sizes(mine: Sequence[Condition], ids: Sequence[str]) -> Statement:
    # the length of a text that is stored out of line is known without reading it
    table = step_payloads.c
    return (
        select(table.step_id, sql.sum(sql.octet_length(table.text)).label("size"))
        .where(*mine, _among(table.step_id, ids))
        .group_by(table.step_id)
        .limit(len(ids) + 1)
    )


def _texts(mine: Sequence[Condition], ids: Sequence[str]) -> Statement:
    table = step_payloads.c
    return (
        select(table.step_id, table.slot, table.mime, table.text, table.bytes, table.truncated)
        .where(*mine, _among(table.step_id, ids))
        .limit(len(ids) * len(_ALLOWED) + 1)
    )
