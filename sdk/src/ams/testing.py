"""For tests of agents: a pytest plugin that keeps events in memory instead of sending them.

def test_the_planner_searches_once(ams_events):
planner("otters")

assert [step.name for step in ams_events.steps()].count("search") == 1
"""

from collections.abc import Generator

import pytest

from ams.sending.client import Client, FlushResult, current_client, install
from ams.sending.local import MemoryTransport
from ams.settings import SdkSettings
from ams.tracing.runtime import runtime
from ams_contracts.documents import StepDocument, TaskDocument
from ams_contracts.events import Event, PayloadStored, StepEnded, StepRecorded, StepStarted, TaskEnded, TaskStarted, TaskUpdated

_SECONDS = 5.0


class CapturedEvents:
    """What the code under test sent to AMS. Every method first waits until all of it has arrived."""

    def __init__(self, client: Client, transport: MemoryTransport) -> None:
        self._client = client
        self._transport = transport

    def flush(self) -> FlushResult:
        """Wait until all events so far have arrived."""
        return self._client.flush(_SECONDS)

    def all(self) -> list[Event]:
        """Every event, in order."""
        self.flush()
        return [event for _, event in self._transport.events()]

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
        self.flush()
        documents: dict[str | None, TaskDocument] = {}
        for task_id, event in self._transport.events():
            if isinstance(event, TaskStarted | TaskUpdated | TaskEnded):
                documents[task_id] = event.task
        return list(documents.values())

    def payloads(self) -> list[PayloadStored]:
        """Inputs, outputs and stacks."""
        return [event for event in self.all() if isinstance(event, PayloadStored)]


@pytest.fixture
def ams_events() -> Generator[CapturedEvents]:
    """Tracing is on, and events stay in memory."""
    before = current_client()
    queue_before = runtime.queue
    transport = MemoryTransport()
    client = Client(SdkSettings(api_key="ams_test", announce=False, flush_interval_seconds=0.01), lambda _: transport)
    install(client, handle_sigterm=False)
    yield CapturedEvents(client, transport)
    client.shutdown(_SECONDS)
    install(before, handle_sigterm=False)
    runtime.queue = queue_before
