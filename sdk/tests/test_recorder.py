"""The fixture ams_recorder: what it shows, and what its assertions say."""

import threading

import pytest

import ams
from ams.sending.client import current_client
from ams.testing import CapturedEvents, Recorder, record
from ams.tracing.runtime import runtime


@ams.tool
def search(topic: str) -> list[str]:
    return [topic, "rivers"]


@ams.agent
def planner(topic: str) -> str:
    found = search(topic)
    with ams.llm("answer", model="gpt-test", input={"found": found}) as step:
        step.usage(input=800, output=20)
        step.cost(0.0125)
        step.log("thinking", level="debug")
        step.set(temperature_of_the_river=7)
        step.output = "Otters live in rivers."
    return "Otters live in rivers."


@ams.agent
def clumsy() -> None:
    with ams.tool("book"):
        raise TimeoutError("no seat\nfree")


def test_steps_have_their_contents_in_the_order_of_their_starts(ams_recorder: Recorder) -> None:
    planner("otters")

    root, tool, answer = ams_recorder.steps()
    assert (root.name, root.type, root.status, root.parent_id) == ("planner", "agent", "ok", None)
    assert root.input == {"topic": "otters"}
    assert root.output == "Otters live in rivers."
    assert (tool.parent_id, tool.task_id, tool.agent, tool.output) == (root.id, root.task_id, "planner", ["otters", "rivers"])
    assert (answer.model, answer.tokens, answer.cost_usd) == ("gpt-test", 820, 0.0125)
    assert [(line.level, line.text) for line in answer.logs] == [("debug", "thinking")]
    assert answer.attributes["temperature_of_the_river"] == 7
    assert answer.duration_seconds is not None
    assert [step.name for step in ams_recorder.steps(type="tool")] == ["search"]
    assert [step.type for step in ams_recorder.steps(name="answer")] == ["llm"]
    assert [task.name for task in ams_recorder.tasks()] == ["planner"]


def test_a_failed_step_has_its_error_and_stack(ams_recorder: Recorder) -> None:
    with pytest.raises(TimeoutError):
        clumsy()

    book = ams_recorder.step("book")
    assert book.failed
    assert not book.ok
    assert (book.error_type, book.error_message) == ("TimeoutError", "no seat\nfree")
    assert "raise TimeoutError" in (book.error_stack or "")


def test_a_name_that_no_step_or_several_have_shows_the_tree(ams_recorder: Recorder) -> None:
    search("a")
    search("b")

    with pytest.raises(LookupError, match=r"2 steps are called 'search'"):
        ams_recorder.step("search")
    with pytest.raises(LookupError, match=r"0 steps are called 'book'(.|\n)*search \[tool\]"):
        ams_recorder.step("book")


@pytest.mark.parametrize("arguments", [{}, {"api_key": "ams_other", "endpoint": "http://127.0.0.1:9"}, {"transport": "console"}])
def test_code_that_calls_init_is_still_recorded(ams_recorder: Recorder, arguments: dict[str, str]) -> None:
    search("before")
    assert ams.init(**arguments, tags={"team": "rivers"}, sample_rate=0.0)  # type: ignore[arg-type]  # texts only
    search("after")

    assert [step.input for step in ams_recorder.steps()] == [{"topic": "before"}, {"topic": "after"}]
    assert ams_recorder.tasks()[-1].tags == {"team": "rivers"}


def test_code_that_shuts_down_is_recorded_until_then(ams_recorder: Recorder) -> None:
    search("before")
    ams.shutdown()
    search("after")

    assert [step.input for step in ams_recorder.steps()] == [{"topic": "before"}]


def test_what_was_there_before_is_restored() -> None:
    client, settings = current_client(), (runtime.queue, runtime.endpoint, runtime.tags)

    with record() as recorder:
        ams.init("ams_other", endpoint="http://127.0.0.1:9", tags={"a": "b"})
        search("a")
        assert recorder.step("search").ok

    assert current_client() is client
    assert (runtime.queue, runtime.endpoint, runtime.tags) == settings


def test_a_recording_does_not_join_the_step_around_it() -> None:
    with record() as outer:
        with ams.step("around"):
            with record() as inner:
                search("a")
                assert inner.tree == "search [tool]"
            search("b")
        assert outer.tree == "around [span]\n  search [tool]"


def test_secrets_are_masked_as_in_production(ams_recorder: Recorder) -> None:
    search("Bearer abcdefghijklmnopqrstuvwxyz0123456789")

    assert "abcdefghijkl" not in str(ams_recorder.step("search").input)


def test_steps_of_several_threads_are_all_there(ams_recorder: Recorder) -> None:
    with ams.step("around"):
        threads = [threading.Thread(target=ams.carry(search), args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert ams_recorder.tree == "around [span]\n" + "  search [tool]\n" * 4


def test_both_fixtures_see_the_same_steps(ams_recorder: Recorder, ams_events: CapturedEvents) -> None:
    search("a")

    assert [step.name for step in ams_recorder.steps()] == [step.name for step in ams_events.steps()] == ["search"]


def test_an_open_step_is_shown_as_running(ams_recorder: Recorder) -> None:
    with ams.step("slow"):
        assert ams_recorder.tree == "slow [span] running"
        with pytest.raises(AssertionError, match="slow is still running"):
            ams_recorder.assert_within(latency_seconds=1)


@pytest.mark.ams_recorder(fixed=True)
@pytest.mark.parametrize("run", [1, 2])
def test_fixed_ids_count_and_the_clock_is_moved_by_the_test(ams_recorder: Recorder, run: int) -> None:
    with ams.task("first"), ams.step("second"):
        ams_recorder.clock.advance(2)

    first, second = ams_recorder.steps()
    assert (first.task_id, first.id, second.id) == (f"{1:032x}", f"{1:016x}", f"{2:016x}")
    assert second.duration_seconds == 2
    assert ams_recorder.tasks()[0].started_at_us == 1_767_225_600_000_000


def test_the_real_clock_is_back_after_a_fixed_one(ams_recorder: Recorder) -> None:
    search("a")

    assert ams_recorder.step("search").id != f"{1:016x}"
    with pytest.raises(RuntimeError, match="fixed=True"):
        _ = ams_recorder.clock


def test_a_tree_ignores_indentation_and_shows_errors(ams_recorder: Recorder) -> None:
    planner("otters")
    with pytest.raises(TimeoutError):
        clumsy()

    expected = """
        planner [agent]
          search [tool]
          answer [llm]
        clumsy [agent] error: TimeoutError: no seat free
          book [tool] error: TimeoutError: no seat free
    """
    assert ams_recorder.tree == expected
    assert expected == ams_recorder.tree
    ams_recorder.assert_tree(expected)
    assert ams_recorder.tree != "planner [agent]"
    with pytest.raises(AssertionError, match=r"\n-  book \[tool\]\n\+  search \[tool\]\n"):
        ams_recorder.assert_tree(expected.replace("search", "book"))


def test_order_is_that_of_the_first_steps(ams_recorder: Recorder) -> None:
    for name in ("search", "book", "search"):
        with ams.tool(name):
            pass

    ams_recorder.assert_order("search", "book")
    ams_recorder.assert_order("search", "book", "search")
    with pytest.raises(AssertionError, match=r"'search' started before 'book'\. Recorded: search, book, search"):
        ams_recorder.assert_order("book", "search")
    with pytest.raises(AssertionError, match="1 steps called 'book', not 2"):
        ams_recorder.assert_order("book", "book")
    with pytest.raises(AssertionError, match="0 steps called 'pay'"):
        ams_recorder.assert_order("pay")


def test_errors_are_listed(ams_recorder: Recorder) -> None:
    planner("otters")
    ams_recorder.assert_no_errors()

    with pytest.raises(TimeoutError):
        clumsy()
    with pytest.raises(AssertionError, match=r"2 of 5 steps failed:\n  clumsy .*\n  book \[tool\] error: TimeoutError: no seat free"):
        ams_recorder.assert_no_errors()


def test_no_assertion_holds_when_nothing_was_recorded(ams_recorder: Recorder) -> None:
    for assertion in (ams_recorder.assert_no_errors, ams_recorder.assert_snapshot, lambda: ams_recorder.assert_within(steps=1)):
        with pytest.raises(AssertionError, match="Nothing was recorded"):
            assertion()


@pytest.mark.ams_recorder(fixed=True)
def test_every_budget_names_the_figures(ams_recorder: Recorder) -> None:
    with ams.step("around"):
        planner("otters")
        ams_recorder.clock.advance(1)
    ams_recorder.assert_within(cost_usd=0.0125, tokens=820, steps=4, latency_seconds=1)

    with pytest.raises(AssertionError) as raised:
        ams_recorder.assert_within(cost_usd=0.01, tokens=800, steps=2, latency_seconds=0.5)

    assert str(raised.value).splitlines() == [
        "Over the budget:",
        "  cost: $0.0125, the budget is $0.01 (answer $0.0125)",
        "  tokens: 820, the budget is 800 (answer 820)",
        "  steps: 4, the budget is 2",
        "  latency: around took 1.000 s, the budget is 0.5 s",
    ]
    with pytest.raises(ValueError, match="needs a budget"):
        ams_recorder.assert_within()


def test_a_budget_does_not_hold_for_unknown_figures(ams_recorder: Recorder) -> None:
    with ams.llm("answer"):
        pass

    with pytest.raises(AssertionError, match=r"cost: unknown of 1 model calls \(answer\)\n  tokens: unknown"):
        ams_recorder.assert_within(cost_usd=1, tokens=1)


def test_events_that_are_missing_are_an_error(ams_recorder: Recorder) -> None:
    ams.init(waiting_items_max=0)
    search("a")

    with pytest.raises(RuntimeError, match="were not recorded"):
        ams_recorder.steps()
