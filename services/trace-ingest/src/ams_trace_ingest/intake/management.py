"""Routes for people: delete a task, list dead letters and replay them. A deletion is answered when it is visible to readers."""

import base64
import re
import secrets
import time
from typing import Annotated, Any

import asyncpg
from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_contracts.codec import encode
from ams_contracts.events import Producer, TaskDeleted
from ams_contracts.topics import STEPS
from ams_kit.auth import principal_of, require_role
from ams_kit.errors import BadRequestError, ConflictError, NotFoundError, UnavailableError
from ams_trace_ingest.dead_letter_cli import NoSuchLetterError, parse_place, place_of, replay
from ams_trace_ingest.intake.publish import IntakeContext
from ams_trace_ingest.intake.records import pack
from ams_trace_ingest.intake.visible import VISIBLE_TIMEOUT_SECONDS, becomes_visible
from ams_trace_ingest.store import dead_letters, tasks
from ams_trace_ingest.store.connections import set_generation
from ams_trace_ingest.store.dead_letters import DeadLetter

TEXT_BYTES_MAX = 65_536
_TASK_ID = re.compile(r"[0-9a-f]{32}")
_AT_US = re.compile(r"[0-9]{1,18}")
MANAGEMENT_PRODUCER = Producer(sdk="ams-people", instance_id="intake")

AnyRequest = Request[Any, Any, Any]


class DeadLetterItem(Struct, frozen=True, kw_only=True):
    """A dead letter in a list. ``place`` names it: topic, partition, offset, index of the event (-1: the whole record)."""

    place: str
    projection: str
    task_id: str | None
    reason: str
    detail: str
    bytes: int
    at_us: int
    replayed_at_us: int | None


class DeadLetterPage(Struct, frozen=True, kw_only=True):
    """Dead letters of a project, the newest first."""

    items: list[DeadLetterItem]
    next_cursor: str | None


class DeadLetterDetail(Struct, frozen=True, kw_only=True):
    """One dead letter with its first 64 KiB: as text, and as base64 when it is no UTF-8."""

    letter: DeadLetterItem
    text: str | None
    base64: str | None


@delete("/api/ingest/{project:str}/tasks/{task:str}", status_code=204, summary="Delete a task")
async def delete_task(request: AnyRequest, state: State, access: NamedDependency[Access], task: FromPath[str]) -> None:
    """Deletes the task's rows. Later events of the task are ignored; the log keeps its records until its retention. Requires the role member."""
    require_role(access, Role.MEMBER)
    intake: IntakeContext = state.intake
    missing = NotFoundError("There is no such task.", code="task_not_found")
    if _TASK_ID.fullmatch(task) is None:
        raise missing
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        if not await tasks.exists(connection, access.project_id, task):
            raise missing
    now_us = time.time_ns() // 1_000
    event = TaskDeleted(event_id=secrets.token_hex(16), seq=0, at_us=now_us, by=principal_of(request).user_id)
    records = pack(STEPS, access.project_id, task, MANAGEMENT_PRODUCER, [encode(event)], key_id="")
    (position,) = await intake.log.publish(records)
    if not await becomes_visible(intake.pool, position):
        raise UnavailableError(
            "The deletion is written but not visible yet: the projector is behind. Read the task again later.", code="not_yet_visible"
        )


@get("/api/ingest/{project:str}/dead-letters", summary="List what could not be stored")
async def list_dead_letters(
    state: State,
    access: NamedDependency[Access],
    limit: FromQuery[Annotated[int, QueryParameter(ge=1, le=500)]] = 50,
    cursor: FromQuery[str | None] = None,
) -> DeadLetterPage:
    """Events of this project that could not be stored, with the reason and the place in the log."""
    intake: IntakeContext = state.intake
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        letters = await dead_letters.page(connection, project_id=access.project_id, limit=limit + 1, before=_before(cursor))
    more = len(letters) > limit
    return DeadLetterPage(items=[_item(letter) for letter in letters[:limit]], next_cursor=_cursor(letters[limit - 1]) if more else None)


@get("/api/ingest/{project:str}/dead-letters/{place:path}", summary="Show a dead letter")
async def show_dead_letter(state: State, access: NamedDependency[Access], place: FromPath[str]) -> DeadLetterDetail:
    """A dead letter with its first 64 KiB."""
    intake: IntakeContext = state.intake
    letter = await _find(intake.pool, access, place)
    head = letter.bytes[:TEXT_BYTES_MAX]
    try:
        return DeadLetterDetail(letter=_item(letter), text=head.decode(), base64=None)
    except UnicodeDecodeError:
        return DeadLetterDetail(letter=_item(letter), text=None, base64=base64.b64encode(head).decode())


@post("/api/ingest/{project:str}/dead-letters/{place:path}", status_code=202, summary="Replay a dead letter")
async def replay_dead_letter(state: State, access: NamedDependency[Access], place: FromPath[str]) -> DeadLetterItem:
    """Publish the event again. If it still cannot be stored, it becomes a new dead letter. Requires the role member."""
    require_role(access, Role.MEMBER)
    intake: IntakeContext = state.intake
    letter = await _find(intake.pool, access, place)
    try:
        await replay(intake.pool, intake.log, [letter], time.time_ns() // 1_000)
    except NoSuchLetterError as error:
        raise ConflictError(str(error), code="not_replayable") from error
    return _item(await _find(intake.pool, access, place))


async def _find(pool: asyncpg.Pool, access: Access, place: str) -> DeadLetter:
    missing = NotFoundError("There is no such dead letter.", code="dead_letter_not_found")
    try:
        topic, partition, offset, index = parse_place(place.strip("/"))
    except NoSuchLetterError as error:
        raise missing from error
    async with pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        letter = await dead_letters.one(connection, topic=topic, partition=partition, offset=offset, index=index)
    if letter is None or letter.project_id != access.project_id:
        raise missing
    return letter


def _item(letter: DeadLetter) -> DeadLetterItem:
    return DeadLetterItem(
        place=place_of(letter),
        projection=letter.projection,
        task_id=letter.task_id,
        reason=letter.reason,
        detail=letter.detail,
        bytes=len(letter.bytes),
        at_us=letter.at_us,
        replayed_at_us=letter.replayed_at_us,
    )


def _cursor(letter: DeadLetter) -> str:
    return f"{letter.at_us}/{place_of(letter)}"


def _before(cursor: str | None) -> tuple[int, str, int, int, int] | None:
    if cursor is None:
        return None
    at_us, _, place = cursor.partition("/")
    foreign = BadRequestError("The cursor is not valid for this list. Request the first page without a cursor.", code="bad_cursor")
    if _AT_US.fullmatch(at_us) is None:
        raise foreign
    try:
        return int(at_us), *parse_place(place)
    except NoSuchLetterError as error:
        raise foreign from error
