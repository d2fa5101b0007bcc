"""The fake model by the protocols of its providers, in process, and in the place of a recorded task."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import ams
from ams.testing import Cassette, CassetteError, Failure, FakeModel, ModelTransport, Recorder, Reply, ScriptEndedError, ToolCall, serving
from ams.testing.cassette import cassette_of, encode

QUESTION = [{"role": "user", "content": "Where do otters live?"}]
SEARCH = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}


def a_client(model: FakeModel) -> httpx.Client:
    return httpx.Client(transport=ModelTransport(model), base_url="http://model")


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_it_says_what_its_script_says_in_process() -> None:
    model = FakeModel([ToolCall("search", {"topic": "otters"}), "In rivers.", Reply(text="In lakes.", input_tokens=7, output_tokens=2)])

    called, said, counted = (model.complete(QUESTION, model="m") for _ in range(3))

    assert [call.name for call in called.tool_calls] == ["search"]
    assert (said.text, counted.text, counted.input_tokens) == ("In rivers.", "In lakes.", 7)
    assert said.input_tokens == 1 + len(QUESTION[0]["role"] + "\n" + QUESTION[0]["content"]) // 4
    assert [call.model for call in model.calls] == ["m", "m", "m"]
    model.assert_finished()


def test_more_and_fewer_calls_than_turns_are_faults() -> None:
    model = FakeModel(["one", "two"])
    model.complete(QUESTION)
    with pytest.raises(AssertionError, match="1 of 2 turns"):
        model.assert_finished()

    model.complete(QUESTION)
    with pytest.raises(ScriptEndedError, match="has 2 turns, and this is call 3"):
        model.complete(QUESTION)
    with pytest.raises(AssertionError, match="1 calls more"):
        model.assert_finished()


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_as_openai_chat_completions(stream: bool) -> None:
    model = FakeModel([ToolCall("search", {"topic": "otters"}), "In rivers, mostly by day."])
    body = {"model": "gpt-test", "messages": QUESTION, "tools": [SEARCH], "stream": stream, "stream_options": {"include_usage": True}}

    with a_client(model) as client:
        first, second = (client.post("/v1/chat/completions", json=body) for _ in range(2))

    assert model.calls[0].tools == ["search"]
    if not stream:
        [call] = first.json()["choices"][0]["message"]["tool_calls"]
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("search", {"topic": "otters"})
        assert second.json()["choices"][0]["message"]["content"] == "In rivers, mostly by day."
        return
    chunks = events_of(second)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert text == "In rivers, mostly by day."
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert any(chunk["choices"][0]["delta"].get("tool_calls") for chunk in events_of(first) if chunk["choices"])


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_as_anthropic_messages(stream: bool) -> None:
    model = FakeModel([Reply(text="Let me see.", tool_calls=[ToolCall("search", {"topic": "otters"})], cached_tokens=2, input_tokens=9)])

    with a_client(model) as client:
        answer = client.post("/v1/messages", json={"model": "claude-test", "messages": QUESTION, "stream": stream, "system": "Be brief."})

    if not stream:
        assert [block["type"] for block in answer.json()["content"]] == ["text", "tool_use"]
        assert (answer.json()["stop_reason"], answer.json()["usage"]["input_tokens"]) == ("tool_use", 7)
        return
    kinds = [event["type"] for event in events_of(answer)]
    deltas = [event["delta"] for event in events_of(answer) if event["type"] == "content_block_delta"]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert "".join(delta.get("text", "") for delta in deltas) == "Let me see."
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"topic": "otters"}


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_as_openai_responses(stream: bool) -> None:
    model = FakeModel([Reply(text="In rivers, mostly by day.", tool_calls=[ToolCall("search")])])

    with a_client(model) as client:
        answer = client.post("/v1/responses", json={"model": "gpt-test", "input": "Where?", "stream": stream})

    document = events_of(answer)[-1]["response"] if stream else answer.json()
    assert [item["type"] for item in document["output"]] == ["message", "function_call"]
    if stream:
        said = [event["delta"] for event in events_of(answer) if event["type"] == "response.output_text.delta"]
        assert "".join(said) == "In rivers, mostly by day."


def test_failures_and_unreadable_requests_have_a_status_and_a_reason() -> None:
    model = FakeModel([Failure(429, "slow down")])

    async def asynchronous() -> httpx.Response:
        async with httpx.AsyncClient(transport=ModelTransport(model), base_url="http://model") as client:
            return await client.post("/v1/chat/completions", json={"model": "m", "messages": []})

    failed = asyncio.run(asynchronous())
    with a_client(model) as client:
        ended = client.post("/v1/chat/completions", json={"model": "m", "messages": []})
        unreadable = client.post("/v1/messages", content=b"{")
        elsewhere = client.post("/v1/images", json={})

    assert (failed.status_code, failed.json()["error"]["message"]) == (429, "slow down")
    assert (ended.status_code, "has 1 turns" in ended.text) == (400, True)
    assert (unreadable.status_code, elsewhere.status_code) == (400, 404)


def test_a_server_bounds_its_requests() -> None:
    with serving(FakeModel(["a"])) as server:
        taken = httpx.post(f"{server.openai_url}/chat/completions", json={"model": "m", "messages": QUESTION})
        refused = httpx.post(f"{server.url}/v1/messages", content=b" " * 5_000_000)
        models = httpx.get(f"{server.openai_url}/models")

    assert (taken.status_code, refused.status_code, models.status_code) == (200, 413, 200)


def test_the_fixture_leads_clients_to_the_model(ams_fake_model: FakeModel) -> None:
    ams_fake_model.say("hello")

    answer = httpx.post(f"{os.environ['OPENAI_BASE_URL']}/chat/completions", json={"model": "m", "messages": QUESTION})

    assert answer.json()["choices"][0]["message"]["content"] == "hello"


def search(topic: str, limit: int = 3) -> list[str]:
    raise ConnectionError("no network in tests")


def ask(model: FakeModel, find: Any) -> str:
    """An agent: one call that searches, one that answers."""
    with ams.agent("planner"):
        with ams.llm("decide", model="m", input=QUESTION) as step:
            reply = model.complete(QUESTION)
            step.usage(input=reply.input_tokens, output=reply.output_tokens)
            calls = [{"id": "c", "function": {"name": one.name, "arguments": json.dumps(dict(one.arguments))}} for one in reply.tool_calls]
            step.output = [{"role": "assistant", "content": reply.text, "tool_calls": calls}]
        found = find(**reply.tool_calls[0].arguments)
        with ams.llm("answer", model="m", input=found) as step:
            step.output = str(model.complete(found).text)
        return str(step.output)


def a_cassette(recorder: Recorder) -> Cassette:
    """A recorded run of the agent above, through the file's format."""
    model = FakeModel([ToolCall("search", {"topic": "otters"}), "In rivers."])
    ask(model, ams.tool("search")(lambda topic, limit=3: [f"{topic} live in rivers"]))
    file = cassette_of("0" * 32, "planner", recorder.steps())
    return Cassette(msgspec.json.decode(encode(file), type=type(file)))


def test_a_cassette_answers_the_calls_of_a_recorded_task(ams_recorder: Recorder) -> None:
    cassette = a_cassette(ams_recorder)

    said = ask(cassette.model, cassette.tool(search))

    assert said == "In rivers."
    assert [step.output for step in ams_recorder.steps(name="search")] == [["otters live in rivers"]] * 2
    cassette.assert_finished()


def test_a_cassette_says_what_was_not_recorded_and_what_was_not_made(ams_recorder: Recorder) -> None:
    cassette = a_cassette(ams_recorder)

    with pytest.raises(AssertionError, match=r'no recorded call search\({"limit": 3, "topic": "beavers"}\)(.|\n)*"topic": "otters"'):
        cassette.tool(search)("beavers")
    with pytest.raises(TypeError, match="have no names"):
        cassette.tool("search")("otters")
    with pytest.raises(AssertionError, match="2 of 2 turns"):
        cassette.assert_finished()


def test_a_failed_tool_fails_again_with_its_exception(ams_recorder: Recorder) -> None:
    with pytest.raises(ConnectionError):
        ams.tool(search)("otters")

    async def later(topic: str, limit: int = 3) -> None: ...

    later.__name__ = "search"
    cassette = Cassette(cassette_of("0" * 32, "t", ams_recorder.steps()))
    with pytest.raises(ConnectionError, match="no network"):
        asyncio.run(cassette.tool(later)("otters"))


def test_what_is_no_cassette_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CassetteError, match="no cassette"):
        Cassette.load(path)
    path.write_text('{"v": 9, "task_id": "a", "name": "b", "models": [], "tools": []}', encoding="utf-8")
    with pytest.raises(CassetteError, match="version 9"):
        Cassette.load(path)
