"""What frameworks and clients emit becomes the tree that a person expects, with the tokens that the model server reported."""

import gzip
import re
from collections import defaultdict
from pathlib import Path

import pytest
from tests import reference
from tests.client import Account, Project, eventually
from tests.frameworks import programs, record, trees
from tests.installation import Platform

from ams.cli.jaeger import from_jaeger, to_jaeger
from ams_contracts.documents import MESSAGING
from ams_trace_ingest.intake.otlp import Encoding

HERE = Path(__file__).parent
CALLS = {
    "mcp_tools": 0,
    "litellm_call": 1,
    "openai_agents_handoff": 3,
    "google_adk_handoff": 3,
    "dspy_react": 3,
    "autogen_team": 4,
}
"""Calls of the model by each program; two where nothing is said."""
_ENUM = re.compile(rb'"(?:SPAN_KIND|STATUS_CODE)_(\w+)"')
_NUMBERS = {
    b"UNSPECIFIED": 0,
    b"INTERNAL": 1,
    b"SERVER": 2,
    b"CLIENT": 3,
    b"PRODUCER": 4,
    b"CONSUMER": 5,
    b"UNSET": 0,
    b"OK": 1,
    b"ERROR": 2,
}


def expected(name: str) -> str:
    return (HERE / "trees" / f"{name}.txt").read_text()


def tokens_of_calls(count: int) -> tuple[int, int]:
    """What the model server reports for the first calls together: 110 and 11, 120 and 12 ..."""
    numbers = range(1, count + 1)
    return sum(100 + 10 * number for number in numbers), sum(10 + number for number in numbers)


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_what_a_program_emitted_is_mapped_to_its_tree(name: str) -> None:
    body = gzip.decompress((HERE / "recorded" / f"{name}.json.gz").read_bytes())

    text, tokens = trees.of_posts([body])

    assert text == expected(name)
    assert tokens == tokens_of_calls(CALLS.get(name, 2))


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_what_a_program_emitted_has_the_same_tree_after_a_file_of_jaeger(name: str) -> None:
    body = gzip.decompress((HERE / "recorded" / f"{name}.json.gz").read_bytes())
    numbered = _ENUM.sub(lambda found: b"%d" % _NUMBERS[found[1]], body)  # as AMS and every exporter write them

    text, tokens = trees.of_posts(list(from_jaeger(to_jaeger([numbered]))))

    assert text == expected(name)
    assert tokens == tokens_of_calls(CALLS.get(name, 2))


def tree_of(project: Project) -> str:
    tasks = [*project.items("tasks"), *project.items("tasks", q="duplicate:true")]
    return trees.of_rows({task["task_id"]: list(project.items(f"tasks/{task['task_id']}/steps")) for task in tasks})


@pytest.mark.frameworks
@pytest.mark.xdist_group("platform")
@pytest.mark.timeout(600)  # the first of them installs an environment
@pytest.mark.parametrize("name", programs.SELECTED)
def test_a_program_shows_the_same_tree_on_the_platform(name: str, platform: Platform, tmp_path: Path) -> None:
    project = Account(platform.url).project(name)

    with programs.models() as (model, ledger):
        printed = programs.run(name, model=model, endpoint=platform.url, key=project.key, home=tmp_path)

    assert "14 degrees and rain" in printed
    assert len(ledger) == CALLS.get(name, 2)
    assert eventually(lambda: tree_of(project), lambda found: found == expected(name)) == expected(name)


@pytest.mark.frameworks
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", programs.UNDER_AMS_RUN)
def test_a_program_without_telemetry_shows_its_tree_under_ams_run(name: str, tmp_path: Path) -> None:
    """Instrumentors of the framework and of its client are both on; a call that both report counts once, on the client's step inside."""
    both = HERE / "trees" / "ams_run" / f"{name}.txt"

    with programs.models() as (model, ledger), record.sink() as (endpoint, bodies):
        printed = programs.run_without_telemetry(name, model=model, endpoint=endpoint, key="ams_test", home=tmp_path)
    text, tokens = trees.of_posts([record.as_json(bodies, str(tmp_path))])

    assert "14 degrees and rain" in printed
    assert len(ledger) == CALLS.get(name, 2)
    assert text == (both.read_text() if both.exists() else expected(name))
    assert tokens == tokens_of_calls(CALLS.get(name, 2))


def test_the_tasks_that_only_pass_messages_of_a_team_have_its_run() -> None:
    items = reference.mapped([gzip.decompress((HERE / "recorded" / "autogen_team.json.gz").read_bytes())], Encoding.JSON)

    tasks = defaultdict(list)
    for item in items:
        tasks[item.task_id].append(item.event.step)
    folded = [steps for steps in tasks.values() if all(step.type_raw == MESSAGING for step in steps)]
    runs = {step.run_id for steps in folded for step in steps if step.parent_step_id is None}
    assert (len(tasks), len(folded), len(runs)) == (18, 14, 1)
    assert runs != {None}
