"""Log lines of steps: the first ones are kept within limits, the others are counted, and a repeated one changes nothing."""

import pytest
from tests.builders import BASE_US, NATIVE, batch, document, recorded, records, step_id, task_id

from ams_contracts.events import LogLine, StepProgressed, TaskDeleted
from ams_trace_ingest.store import step_logs
from ams_trace_ingest.store.step_logs import TASK, Counts, LoggedLine, admit

PLACE = ("p", "t")


def logged(number: int, *texts: str, step: int = 1, level: str = "info") -> StepProgressed:
    lines = [LogLine(step_id=step_id(step), level=level, text=text) for text in texts]
    return StepProgressed(event_id=f"{number:032x}", seq=number, at_us=BASE_US + number, logs=lines)


def lines(count: int, *, step: str = "a", chars: int = 1, first: int = 0) -> dict[step_logs.LineKey, LoggedLine]:
    found = [LoggedLine(step, at_us, f"{at_us:032x}", 0, "info", "x" * chars) for at_us in range(first, first + count)]
    return {(*PLACE, line.step_id, line.at_us, line.event_id, line.place): line for line in found}


async def counts_of(store) -> dict[str, tuple[int, int, int]]:
    rows = await store.connection.fetch("SELECT step_id, received, kept, chars FROM g1.step_log_counts ORDER BY step_id")
    return {row["step_id"]: (row["received"], row["kept"], row["chars"]) for row in rows}


async def test_lines_are_stored_in_the_order_of_their_times_and_places(projector, store) -> None:
    await projector.apply(
        records(batch(1, recorded(1, document()), logged(2, "b", "c", level="error"), logged(1, "a", "nul \x00"), producer=NATIVE))
    )

    rows = await store.connection.fetch("SELECT step_id, level, text FROM g1.step_logs ORDER BY at_us, event_id, place")
    assert [(row["level"], row["text"]) for row in rows] == [("info", "a"), ("info", "nul \ufffd"), ("error", "b"), ("error", "c")]
    assert {row["step_id"] for row in rows} == {step_id(1)}
    assert await counts_of(store) == {TASK: (4, 4, 8), step_id(1): (4, 4, 8)}


async def test_a_repeated_line_is_stored_and_counted_once(projector, store) -> None:
    await projector.apply(records(batch(1, logged(1, "a"), logged(1, "a"), producer=NATIVE)))
    await projector.apply(records(batch(1, logged(1, "a"), logged(2, "b", step=2), producer=NATIVE), first=1))

    assert await counts_of(store) == {TASK: (2, 2, 2), step_id(1): (1, 1, 1), step_id(2): (1, 1, 1)}
    assert await store.account() == {"projected": 2, "duplicate": 2}


async def test_lines_beyond_the_limit_are_counted_whatever_the_batches_are(projector, store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_logs, "STEP_LINES_MAX", 3)
    events = [logged(number, f"{number}") for number in range(1, 6)]

    await projector.apply(records(batch(1, *events, producer=NATIVE)))
    await projector.apply(records(batch(2, *events[:2], producer=NATIVE), batch(2, *events[2:4], producer=NATIVE), first=1))
    await projector.apply(records(batch(2, events[4], producer=NATIVE), first=3))

    for task in (1, 2):
        texts = await store.connection.fetch("SELECT text FROM g1.step_logs WHERE task_id = $1 ORDER BY at_us", task_id(task))
        counts = await store.connection.fetchrow(
            "SELECT received, kept FROM g1.step_log_counts WHERE task_id = $1 AND step_id <> ''", task_id(task)
        )
        assert ([row["text"] for row in texts], tuple(counts)) == (["1", "2", "3"], (5, 3))


def test_a_task_keeps_a_bounded_number_of_lines_and_characters() -> None:
    counts: dict[step_logs.StepKey, Counts] = {}
    for step in range(15):
        admit(lines(step_logs.STEP_LINES_MAX, step=f"{step}"), counts)
    assert (counts[*PLACE, TASK].received, counts[*PLACE, TASK].kept) == (15_000, step_logs.TASK_LINES_MAX)

    long: dict[step_logs.StepKey, Counts] = {}
    for step in range(4):
        admit(lines(1_000, step=f"{step}", chars=4_096), long)
    assert step_logs.TASK_CHARS_MAX - 4_096 < long[*PLACE, TASK].chars <= step_logs.TASK_CHARS_MAX
    assert admit(lines(1, step="0", first=9_999), {}) != {}


async def test_lines_go_with_their_task(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(1, document()), logged(1, "a")), batch(2, logged(1, "b"))))
    await projector.apply(records(batch(1, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")), first=2))

    assert [row["task_id"] for row in await store.rows("step_logs")] == [task_id(2)]
    assert {row["task_id"] for row in await store.rows("step_log_counts")} == {task_id(2)}
