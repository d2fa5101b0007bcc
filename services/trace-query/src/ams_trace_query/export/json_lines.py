"""The format ``jsonl``: one JSON object a line, for analysis: tasks, steps with their payloads, log lines and scores as the REST API shows them."""

from collections.abc import AsyncIterator

from ams_contracts.codec import encode
from ams_contracts.fold import PHASE_ENDED
from ams_contracts.views import step_view, task_view
from ams_trace_query.database import Database
from ams_trace_query.export.rows import StepContents, StoredTask, read_logs, read_scores, read_steps
from ams_trace_query.export.writing import Portion, Selection
from ams_trace_query.scores import Score
from ams_trace_query.steps import payloads_of

_SCORE = Score.__struct_fields__


class JsonLinesWriter:
    """Writes tasks as lines with the field ``kind``: task, step, log, score, and end."""

    def __init__(self, database: Database, selection: Selection) -> None:
        """Write nothing yet.

        Args:
            database: Where the rows are.
            selection: What is exported.
        """
        self._database = database
        self._selection = selection
        self._tasks = self._steps = 0

    def begin(self) -> bytes:
        """Nothing: every line but the last is a row."""
        return b""

    async def task(self, task: StoredTask) -> AsyncIterator[Portion]:
        """The lines of one task."""
        self._tasks += 1
        task_id = task.task_id
        yield Portion(encode({"kind": "task", "task": task_view(task.row)}) + b"\n", 0)
        async for found in read_steps(self._database, task, payloads=self._selection.payloads):
            self._steps += len(found)
            yield Portion(b"".join(self._step(step) for step in found), len(found))
        async for rows in read_logs(self._database, task):
            yield Portion(
                b"".join(
                    encode(
                        {
                            "kind": "log",
                            "task_id": task_id,
                            "step_id": row["step_id"],
                            "at_us": row["at_us"],
                            "level": row["level"],
                            "text": row["text"],
                        }
                    )
                    + b"\n"
                    for row in rows
                ),
                0,
            )
        async for rows in read_scores(self._database, task):
            scores = (Score(**{name: row[name] for name in _SCORE}) for row in rows)
            yield Portion(b"".join(encode({"kind": "score", "task_id": task_id, "score": score}) + b"\n" for score in scores), 0)

    def end(self) -> bytes:
        """The last line: a file without it was cut."""
        return encode({"kind": "end", "tasks": self._tasks, "steps": self._steps}) + b"\n"

    def _step(self, step: StepContents) -> bytes:
        view = step_view(step.row)
        if not self._selection.payloads:
            return encode({"kind": "step", "step": view}) + b"\n"
        ended = step.row["stamp_phase"] == PHASE_ENDED
        return encode({"kind": "step", "step": view, "payloads": payloads_of(view, ended, step.payloads)}) + b"\n"
