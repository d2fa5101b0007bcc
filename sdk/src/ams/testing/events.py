"""What the code under test sent, as the contract's events: the fixture ``ams_events``."""

from ams.sending.flush_result import FlushResult
from ams.testing.recording import Recording
from ams_contracts.documents import StepDocument, TaskDocument
from ams_contracts.events import Event, PayloadStored, StepEnded, StepRecorded, StepStarted, TaskEnded, TaskStarted, TaskUpdated


class CapturedEvents:
    """What the code under test sent to AMS. Every method first waits until all of it has arrived."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def flush(self) -> FlushResult:
        """Wait until all events so far have arrived."""
        return self._recording.flush()

    def all(self) -> list[Event]:
        """Every event, in order."""
        return [event for _, event in self._recording.events()]

    def steps(self) -> list[StepDocument]:
        """The latest document of every step, in the order of their starts."""
        documents: dict[str, StepDocument] = {}
        for event in self.all():
            if isinstance(event, StepStarted | StepEnded | StepRecorded):
                documents[event.step_id] = event.step
        return list(documents.values())

    def step(self, name: str) -> StepDocument:
        """The one step of that name.

        Raises:
            LookupError: There is none, or more than one.
        """
        found = [step for step in self.steps() if step.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} steps are called {name!r}; there are {[step.name for step in self.steps()]}")
        return found[0]

    def tasks(self) -> list[TaskDocument]:
        """The latest document of every task."""
        documents: dict[str | None, TaskDocument] = {}
        for task_id, event in self._recording.events():
            if isinstance(event, TaskStarted | TaskUpdated | TaskEnded):
                documents[task_id] = event.task
        return list(documents.values())

    def payloads(self) -> list[PayloadStored]:
        """Inputs, outputs and stacks."""
        return [event for event in self.all() if isinstance(event, PayloadStored)]
