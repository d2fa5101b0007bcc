"""For tests of agents: what the code under test did, recorded in memory instead of sent.

Installing the SDK gives pytest the fixtures ``ams_recorder`` and ``ams_events`` (``ams.testing.plugin``); other test runners use ``record``.

    def test_the_planner_searches_before_it_answers(ams_recorder):
        planner("otters")

        assert ams_recorder.step("search").ok
        ams_recorder.assert_order("search", "answer")
"""

from ams.testing.cassette import Cassette, CassetteError, RecordedToolError
from ams.testing.events import CapturedEvents
from ams.testing.fake_model import Failure, FakeModel, ModelCall, ModelFailureError, Reply, ScriptEndedError, ToolCall
from ams.testing.model_server import ModelServer, ModelTransport, serving
from ams.testing.recorder import Recorder, record
from ams.testing.steps import RecordedStep
from ams.testing.tree import Tree

__all__ = [
    "CapturedEvents",
    "Cassette",
    "CassetteError",
    "Failure",
    "FakeModel",
    "ModelCall",
    "ModelFailureError",
    "ModelServer",
    "ModelTransport",
    "RecordedStep",
    "RecordedToolError",
    "Recorder",
    "Reply",
    "ScriptEndedError",
    "ToolCall",
    "Tree",
    "record",
    "serving",
]
