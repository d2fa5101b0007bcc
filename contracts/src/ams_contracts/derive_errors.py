"""Which failures only repeat one below them. Pure, and linear in the number of failed steps and their ancestors."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ams_contracts.documents import Failure

COMPARED_MAX = 32
"""So many different failures below a step are compared with its own: those that ended last. Bounds the work at a step with 10,000 failed ones."""
CONTAINED_CHARS_MIN = 4
"""A shorter message ("1", "'x'") is in many sentences by chance."""

TRACEBACK = "Traceback (most recent call last)"

BLANKS = " \t\n\v\f\r"

_NOTHING = Failure()


class Failed(NamedTuple):
    """A failed step."""

    at_us: int
    step_id: str
    failure: Failure


Distinct = dict[tuple[str | None, str | None], Failed]
"""By what it says, the last failure that says it."""


def repeats(failure: Failure, below: Failure) -> bool:
    """Whether a step's failure is that of a step below it.

    It says the same, or its message contains what the other says, or it says nothing that the other does not say. A failure without a
    message says the name of its type.
    """
    message = _without_traceback(failure.message)
    if not message:
        return failure.type is None or failure.type == below.type
    words = words_of(below)
    if words in {message, words_of(failure)}:
        return bool(words)
    return len(words) >= CONTAINED_CHARS_MIN and words in message


def words_of(failure: Failure) -> str:
    """What a failure says, without the forms in which programs wrap it: ``card declined`` of ``RuntimeError('card declined')Traceback ...``."""
    name = (failure.type or "").rpartition(".")[2]
    words = _without_traceback(failure.message)
    if not words:
        return name
    if name and words.startswith(f"{name}: "):
        return words[len(name) + 2 :].strip(BLANKS)
    if name and words.startswith(f"{name}(") and words.endswith(")"):
        return words[len(name) + 1 : -1].strip("'\"")
    return words


def _without_traceback(message: str | None) -> str:
    return (message or "").partition(TRACEBACK)[0].strip(BLANKS)


def affected_steps(failed: dict[str, Failed], parent_of: Callable[[str], str | None]) -> set[str]:
    """The failed steps that repeat the failure of a step below them, whatever is between the two.

    Args:
        failed: All failed steps of a tree, by id.
        parent_of: A step's parent; null where it has none that is known. It leads round no cycle.
    """
    if len(failed) <= 1:
        return set()
    above = _nearest_failed_above(failed, parent_of)
    waiting = dict.fromkeys(failed, 0)
    for parent in above.values():
        if parent is not None:
            waiting[parent] += 1
    below: dict[str, Distinct] = {}
    affected: set[str] = set()
    ready = [step_id for step_id, count in waiting.items() if count == 0]
    for step_id in ready:  # grows while it is read: a step follows all failed ones below it
        failures = below.pop(step_id, {})
        this = failed[step_id]
        if any(repeats(this.failure, other.failure) for other in failures.values()):
            affected.add(step_id)
        _put(failures, this)
        parent = above[step_id]
        if parent is None:
            continue
        if parent in below:
            for other in failures.values():
                _put(below[parent], other)
        else:
            below[parent] = failures
        below[parent] = _last_ones(below[parent])
        waiting[parent] -= 1
        if waiting[parent] == 0:
            ready.append(parent)
    return affected


def origin_of(failed: Iterable[Failed]) -> Failure | None:
    """The failure to name for a task whose own says nothing: the last one that says something."""
    found = max((item for item in failed if item.failure.type or item.failure.message), key=_when, default=None)
    return None if found is None else found.failure


def _nearest_failed_above(failed: dict[str, Failed], parent_of: Callable[[str], str | None]) -> dict[str, str | None]:
    known: dict[str, str | None] = {}  # of every step that was passed, so that each is passed once
    nearest: dict[str, str | None] = {}
    for start in failed:
        passed: list[str] = []
        step_id = parent_of(start)
        while step_id is not None and step_id not in failed and step_id not in known:
            passed.append(step_id)
            step_id = parent_of(step_id)
        found = known[step_id] if step_id is not None and step_id in known and step_id not in failed else step_id
        known.update(dict.fromkeys(passed, found))
        nearest[start] = found
    return nearest


def _put(failures: Distinct, failed: Failed) -> None:
    says = (failed.failure.type, failed.failure.message)
    before = failures.get(says)
    if before is None or _when(before) < _when(failed):
        failures[says] = failed


def _last_ones(failures: Distinct) -> Distinct:
    if len(failures) <= COMPARED_MAX:
        return failures
    kept = sorted(failures.values(), key=_when)[-COMPARED_MAX:]
    return {(item.failure.type, item.failure.message): item for item in kept}


def _when(failed: Failed) -> tuple[int, str]:
    return failed.at_us, failed.step_id


def failed_step(step_id: str, failure: Failure | None, ended_at_us: int | None, started_at_us: int | None) -> Failed:
    """Of a step's document."""
    return Failed(ended_at_us or started_at_us or 0, step_id, failure or _NOTHING)
