"""Replaces characters and numbers that Postgres or a person cannot handle, and flags the step. Pure."""

import msgspec
from msgspec import Raw, Struct

from ams_contracts.documents import StepDocument, TaskDocument
from ams_trace_ingest import characters
from ams_trace_ingest.mapping import flags as flags_of

DURATION_MAX_US = 10**15  # 31 years
COST_MAX_NUSD = 10**15  # a million dollars for one step
ATTEMPTS_MAX = 1_000_000
FLAGS_MAX = 32

FLAG_DURATION = "bad_duration"
FLAG_ATTEMPTS = "bad_attempts"


class _Events(Struct):
    events: list[Raw]


_events = msgspec.json.Decoder(_Events)


def replace_invalid_escapes(value: bytes) -> tuple[bytes, frozenset[int]]:
    """Replace the escapes of U+0000 and of lone surrogates in a record.

    Args:
        value: A record's JSON.

    Returns:
        The value, and the indexes of the events that changed.
    """
    cleaned = characters.replace_invalid_escapes(value)
    if cleaned is value:
        return value, frozenset()
    try:
        events = [bytes(event) for event in _events.decode(cleaned).events]
    except (msgspec.DecodeError, RecursionError):
        return cleaned, frozenset()
    changed: set[int] = set()
    at = 0
    for index, event in enumerate(events):
        at = cleaned.index(event, at)
        if value[at : at + len(event)] != event:
            changed.add(index)
        at += len(event)
    return cleaned, frozenset(changed)


def checked_step(document: StepDocument, step_id: str, *, replaced: bool) -> StepDocument:
    """A document whose numbers are in range: what was not is null (or the nearest) and flagged."""
    flags: list[str] = [flags_of.REPLACED_CHARACTERS] if replaced else []
    changes: dict[str, object] = {}
    for name in ("duration_us", "ttft_us"):
        value = getattr(document, name)
        if value is not None and not 0 <= value <= DURATION_MAX_US:
            changes[name] = None
            flags.append(FLAG_DURATION)
    if document.cost_nusd is not None and not 0 <= document.cost_nusd <= COST_MAX_NUSD:
        changes["cost_nusd"] = None
        flags.append(flags_of.BAD_COST)
    if not 1 <= document.attempts <= ATTEMPTS_MAX:
        changes["attempts"] = min(max(document.attempts, 1), ATTEMPTS_MAX)
        flags.append(FLAG_ATTEMPTS)
    if document.parent_step_id == step_id:
        changes["parent_step_id"] = None
        flags.append(flags_of.SELF_PARENT)
    if not flags:
        return document
    return msgspec.structs.replace(document, **changes, flags=_with(document.flags, flags))


def checked_task(document: TaskDocument, *, replaced: bool) -> TaskDocument:
    """The same for a task."""
    flags: list[str] = [flags_of.REPLACED_CHARACTERS] if replaced else []
    changes: dict[str, object] = {}
    if document.duration_us is not None and not 0 <= document.duration_us <= DURATION_MAX_US:
        changes["duration_us"] = None
        flags.append(FLAG_DURATION)
    if not flags:
        return document
    return msgspec.structs.replace(document, **changes, flags=_with(document.flags, flags))


def _with(flags: list[str], more: list[str]) -> list[str]:
    return [*flags, *(flag for flag in dict.fromkeys(more) if flag not in flags)][-FLAGS_MAX:]
