"""Log lines of steps: the first of each step and task in the order of the log, and how many came."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

STEP_LINES_MAX = 1_000
TASK_LINES_MAX = 10_000
TASK_CHARS_MAX = 8_000_000
TASK = ""
"""The step id of the counts of the task."""

StepKey = tuple[str, str, str]
"""Project, task and step, or ``TASK``."""
LineKey = tuple[str, str, str, int, str, int]
"""Project, task, step, at_us, event id and the place of the line in the event."""

_KNOWN = """
SELECT l.project_id, l.task_id, l.step_id, l.at_us, l.event_id, l.place
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::text[], $6::text::int[])
    AS wanted (project_id, task_id, step_id, at_us, event_id, place)
JOIN step_logs l ON l.project_id = wanted.project_id AND l.task_id = wanted.task_id AND l.step_id = wanted.step_id
    AND l.at_us = wanted.at_us AND l.event_id = wanted.event_id AND l.place = wanted.place
"""
_COUNTS = """
SELECT c.project_id, c.task_id, c.step_id, c.received, c.kept, c.chars
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, task_id, step_id)
JOIN step_log_counts c ON c.project_id = wanted.project_id AND c.task_id = wanted.task_id AND c.step_id = wanted.step_id
"""
_INSERT = """
INSERT INTO step_logs (project_id, task_id, step_id, at_us, event_id, place, level, text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
"""
_COUNT = """
INSERT INTO step_log_counts (project_id, task_id, step_id, received, kept, chars) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (project_id, task_id, step_id) DO UPDATE SET received = EXCLUDED.received, kept = EXCLUDED.kept, chars = EXCLUDED.chars
"""
_DELETE = (
    "DELETE FROM step_logs WHERE project_id = $1 AND task_id = $2",
    "DELETE FROM step_log_counts WHERE project_id = $1 AND task_id = $2",
)


class LoggedLine(Struct, frozen=True):
    """A line as an event brought it. ``place`` counts the lines of the event from 0."""

    step_id: str
    at_us: int
    event_id: str
    place: int
    level: str
    text: str


class Counts(Struct):
    """Lines of a step or a task: how many came, how many are kept, and the characters of these."""

    received: int = 0
    kept: int = 0
    chars: int = 0


def admit(lines: Mapping[LineKey, LoggedLine], counts: dict[StepKey, Counts]) -> dict[LineKey, LoggedLine]:
    """The lines that are kept: the first ones, up to the limits of their step and their task.

    Args:
        lines: New ones, in the order of the log.
        counts: Of their steps and tasks before them; updated.
    """
    kept: dict[LineKey, LoggedLine] = {}
    for key, line in lines.items():
        step = counts.setdefault((*key[:2], line.step_id), Counts())
        task = counts.setdefault((*key[:2], TASK), Counts())
        step.received += 1
        task.received += 1
        if step.kept < STEP_LINES_MAX and task.kept < TASK_LINES_MAX and task.chars + len(line.text) <= TASK_CHARS_MAX:
            kept[key] = line
            for count in (step, task):
                count.kept += 1
                count.chars += len(line.text)
    return kept


async def append(connection: Connection, logged: Mapping[TaskKey, Sequence[LoggedLine]]) -> None:
    """Store lines within the limits, and count all. A line that is stored already changes nothing; one beyond the limits counts again.

    Args:
        connection: In a transaction that has locked the tasks.
        logged: By task, in the order of the log.
    """
    lines = {(*key, line.step_id, line.at_us, line.event_id, line.place): line for key, found in logged.items() for line in found}
    if not lines:
        return
    wanted = [(*key[:3], str(key[3]), key[4], str(key[5])) for key in lines]
    for row in await connection.fetch(_KNOWN, *array_literals(wanted)):
        del lines[row[0], row[1], row[2], row[3], row[4], row[5]]
    counts = await _load_counts(connection, lines)
    kept = admit(lines, counts)
    await connection.executemany(_INSERT, [(*key, line.level, line.text) for key, line in kept.items()])
    await connection.executemany(_COUNT, [(*key, count.received, count.kept, count.chars) for key, count in sorted(counts.items())])


async def delete(connection: Connection, key: TaskKey) -> None:
    """Delete the lines of a task, and their counts."""
    for statement in _DELETE:
        await connection.execute(statement, *key)


async def _load_counts(connection: Connection, lines: Iterable[LineKey]) -> dict[StepKey, Counts]:
    keys = sorted({(project_id, task_id, step) for project_id, task_id, step_id, *_ in lines for step in (step_id, TASK)})
    if not keys:
        return {}
    return {(row[0], row[1], row[2]): Counts(*row[3:]) for row in await connection.fetch(_COUNTS, *array_literals(keys))}
