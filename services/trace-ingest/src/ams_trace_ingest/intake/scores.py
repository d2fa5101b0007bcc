"""Scores over REST: people judge in the explorer, programs with an API key. Both become ``score.recorded`` events in the log."""

import re
import secrets
import time
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, delete, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct
from msgspec.structs import replace

from ams_contracts.claims import Access, Role, Scope
from ams_contracts.codec import encode
from ams_contracts.events import SCORE_MAX, Producer, ScoreRecorded
from ams_contracts.ids import StepId, TaskId, Word
from ams_contracts.positions import Position
from ams_contracts.scores import PERSON_PREFIX, number_and_label, person_author
from ams_contracts.topics import STEPS
from ams_kit.auth import KEY_SCOPE, KeyPrincipal, any_principal_of, require_role
from ams_kit.errors import ForbiddenError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.telemetry.metrics import EVENTS_ACCEPTED
from ams_trace_ingest.intake.publish import PUBLISH_TIMEOUT_SECONDS, IntakeContext
from ams_trace_ingest.intake.records import pack
from ams_trace_ingest.intake.visible import VISIBLE_TIMEOUT_SECONDS, becomes_visible
from ams_trace_ingest.store import scores, tasks
from ams_trace_ingest.store.connections import set_generation

BODY_BYTES_MAX = 32_768
SCORE_PRODUCER = Producer(sdk="ams-rest", instance_id="intake")
_TASK_ID = re.compile(r"[0-9a-f]{32}")
_STEP_ID = re.compile(r"[0-9a-f]{16}")
_SCORE_ID = re.compile(r"[A-Za-z0-9._:-]{1,256}")
_SCORE_ID_CHARS_MAX = 256

AnyRequest = Request[Any, Any, Any]


class NewScore(Struct, frozen=True, kw_only=True):
    """A judgement of a task, or of one of its steps.

    Attributes:
        task_id: The task, 32 hex digits.
        step_id: The step that is judged; null: the whole task.
        name: What is judged, such as ``helpful``.
        value: A number, a boolean, or a category as text. Without it the score is a note, and needs a comment.
        comment: Why.
        score_id: Names the score, so that sending it again replaces it. Without it every request makes another score.
        source: Who judges: ``human`` (the only one for signed-in people, and their default), ``model`` or ``code`` (the default for API keys).
        author: Only with an API key: whom the program asked, such as the id of a user of the agent, or the name of the judging model.
    """

    task_id: TaskId
    step_id: StepId | None = None
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    value: bool | Annotated[float, Meta(ge=-SCORE_MAX, le=SCORE_MAX)] | Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    comment: Annotated[str, Meta(max_length=4_096)] | None = None
    score_id: Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema={"pattern": "^[A-Za-z0-9._:-]+$"})] | None = None
    source: Literal["human", "model", "code"] | None = None
    author: Word | None = None


class RecordedScore(Struct, frozen=True, kw_only=True):
    """A score that is durable in the log.

    Attributes:
        score_id: Names it, to change or remove it.
        task_id: The task.
        step_id: The step; null: of the whole task.
        name: What is judged.
        number: The number; 1 or 0 for a boolean, null for a category.
        label: The category; ``true`` or ``false`` for a boolean, null for a number.
        comment: Why.
        source: ``human``, ``model`` or ``code``.
        author: ``user:<user_id>`` for a signed-in person, else what the program named.
        at_us: When it was recorded, microseconds since the epoch.
        visible: Whether readers see it already. Requests with an API key do not wait for that, so it is false there.
    """

    score_id: str
    task_id: str
    step_id: str | None
    name: str
    number: float | None
    label: str | None
    comment: str | None
    source: str
    author: str | None
    at_us: int
    visible: bool


_new_score = msgspec.json.Decoder(NewScore)


@post(
    "/api/ingest/{project:str}/scores",
    status_code=200,
    operation_class=with_json_body(NewScore),
    opt={KEY_SCOPE: Scope.INGEST},
    summary="Record a score",
)
async def record_score(request: AnyRequest, state: State, access: NamedDependency[Access]) -> RecordedScore:
    """Record a score of a task or a step, or replace the one with the same ``score_id``.

    People need the role member; programs an API key with the scope ``ingest``. A program may score a task that has not arrived yet.
    """
    intake: IntakeContext = state.intake
    is_program = isinstance(any_principal_of(request), KeyPrincipal)
    if not is_program:
        require_role(access, Role.MEMBER)
    given = await read_json(request, _new_score, bytes_max=BODY_BYTES_MAX)
    event = _of_program(given) if is_program else _of_person(given, person_author(access.user_id))
    if not is_program:
        await _require_task(intake, access.project_id, given.task_id)
    position = await _publish(intake, access.project_id, given.task_id, event, key_id=_key_id(request))
    visible = not is_program and await becomes_visible(intake.pool, position)
    return RecordedScore(
        task_id=given.task_id,
        visible=visible,
        **{name: getattr(event, name) for name in RecordedScore.__struct_fields__ if name not in {"task_id", "visible"}},
    )


@delete(
    "/api/ingest/{project:str}/tasks/{task:str}/scores/{score:str}",
    status_code=204,
    opt={KEY_SCOPE: Scope.INGEST},
    summary="Remove a score",
)
async def remove_score(
    request: AnyRequest, state: State, access: NamedDependency[Access], task: FromPath[str], score: FromPath[str]
) -> None:
    """Remove a score. A person's score is removed by that person or by an owner; one of a program also by an API key with the scope ``ingest``."""
    intake: IntakeContext = state.intake
    is_program = isinstance(any_principal_of(request), KeyPrincipal)
    if not is_program:
        require_role(access, Role.MEMBER)
    missing = NotFoundError("There is no such score.", code="score_not_found")
    if _TASK_ID.fullmatch(task) is None or len(score) > _SCORE_ID_CHARS_MAX or "\0" in score:
        raise missing
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        stored = await scores.find(connection, (access.project_id, task, score))
    if stored is None or stored.removed:
        raise missing
    if not _may_remove(stored, person=None if is_program else access):
        raise ForbiddenError("Only the author of a score and owners of the project may remove it.", code="not_the_author")
    # the stored time may be ahead of this clock, and the removal must win
    at_us = max(_now_us(), stored.at_us + 1)
    removal = replace(stored, event_id=secrets.token_hex(16), seq=0, at_us=at_us, removed=True)
    position = await _publish(intake, access.project_id, task, removal, key_id=_key_id(request))
    await becomes_visible(intake.pool, position)


def _may_remove(stored: ScoreRecorded, *, person: Access | None) -> bool:
    """Whether a person, or a program (``None``), may remove a score."""
    of_person = stored.score_id.startswith(PERSON_PREFIX)
    if person is None:
        return not of_person
    return person.role is Role.OWNER or (of_person and stored.author == person_author(person.user_id))


def _of_person(given: NewScore, author: str) -> ScoreRecorded:
    """The event of a signed-in person. Its id begins with the author, so nobody can replace the score of somebody else."""
    if given.source not in {None, "human"} or given.author is not None:
        raise InvalidError("A signed-in person records scores of source human under their own name. Leave out source and author.")
    own = f"{author}:"
    score_id = given.score_id or secrets.token_hex(16)
    if score_id.startswith(PERSON_PREFIX) and not score_id.startswith(own):
        raise ForbiddenError("Only its author may change a score. Owners may remove it.", code="not_the_author")
    return _event(given, score_id=score_id if score_id.startswith(own) else own + score_id, author=author, source="human")


def _of_program(given: NewScore) -> ScoreRecorded:
    if (given.score_id or "").startswith(PERSON_PREFIX) or (given.author or "").startswith(PERSON_PREFIX):
        raise ForbiddenError(f"Ids and authors that begin with {PERSON_PREFIX} belong to signed-in people.", code="not_the_author")
    return _event(given, score_id=given.score_id or secrets.token_hex(16), author=given.author, source=given.source or "code")


def _event(given: NewScore, *, score_id: str, author: str | None, source: Literal["human", "model", "code"]) -> ScoreRecorded:
    if _SCORE_ID.fullmatch(score_id) is None:
        raise InvalidError("The score_id is not valid. Use at most 192 letters, digits, dots, colons, hyphens and underscores.")
    if given.step_id is not None and (_STEP_ID.fullmatch(given.step_id) is None or not given.step_id.strip("0")):
        raise InvalidError("The step_id is not valid. It has 16 lower-case hex digits, not all zero.")
    if given.value is None and not (given.comment or "").strip():
        raise InvalidError("A score needs a value. Without one it is a note, which needs a comment.")
    number, label = (None, None) if given.value is None else number_and_label(given.value)
    texts = [given.name, label, given.comment, author]
    if any("\0" in text for text in texts if text is not None):
        raise InvalidError("The text contains a NUL character. Remove it.")
    return ScoreRecorded(
        event_id=secrets.token_hex(16),
        seq=0,
        at_us=_now_us(),
        score_id=score_id,
        step_id=given.step_id,
        name=given.name,
        number=number,
        label=label,
        comment=given.comment,
        source=source,
        author=author,
    )


async def _require_task(intake: IntakeContext, project_id: str, task_id: str) -> None:
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        if not await tasks.exists(connection, project_id, task_id):
            raise NotFoundError("There is no such task.", code="task_not_found")


async def _publish(intake: IntakeContext, project_id: str, task_id: str, event: ScoreRecorded, *, key_id: str) -> Position:
    records = pack(STEPS, project_id, task_id, SCORE_PRODUCER, [encode(event)], key_id=key_id)
    (position,) = await intake.log.publish(records, timeout_seconds=PUBLISH_TIMEOUT_SECONDS)
    EVENTS_ACCEPTED.labels("scores").inc()
    return position


def _key_id(request: AnyRequest) -> str:
    principal = any_principal_of(request)
    return principal.key_id if isinstance(principal, KeyPrincipal) else ""


def _now_us() -> int:
    return time.time_ns() // 1_000
