"""What is sent: which events, with which documents and payloads."""

import asyncio
import itertools
import json
import threading
from typing import Any

import pytest

import ams
from ams_contracts.documents import CostSource, Slot, Status, Usage
from ams_contracts.events import (
    AgentRegistered,
    PayloadStored,
    StepEnded,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskStarted,
    TaskUpdated,
)
from ams_contracts.fold import EMPTY_STEP, fold

MESSAGES = "application/vnd.ams.messages+json"


@pytest.fixture
def slow(intake: Any) -> Any:
    """Tracing that sends only on flush, so that a test decides which items are in the queue together."""
    ams.init("ams_test", endpoint=intake.url, flush_interval_seconds=3_600, announce=False)
    yield intake
    ams.shutdown(timeout_seconds=1)


def test_a_step_shorter_than_a_flush_is_one_event(slow: Any) -> None:
    with ams.task("task"):
        with ams.step("short", type="tool"):
            pass
        ams.flush()

    ams.flush()
    kinds = [(type(event).__name__, getattr(getattr(event, "step", None), "name", None)) for event in slow.events()]
    assert kinds == [
        ("TaskStarted", None),
        ("StepStarted", "task"),
        ("StepProgressed", None),  # the task's first heartbeat
        ("StepRecorded", "short"),
        ("StepEnded", "task"),
        ("TaskEnded", None),
    ]


def test_a_longer_step_is_sent_when_it_starts_and_when_it_ends(slow: Any) -> None:
    with ams.task("task"), ams.step("long", type="llm", model="gpt-4o", input="hello") as step:
        ams.flush()
        assert [event.step.name for event in slow.of(StepStarted)] == ["task", "long"]
        assert slow.payload("long", "input").text == "hello"
        step.output = "world"

    ams.flush()
    [ended] = [event for event in slow.of(StepEnded) if event.step.name == "long"]
    [started] = [event for event in slow.of(StepStarted) if event.step.name == "long"]
    assert ended.step.seq == started.step.seq == started.seq
    assert ended.step.captured == [Slot.INPUT, Slot.OUTPUT]
    assert ended.step.model == "gpt-4o"
    assert len([event for event in slow.of(PayloadStored) if event.slot == "input"]) == 1


def test_seq_counts_from_one_without_gaps_in_every_task(tracing: Any) -> None:
    def work(name: str) -> None:
        with ams.task(name):
            for number in range(50):
                with ams.step(f"{number}", input="x") as step:
                    step.log("a line")

    threads = [threading.Thread(target=work, args=(f"task {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ams.flush().complete

    batches = tracing.batches()
    for task_id in tracing.tasks():
        seqs = [event.seq for batch in batches if batch.task_id == task_id for event in batch.events]
        assert seqs == list(range(1, len(seqs) + 1))
    ids = [event.event_id for event in tracing.events()]
    assert len(set(ids)) == len(ids)


def test_every_order_of_the_events_folds_to_the_same_step(slow: Any) -> None:
    with ams.task("task"), ams.step("s") as step:
        ams.flush()
        step.wait("for a person")
        ams.flush()
        step.input = "said late"
        ams.flush()
        step.resume()

    ams.flush()
    step_id: str = slow.step_ids()["s"]
    mine = [
        e
        for e in slow.of(StepStarted, StepEnded, StepProgressed)
        if step_id in (getattr(e, "step_id", None), *(s.step_id for s in getattr(e, "steps", ())))
    ]
    assert len(mine) > 4
    states: set[str] = set()
    state = EMPTY_STEP
    for order in itertools.islice(itertools.permutations(mine), 200):
        state = EMPTY_STEP
        for event in order:
            state = fold(state, event, step_id)
        states.add(str(state))
    assert len(states) == 1
    assert state.status is Status.OK


def test_an_exception_is_recorded_and_raised_untouched(tracing: Any) -> None:
    error = ValueError("no such city")

    @ams.tool
    def weather() -> None:
        raise error

    with pytest.raises(ValueError, match="no such city") as caught, ams.task("task"):
        weather()

    assert caught.value is error
    assert error.__context__ is None
    ams.flush()
    step = tracing.steps()["weather"]
    assert (step.status, step.error.type, step.error.message) == ("error", "ValueError", "no such city")
    assert "raise error" in tracing.payload("weather", "error_stack").text
    assert "ams/tracing" not in tracing.payload("weather", "error_stack").text
    assert tracing.steps()["task"].status == "error"
    assert [event.slot for event in tracing.of(PayloadStored)] == ["error_stack"]
    [task] = tracing.tasks().values()
    assert (task.status, task.error.message) == ("error", "no such city")


def test_being_cancelled_is_no_error(tracing: Any) -> None:
    @ams.agent
    async def agent() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(agent())

    ams.flush()
    assert tracing.steps()["agent"].status == "cancelled"
    assert [task.status for task in tracing.tasks().values()] == ["cancelled"]


def test_an_error_can_be_reported_without_an_exception(tracing: Any) -> None:
    with ams.task("task"), ams.step("s") as step:
        step.error("the answer was empty")

    ams.flush()
    assert tracing.steps()["s"].status == "error"
    assert tracing.steps()["s"].error.message == "the answer was empty"
    assert tracing.steps()["task"].status == "ok"


def test_a_wait_shows_on_the_step_and_on_its_task(slow: Any) -> None:
    with ams.task("task"), ams.step("approve") as step:
        with step.waiting("for approval"):
            ams.flush()
            [task] = slow.tasks().values()
            assert task.status == "waiting"
            assert [entry.status for event in slow.of(StepProgressed) for entry in event.steps][-1] == "waiting"
            waiting = slow.of(StepStarted)[-1].step
            assert (waiting.name, waiting.status, waiting.waiting_for) == ("approve", "waiting", "for approval")
            assert waiting.started_at_us <= waiting.waiting_since_us
        ams.flush()
        assert (slow.of(StepStarted)[-1].step.status, slow.of(StepStarted)[-1].step.waiting_for) == ("running", None)
        [task] = slow.tasks().values()
        assert task.status == "running"

    ams.flush()
    assert slow.steps()["approve"].status == "ok"
    assert [line.text for event in slow.of(StepProgressed) for line in event.logs] == ["waiting for approval"]


def test_pieces_are_sent_at_once_joined_and_become_the_output(slow: Any) -> None:
    with ams.task("task"), ams.llm("write") as step:
        ams.flush()
        for word in ("a", "b", "c"):
            step.delta(word)
        ams.flush()
        step.delta("d" * 5_000)

    ams.flush()
    deltas = [delta for event in slow.of(StepProgressed) for delta in event.deltas]
    assert [(delta.index, len(delta.text)) for delta in deltas] == [(0, 3), (1, 4_096), (2, 904)]
    assert slow.payload("write", "output").text == "abc" + "d" * 5_000
    assert slow.steps()["write"].ttft_us is not None


def test_model_tokens_cost_and_other_fields_are_in_the_document(tracing: Any) -> None:
    with ams.task("task"), ams.llm("think") as step:
        step.usage(input=100, cache_read=60)
        step.usage(output=20, nonsense=3)
        step.model = "gpt-4o-2024-08-06"
        step.cost(0.00123)
        step.set(provider="openai", model_requested="gpt-4o", finish_reason="stop", parameters={"temperature": 0.2}, tier="gold")

    ams.flush()
    document = tracing.steps()["think"]
    assert document.usage == Usage(input=100, output=20, cache_read=60)
    assert (document.cost_nusd, document.cost_source) == (1_230_000, CostSource.REPORTED)
    assert (document.provider, document.model, document.model_requested) == ("openai", "gpt-4o-2024-08-06", "gpt-4o")
    assert document.finish_reasons == ["stop"]
    assert document.parameters == '{"temperature":0.2}'
    assert json.loads(tracing.payload("think", "original").text) == {"attributes": {"tier": "gold"}, "consumed": []}


def test_a_conversation_is_stored_as_messages(tracing: Any) -> None:
    @ams.llm
    def chat(messages: list[dict[str, Any]], model: str, temperature: float = 0.0) -> dict[str, Any]:
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}],
        }

    chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather\nin Paris?"}], model="gpt-4o", temperature=0.3)

    ams.flush()
    document = tracing.steps()["chat"]
    assert (document.preview_input, document.preview_output) == ("Weather in Paris?", "get_weather(city=Paris)")
    assert (document.model_requested, document.parameters) == ("gpt-4o", '{"temperature":0.3}')
    payload = tracing.payload("chat", "input")
    assert payload.mime == MESSAGES
    assert json.loads(payload.text)[1] == {"role": "user", "content": [{"type": "text", "text": "Weather\nin Paris?"}]}
    assert json.loads(tracing.payload("chat", "output").text)[0]["content"][0]["arguments"] == {"city": "Paris"}


def test_what_is_not_to_be_captured_is_not(tracing: Any) -> None:
    @ams.tool(capture_input=False, capture_output=False)
    def secret(password: str) -> str:
        return password

    secret("hunter2")

    ams.flush()
    assert tracing.steps()["secret"].captured == []
    assert "hunter2" not in str(tracing.events())


def test_a_payload_is_cut_at_a_megabyte_and_says_so(tracing: Any) -> None:
    with ams.task("task"), ams.step("big") as step:
        step.input = "x" * 3_000_000
        step.output = ["\x01" * 400_000]

    assert ams.flush().complete
    text = tracing.payload("big", "input")
    assert (text.bytes, text.truncated, len(text.text)) == (3_000_000, True, 1_000_000)
    odd = tracing.payload("big", "output")
    assert odd.truncated
    assert max(tracing.sizes) <= 4 * 1024 * 1024


def test_odd_characters_do_not_cost_the_step(tracing: Any) -> None:
    with ams.task("nul \x00 and half \ud800"), ams.step("s") as step:
        step.input = "a\x00b\udfff"
        step.output = {"\ud83d": "\udc4b"}

    assert ams.flush().complete
    assert tracing.payload("s", "input").text == "a\ufffdb?"


def test_an_agent_is_introduced_once(tracing: Any) -> None:
    @ams.agent(version="2", tools=["search"])
    def planner() -> None:
        """Plan things.

        At length.
        """

    planner()
    planner()

    ams.flush()
    [registered] = tracing.of(AgentRegistered)
    assert (registered.name, registered.version, registered.description, registered.tools) == ("planner", "2", "Plan things.", ["search"])


def test_a_task_says_for_whom_and_with_whom(slow: Any) -> None:
    with ams.task("task", user_id="ada", conversation_id="c1", tags={"tier": "gold"}, kind="chat") as task:
        ams.flush()
        task.set(tags={"lang": "en"}, environment="prod")
        task.input = "Hello?"
        with ams.agent("planner"):
            pass

    ams.flush()
    [started], [ended] = slow.of(TaskStarted), slow.of(TaskEnded)
    assert started.task.status == "running"
    assert (ended.task.user_id, ended.task.conversation_id, ended.task.kind, ended.task.agent) == ("ada", "c1", "chat", "planner")
    assert (ended.task.tags, ended.task.environment) == ({"tier": "gold", "lang": "en"}, "prod")
    assert ended.task.duration_us == ended.task.ended_at_us - ended.task.started_at_us
    assert slow.of(TaskUpdated)


def test_a_function_can_be_a_task(tracing: Any) -> None:
    @ams.task(user_id="ada")
    def answer(question: str) -> str:
        return question.upper()

    with ams.task("outer"):
        answer("hello")

    ams.flush()
    assert {task.name: task.user_id for task in tracing.tasks().values()} == {"outer": None, "answer": "ada"}
    assert tracing.payload("answer", "output").text == "HELLO"


def test_a_task_knows_its_address(tracing: Any) -> None:
    with ams.task("task") as task:
        pass

    assert task.url == f"{tracing.url}/t/{task.task_id}"


def test_a_heartbeat_names_every_open_step_with_its_tokens(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, flush_interval_seconds=0.01, heartbeat_seconds=0.05, announce=False)

    with ams.task("task"), ams.step("open") as step:
        step.usage(output=7)
        intake.wait(lambda: any(len(event.steps) == 2 for event in intake.of(StepProgressed)))
        ids = intake.step_ids()

    beat = next(event for event in intake.of(StepProgressed) if len(event.steps) == 2)
    assert {entry.step_id: entry.usage for entry in beat.steps} == {ids["task"]: None, ids["open"]: Usage(output=7)}
    ams.shutdown()


def test_words_that_are_no_step_type_are_kept(tracing: Any) -> None:
    with ams.task("task"), ams.step("s", type="daydream"):
        pass

    ams.flush()
    assert (tracing.steps()["s"].type, tracing.steps()["s"].type_raw) == ("span", "daydream")


def test_a_recorded_step_needs_no_other_event(slow: Any) -> None:
    @ams.tool
    def search(query: str) -> list[str]:
        return [query]

    search("otters")

    ams.flush()
    [recorded], [ended] = slow.of(StepRecorded), slow.of(TaskEnded)
    assert slow.of(StepStarted, TaskStarted) == []
    assert recorded.step.seq == recorded.seq == 1
    assert recorded.step.preview_input == "otters"
    assert (ended.task.name, ended.task.preview, ended.task.status) == ("search", "otters", "ok")
