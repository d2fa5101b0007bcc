"""Events from the journal of another process, or from that of this one: records are rebuilt, and go through the assembler like all others."""

from typing import Any

from ams.sending.assemble import Assembler, Encoded
from ams.spool.journal import AGENT_FIELDS, SCORE_FIELDS, STEP_FIELDS, TASK_FIELDS, UPDATE_FIELDS
from ams.tracing.capture import Cut
from ams.tracing.records import RUNNING, WAITING, AgentRecord, StepRecord, StepUpdate, TaskRecord
from ams.tracing.scores import ScoreRecord


class Rebuilder:
    """Makes the events of one dead process, segment by segment, oldest first."""

    def __init__(self, instance_id: str, *, records_of: str) -> None:
        """A rebuilder.

        Args:
            instance_id: Of the producer that delivers the events: its numbers have no gap, whatever the dead one delivered.
            records_of: The instance that made the records.
        """
        self._assembler = Assembler(instance_id, records_of=records_of)
        self._tasks: dict[bytes, TaskRecord] = {}
        self._steps: dict[int, StepRecord] = {}

    def events(self, records: list[list[Any]]) -> tuple[list[Encoded], int]:
        """The events of some records.

        Returns:
            Events in order, and how many records could not be read.
        """
        unreadable = 0
        for record in records:
            try:
                self._add(record)
            except (ValueError, TypeError, IndexError, KeyError):
                unreadable += 1
        return self._assembler.finish_round(), unreadable

    def _add(self, record: list[Any]) -> None:
        match record[0]:
            case "S":
                self._assembler.add(self._step(record[1], record[2:]))
            case "D":
                step = self._step(record[3], record[4:])
                self._assembler.add(
                    _update(step, {"kind": "document", "text": "", "level": "info", "at_ns": record[1], "number": record[2]})
                )
            case "U":
                step = self._steps.get(record[2])
                if step is None:  # an earlier segment, which was delivered, has its start
                    step = StepRecord("step", "span")
                    step.id, step.task, step.phase, step.status = record[2], self._task(record[1], about=None), 2, "ok"
                self._assembler.add(_update(step, dict(zip(UPDATE_FIELDS, record[3:], strict=True))))
            case "A":
                values = dict(zip(AGENT_FIELDS, record[1:], strict=True))
                self._assembler.add(AgentRecord(values.pop("name"), **values))
            case "C":
                values = dict(zip(SCORE_FIELDS, record[1:], strict=True))
                score = ScoreRecord(values["name"], values["value"], values["task_id"], values["step_id"], None)
                score.comment, score.source, score.author = values["comment"], values["source"], values["author"]
                score.score_id, score.at_ns = values["score_id"], values["at_ns"]
                self._assembler.add(score)
            case _:
                raise ValueError

    def _step(self, task_key: bytes, values: list[Any]) -> StepRecord:
        *fields, about = values
        named = dict(zip(STEP_FIELDS, fields, strict=True))
        step = self._steps.get(named["id"])
        if step is None:
            step = StepRecord(named["name"], named["type"])
            self._steps[named["id"]] = step
        status = str(named.pop("status"))
        for name in ("input", "output"):
            named[name] = _captured(named[name])
        attributes = named["attributes"]
        named["attributes"] = {name: _captured(value) for name, value in attributes.items()} if attributes else None
        named["wait"] = tuple(named["wait"]) if named["wait"] else None
        if named["details"] and "parameters" in named["details"]:
            named["details"]["parameters"] = _captured(named["details"]["parameters"])
        for name, value in named.items():
            setattr(step, name, value)
        step.task = self._task(task_key, about=about)
        if step.type == "agent" and step.task.agent is None:
            step.task.agent = step.agent or step.name
        step.status = _STATUS.get(status, status)
        if step.over:
            self._steps.pop(step.id, None)
        return step

    def _task(self, key: bytes, *, about: Any) -> TaskRecord:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = TaskRecord("")
            task.id = int.from_bytes(key)
            task.joined = True
        if isinstance(about, list):
            *fields, parent = about  # pyright: ignore[reportUnknownVariableType]  # it was written by ``Journal``
            for name, value in zip(TASK_FIELDS, fields, strict=True):  # pyright: ignore[reportUnknownArgumentType]
                setattr(task, name, value)
            task.parent_task_id = int.from_bytes(parent) if parent is not None else None  # pyright: ignore[reportUnknownArgumentType]
        return task


_STATUS = {RUNNING: RUNNING, WAITING: WAITING}
"""The assembler compares these words by identity, as the hot path does: the decoded ones are other objects."""


def _captured(value: Any) -> Any:
    return Cut(value["text"], value["bytes"], value["is_json"]) if isinstance(value, dict) else value


def _update(step: StepRecord, values: dict[str, Any]) -> StepUpdate:
    update = StepUpdate(values["kind"], step, values["text"], values["level"])
    update.at_ns, update.number = values["at_ns"], values["number"]
    return update
