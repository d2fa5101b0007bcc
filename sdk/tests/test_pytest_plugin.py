"""The pytest plugin in runs of its own, with the plugins and runners that others use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ams.testing.cassette import CassetteFile, RecordedToolCall, encode

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "testing.md"
AGENT = """
import ams

@ams.tool
def search(topic: str) -> str:
    return topic

@ams.agent
def planner(topic: str) -> str:
    return search(topic)

def ask(topic: str) -> str:
    ams.init()
    return planner(topic)
"""
SEARCH = RecordedToolCall(name="search", input={"topic": "otters"}, output=["otters live in rivers"])
CASSETTE = encode(CassetteFile(task_id="0" * 32, name="planner", models=[], tools=[SEARCH]))
QUIET = ("-p", "no:faker", "-p", "no:valkey", "-p", "no:cacheprovider", "-p", "no:asyncio")
ALONE = ("-p", "ams.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only named plugins: those of this workspace take seconds to load in each process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_every_example_of_the_guide_passes(pytester: pytest.Pytester) -> None:
    python = blocks("python")
    pytester.makepyfile(agent=python[0], test_guide="\n".join(python))
    pytester.mkdir("cassettes").joinpath("otters.json").write_bytes(CASSETTE)

    first = pytester.runpytest_inprocess("--strict-markers", "--ams-update", *QUIET)
    second = pytester.runpytest_inprocess("--strict-markers", *QUIET)

    first.assert_outcomes(passed=8)
    second.assert_outcomes(passed=8)
    [snapshot] = (pytester.path / "ams_snapshots").rglob("*.txt")
    assert snapshot.relative_to(pytester.path).as_posix() == "ams_snapshots/test_guide/test_the_planner_works_as_before.txt"
    assert [snapshot.read_text(encoding="utf-8")] == blocks("text")


def test_the_guide_has_no_other_blocks() -> None:
    assert GUIDE.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks("python") + blocks("text"))


def test_unequal_trees_are_shown_as_a_diff(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        AGENT
        + '''
def test_it(ams_recorder):
    ask("otters")
    assert ams_recorder.tree == """
        planner [agent]
          book [tool]
    """
'''
    )

    result = pytester.runpytest_inprocess("-vv", *QUIET)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * the trees are equal*", "E *  planner [[]agent[]]", "E *-  book [[]tool[]]", "E *+  search [[]tool[]]"]
    )


def test_a_changed_snapshot_fails_with_a_diff_until_it_is_updated(pytester: pytest.Pytester) -> None:
    test = """
import pytest

@pytest.mark.parametrize("topic", ["otters", "a/b"])
class TestPlanner:
    def test_it(self, ams_recorder, topic):
        ask(topic)
        ams_recorder.assert_snapshot()
        ams_recorder.assert_snapshot(contents=False)
        ams_recorder.assert_snapshot("named")
"""
    path = pytester.makepyfile(AGENT + test)
    missing = pytester.runpytest_inprocess(*QUIET)
    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(["E *There is no snapshot *Run pytest --ams-update to write it."])
    assert not (pytester.path / "ams_snapshots").exists()

    pytester.runpytest_inprocess("--ams-update", *QUIET).assert_outcomes(passed=2)
    pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=2)
    names = sorted(file.name for file in (pytester.path / "ams_snapshots" / path.stem).iterdir())
    assert names[3:] == [f"TestPlanner.test_it[otters]{end}.txt" for end in (".2", ".named", "")]
    assert all(name.startswith("TestPlanner.test_it[a_b]") for name in names[:3])

    path.write_text((AGENT + test).replace("return search(topic)", 'search("more"); return search(topic)'), encoding="utf-8")
    changed = pytester.runpytest_inprocess(*QUIET)
    changed.assert_outcomes(failed=2)
    changed.stdout.fnmatch_lines(["E *The steps differ from the snapshot *", 'E *+  | input {"topic": "more"}'])
    pytester.runpytest_inprocess("--ams-update", *QUIET).assert_outcomes(passed=2)


def test_a_wrong_option_of_the_marker_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.ams_recorder(fixd=True)\ndef test_it(ams_recorder): pass")

    result = pytester.runpytest_inprocess(*QUIET)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes only fixed=True or fixed=False*"])


def test_async_tests_are_recorded(pytester: pytest.Pytester, alone: None) -> None:
    pytester.makepyfile(
        AGENT
        + """
import asyncio
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def asked(ams_recorder):
    ask("in a fixture")

@pytest.mark.asyncio
@pytest.mark.parametrize("run", [1, 2])
async def test_it(asked, ams_recorder, run):
    @ams.tool
    async def fetch(n):
        await asyncio.sleep(0)
        return n

    with ams.step("around"):
        await asyncio.gather(fetch(1), fetch(2))
    assert ams_recorder.tree == '''
        planner [agent]
          search [tool]
        around [span]
          fetch [tool]
          fetch [tool]
    '''
"""
    )

    pytester.runpytest_subprocess(
        "-p", "pytest_asyncio.plugin", "--strict-markers", "-o", "asyncio_default_fixture_loop_scope=function", *ALONE
    ).assert_outcomes(passed=2)


def test_two_workers_record_and_write_snapshots(pytester: pytest.Pytester, alone: None) -> None:
    pytester.makepyfile(
        AGENT
        + """
import pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.ams_recorder(fixed=True)
def test_it(ams_recorder, number):
    ask(str(number))
    assert [step.id for step in ams_recorder.steps()] == [f"{1:016x}", f"{2:016x}"]
    ams_recorder.assert_snapshot()
"""
    )

    pytester.runpytest_subprocess("-p", "xdist", "-n", "2", "--ams-update", *ALONE).assert_outcomes(passed=8)
    pytester.runpytest_subprocess("-p", "xdist", "-n", "2", *ALONE).assert_outcomes(passed=8)


UNITTEST = """
import sys
import unittest
from ams.testing import record

class PlannerTest(unittest.TestCase):
    def setUp(self):
        self.recorder = self.enterContext(record(fixed=True))

    def test_it(self):
        ask("otters")
        self.assertEqual(self.recorder.tree, "planner [agent]\\n  search [tool]")
        with self.assertRaises(RuntimeError):
            self.recorder.assert_snapshot()

    def test_again(self):
        ask("otters")
        self.assertEqual(len(self.recorder.steps()), 2)
"""


def test_unittest_records_without_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_planner=AGENT + UNITTEST + "\nassert 'pytest' not in sys.modules\n")

    result = subprocess.run(
        [sys.executable, "-m", "unittest", "test_planner"], cwd=pytester.path, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "Ran 2 tests" in result.stderr


def test_test_cases_of_unittest_may_use_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        AGENT
        + """
import unittest
import pytest

class PlannerTest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _recorder(self, ams_recorder):
        self.recorder = ams_recorder

    def test_it(self):
        ask("otters")
        self.recorder.assert_snapshot()
"""
    )

    pytester.runpytest_inprocess("--ams-update", *QUIET).assert_outcomes(passed=1)
    pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
