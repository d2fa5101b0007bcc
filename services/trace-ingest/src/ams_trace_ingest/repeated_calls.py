"""Roll-up rule R3: which steps report a call that another step of the project reports too. Pure; the projector calls it.

A step claims the call that it reports under up to two keys:

* its **response id**. Steps with the same response id and model, whose times overlap, are one call: the one that started first counts.
* its **call key**: service, tokens and hour (``call_key``). A framework that streams often reports no response id, while the client below it
  does, in another trace: only what both saw can decide that it is one call. The step of one instrumentation that lies within that of another,
  with the same tokens, a model of the same name, the same words, and no other response id, is its second view. An outer step has
  one view by each other instrumentation, so parallel equal calls stay as many as they are.

The answer depends on the set of claims alone. A key that more than ``RESPONSE_STEPS_MAX`` steps claim identifies no call (a stub model, a
recorded cassette): R3 is off for it, and all of them count.
"""

import hashlib
import re
from collections.abc import Iterable
from operator import itemgetter

from msgspec import Struct

from ams_contracts.documents import StepDocument

RESPONSE_STEPS_MAX = 1_000
"""Steps that may claim one key. Two or three instrumentations see one call; the rest is room for agents that resume."""

CALL_PREFIX = "call:"  # of the claims by call key, in the place of a response id
END_TOLERANCE_US = 100_000  # the inner instrumentation may notice the end of a stream after the outer one
_WORDS_MAX = 256
_VERSION = re.compile(r"|[-@:.](\d|v\d|latest|preview).*")  # gpt-4o-mini and gpt-4o-mini-2024-07-18, not gpt-4o and gpt-4o-mini

Place = tuple[str, str]
"""Task and step."""


class Claim(Struct, frozen=True, gc=False, kw_only=True):
    """A billable step, not shadowed by R2, says that it is a certain call. A row of ``response_claims``.

    Attributes:
        task_id: Of the step.
        step_id: Of the step.
        response_id: The key: a response id, or ``CALL_PREFIX`` and a call key. Those of call keys have the last three fields.
        model: As the step names it.
        started_at_us: Null: it is compared with none.
        ended_at_us: Null: a moment.
        scope: The instrumentation.
        own_id: The response id that the step names.
        words: Digest of the beginning of the answer.
    """

    task_id: str
    step_id: str
    response_id: str
    model: str | None
    started_at_us: int | None
    ended_at_us: int | None
    scope: str | None = None
    own_id: str | None = None
    words: str | None = None

    @property
    def place(self) -> Place:
        return (self.task_id, self.step_id)


def is_call_key(key: str) -> bool:
    """Whether a key of claims is a call key."""
    return key.startswith(CALL_PREFIX)


def claims_of(task_id: str, step_id: str, document: StepDocument) -> dict[str, Claim]:
    """What a billable step claims, by key."""
    found: dict[str, Claim] = {}
    if document.response_id:
        found[document.response_id] = Claim(
            task_id=task_id,
            step_id=step_id,
            response_id=document.response_id,
            model=document.model,
            started_at_us=document.started_at_us,
            ended_at_us=document.ended_at_us,
        )
    if document.call_key and document.scope and document.ended_at_us is not None:
        key = CALL_PREFIX + document.call_key
        found[key] = Claim(
            task_id=task_id,
            step_id=step_id,
            response_id=key,
            model=document.model or document.model_requested,
            started_at_us=document.started_at_us,
            ended_at_us=document.ended_at_us,
            scope=document.scope,
            own_id=document.response_id,
            words=_digest(document.preview_output),
        )
    return found


def overlapping_claims(claims: Iterable[Claim], steps_max: int = RESPONSE_STEPS_MAX) -> dict[Place, str]:
    """Which steps are shadowed.

    Args:
        claims: Of one project, of one key or of many; each step at most once for a key.
        steps_max: A key that more steps claim is ignored.

    Returns:
        For each the task of the step that counts instead.
    """
    by_key: dict[str, list[Claim]] = {}
    for claim in claims:
        by_key.setdefault(claim.response_id, []).append(claim)
    shadowed: dict[Place, str] = {}
    for key, group in by_key.items():
        if 1 < len(group) <= steps_max:
            (_shadow_enclosed if is_call_key(key) else _shadow_overlapping)(group, shadowed)
    return shadowed


def _shadow_overlapping(claims: list[Claim], shadowed: dict[Place, str]) -> None:
    """One pass in order of the start: a call overlaps an earlier counted one exactly when it starts before the latest end of those."""
    counted_until: dict[str | None, tuple[int, str]] = {}  # by model: the end, and the task that has it
    timed = [(claim.started_at_us, claim.task_id, claim.step_id, claim) for claim in claims if claim.started_at_us is not None]
    for start, task_id, step_id, claim in sorted(timed, key=itemgetter(0, 1, 2)):
        until = counted_until.get(claim.model)
        if until is not None and start <= until[0]:
            shadowed[task_id, step_id] = until[1]
        else:
            end = claim.ended_at_us if claim.ended_at_us is not None else start  # without an end it is a moment
            counted_until[claim.model] = (end, task_id) if until is None or end > until[0] else until


class _Outer(Struct):
    """A call that counts, and the other instrumentations whose view of it is found."""

    claim: Claim
    ended_at_us: int
    scopes: set[str | None]


def _shadow_enclosed(claims: list[Claim], shadowed: dict[Place, str]) -> None:
    """One pass in order of the start; each takes the outer call that fits most tightly, so that as many as possible find one."""
    outers: list[_Outer] = []
    timed = [(c.started_at_us, -c.ended_at_us, *c.place, c) for c in claims if c.started_at_us is not None and c.ended_at_us is not None]
    for start, minus_end, task_id, step_id, claim in sorted(timed, key=itemgetter(0, 1, 2, 3)):
        end = -minus_end
        outers = [outer for outer in outers if outer.ended_at_us >= start]  # the others end before all that follow begin
        fitting = [outer for outer in outers if outer.ended_at_us + END_TOLERANCE_US >= end and _is_view(claim, outer)]
        if fitting:
            best = min(fitting, key=lambda outer: (claim.own_id is None or outer.claim.own_id != claim.own_id, outer.ended_at_us))
            best.scopes.add(claim.scope)
            shadowed[task_id, step_id] = best.claim.task_id
        else:
            outers.append(_Outer(claim, end, {claim.scope}))


def _is_view(claim: Claim, outer: _Outer) -> bool:
    other = outer.claim
    if claim.scope in outer.scopes or not _differ_in_nothing(claim.words, other.words):
        return False
    if not _differ_in_nothing(claim.own_id, other.own_id):
        return False
    if claim.model is None or other.model is None:
        return True
    short, long = sorted((_plain(claim.model), _plain(other.model)), key=len)
    return long.startswith(short) and _VERSION.fullmatch(long, len(short)) is not None


def _differ_in_nothing(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _plain(model: str) -> str:
    return model.rsplit("/", 1)[-1].lower()


def _digest(preview: str | None) -> str | None:
    """Of the words of an answer, however they are spaced."""
    words = " ".join((preview or "").split())[:_WORDS_MAX]
    return hashlib.blake2b(words.encode(), digest_size=6).hexdigest() if words else None
