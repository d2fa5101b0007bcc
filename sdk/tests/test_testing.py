"""The fixture that others use in their tests."""

import pytest

import ams
from ams.testing import CapturedEvents


@ams.agent
def planner(topic: str) -> str:
    with ams.tool("search") as step:
        step.output = topic
    return topic.upper()


def test_it_shows_what_the_code_sent(ams_events: CapturedEvents) -> None:
    assert planner("otters") == "OTTERS"

    assert [step.name for step in ams_events.steps()] == ["planner", "search"]
    assert ams_events.step("search").preview_output == "otters"
    assert [task.name for task in ams_events.tasks()] == ["planner"]
    assert {payload.text for payload in ams_events.payloads()} == {'{"topic":"otters"}', "OTTERS", "otters"}
    with pytest.raises(LookupError, match="'planner'"):
        ams_events.step("nothing")


def test_every_test_starts_empty(ams_events: CapturedEvents) -> None:
    assert ams_events.steps() == []
