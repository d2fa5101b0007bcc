"""Input, output, their messages and their previews."""

import json
from hashlib import sha256
from typing import Any

import pytest
from tests.reference import map_one, step_of

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored
from ams_trace_ingest.mapping.original import read_original
from ams_trace_ingest.mapping.span_model import Dropped, SpanEvent

MESSAGES = "application/vnd.ams.messages+json"
LLM = {"gen_ai.operation.name": "chat"}
THREE_ZEROS = sha256(bytes(3)).hexdigest()


def payload(slot: Slot, attributes: dict[str, Any], **options: Any) -> PayloadStored:
    return next(item for item in map_one(attributes, **options).payloads if item.slot is slot)


def messages(slot: Slot, attributes: dict[str, Any], **options: Any) -> Any:
    stored = payload(slot, attributes, **options)
    assert stored.mime == MESSAGES
    return json.loads(stored.text)


def text(role: str, words: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": words}]}


def call(name: str, arguments: Any, identifier: str | None = "c1") -> dict[str, Any]:
    return {"type": "tool_call", "id": identifier, "name": name, "arguments": arguments}


@pytest.mark.parametrize(
    "value",
    [
        # OpenTelemetry
        [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        # OpenAI chat
        [{"role": "user", "content": "hi"}],
        {"messages": [{"role": "user", "content": "hi"}], "model": "m"},
        # OpenAI responses, Vercel, Anthropic
        [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        {"input": "hi", "instructions": None},
        # LangChain
        {
            "messages": [
                [{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "hi"}}]
            ]
        },
        {"messages": [{"type": "human", "data": {"content": "hi"}}]},
        # Gemini
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        # Bedrock, Strands
        [{"role": "user", "content": [{"text": "hi"}]}],
    ],
)
def test_a_conversation_of_any_dialect_is_messages(value: Any) -> None:
    assert messages(Slot.INPUT, {**LLM, "input.value": json.dumps(value)}) == [text("user", "hi")]
    assert step_of({**LLM, "input.value": json.dumps(value)}).preview_input == "hi"


@pytest.mark.parametrize(
    "value",
    [
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a": 1}'}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "f", "args": {"a": 1}}]},
        {"role": "model", "parts": [{"function_call": {"id": "c1", "name": "f", "args": {"a": 1}}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}]},
        {"type": "ai", "data": {"content": "", "tool_calls": [{"id": "c1", "name": "f", "args": {"a": 1}}]}},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"choices": [{"message": {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}]}}]},
        {"content": {"role": "model", "parts": [{"function_call": {"id": "c1", "name": "f", "args": {"a": 1}}}]}},
    ],
)
def test_a_tool_call_of_any_dialect(value: Any) -> None:
    got = messages(Slot.OUTPUT, {**LLM, "output.value": json.dumps([value] if value.get("type") == "function_call" else value)})

    assert got == [{"role": "assistant", "content": [call("f", {"a": 1})]}]


@pytest.mark.parametrize(
    "value",
    [
        {"role": "tool", "tool_call_id": "c1", "content": "21C"},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "21C"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": [{"text": "21C"}]}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": {"type": "text", "value": "21C"}}]},
        {"type": "tool", "data": {"content": "21C", "tool_call_id": "c1"}},
        {"type": "function_call_output", "call_id": "c1", "output": "21C"},
    ],
)
def test_a_tool_result_of_any_dialect(value: Any) -> None:
    got = messages(Slot.INPUT, {**LLM, "input.value": json.dumps([value])})

    assert got == [{"role": "tool", "content": [{"type": "tool_result", "id": "c1", "result": "21C"}]}]


def test_reasoning_media_and_what_is_unknown() -> None:
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "input_image", "image_url": "data:image/jpeg;base64,AAAA"},
        {"type": "hologram", "points": 3},
    ]

    (message,) = messages(Slot.OUTPUT, {**LLM, "output.value": json.dumps({"role": "assistant", "content": parts})})

    assert message["content"] == [
        {"type": "reasoning", "text": "hm"},
        {"type": "media", "mime": "image/*", "uri": "https://x/y.png"},
        {"type": "media", "mime": "image/png", "bytes": 3, "sha256": THREE_ZEROS},
        {"type": "media", "mime": "image/jpeg", "bytes": 3, "sha256": THREE_ZEROS},
        {"type": "hologram", "points": 3},
    ]


def test_system_instructions_come_first() -> None:
    attributes = {
        **LLM,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
        "gen_ai.system_instructions": '[{"type":"text","content":"be brief"}]',
    }

    assert messages(Slot.INPUT, attributes) == [text("system", "be brief"), text("user", "hi")]
    assert step_of(attributes).preview_input == "hi"


def test_flat_openinference_messages() -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        "input.value": "ignored",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "hi",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "be brief",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": 1}',
    }

    assert messages(Slot.INPUT, attributes) == [text("system", "be brief"), text("user", "hi")]
    assert messages(Slot.OUTPUT, attributes) == [{"role": "assistant", "content": [call("f", {"a": 1})]}]
    assert step_of(attributes).preview_output == "f(a=1)"


def test_flat_openllmetry_prompts() -> None:
    attributes = {
        "llm.request.type": "chat",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "hi",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "ho",
        "gen_ai.completion.0.finish_reason": "stop",
    }

    assert messages(Slot.INPUT, attributes) == [text("user", "hi")]
    assert messages(Slot.OUTPUT, attributes) == [text("assistant", "ho")]
    assert step_of(attributes).finish_reasons == ["stop"]


def test_all_detail_events_are_merged() -> None:
    name = "gen_ai.client.inference.operation.details"
    events = [
        SpanEvent(name, attributes={"gen_ai.system_instructions": '[{"type":"text","content":"be brief"}]'}),
        SpanEvent(name, attributes={"gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'}),
        SpanEvent(name, attributes={"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "ho"}]}]}),
    ]

    assert messages(Slot.INPUT, LLM, events=events) == [text("system", "be brief"), text("user", "hi")]
    assert messages(Slot.OUTPUT, LLM, events=events) == [text("assistant", "ho")]


def test_legacy_events() -> None:
    events = [
        SpanEvent("gen_ai.user.message", attributes={"content": "hi"}),
        SpanEvent("gen_ai.tool.message", attributes={"content": "21C", "id": "c1"}),
        SpanEvent("gen_ai.choice", attributes={"message": '{"content": "ho"}', "finish_reason": "stop"}),
    ]

    assert messages(Slot.INPUT, LLM, events=events) == [
        text("user", "hi"),
        {"role": "tool", "content": [{"type": "tool_result", "id": "c1", "result": "21C"}]},
    ]
    assert messages(Slot.OUTPUT, LLM, events=events) == [{**text("assistant", "ho"), "finish_reason": "stop"}]


def test_events_that_are_written_into_an_attribute() -> None:
    spoken = [
        {"event.name": "gen_ai.user.message", "role": "user", "content": "hi"},
        {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "ho"}},
    ]

    attributes = {**LLM, "events": json.dumps(spoken)}

    assert messages(Slot.INPUT, attributes) == [text("user", "hi")]
    assert messages(Slot.OUTPUT, attributes) == [text("assistant", "ho")]


def test_a_tool_takes_input_value_first() -> None:
    attributes = {
        "openinference.span.kind": "TOOL",
        "input.value": '{"city": "Paris"}',
        "llm.input_messages.0.message.content": "x",
        "gen_ai.tool.call.arguments": "{}",
    }

    stored = payload(Slot.INPUT, attributes)

    assert (stored.mime, stored.text) == ("application/json", '{"city": "Paris"}')


def test_a_tools_schema_is_not_its_input() -> None:
    schema = {"openinference.span.kind": "TOOL", "tool.parameters": '{"query": {"type": "string"}}'}
    arguments = {"openinference.span.kind": "TOOL", "tool.parameters": '{"query": "cats"}'}

    assert step_of(schema).preview_input is None
    assert step_of(arguments).preview_input == "cats"


def test_retrieved_documents() -> None:
    attributes = {
        "openinference.span.kind": "RETRIEVER",
        "input.value": "cats",
        "retrieval.documents.0.document.content": "about cats",
        "retrieval.documents.0.document.metadata": '{"src": 0}',
        "retrieval.documents.1.document.content": "more cats",
    }

    stored = payload(Slot.OUTPUT, attributes)

    assert json.loads(stored.text) == [{"content": "about cats", "metadata": {"src": 0}}, {"content": "more cats"}]
    assert step_of(attributes).preview_output == "about cats, more cats"


def test_mlflow_quotes_every_value() -> None:
    attributes = {
        "mlflow.spanType": '"AGENT"',
        "mlflow.spanInputs": '{"q": "what?"}',
        "mlflow.spanOutputs": '"It is 21."',
        "mlflow.spanFunctionName": '"agent"',
    }

    stored = payload(Slot.OUTPUT, attributes)

    assert (stored.mime, stored.text) == ("text/plain", "It is 21.")
    assert step_of(attributes).name == "agent"


def test_adk_tools_say_braces_for_nothing() -> None:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gcp.vertex.agent.llm_request": "{}",
        "gcp.vertex.agent.tool_call_args": '{"city": "Paris"}',
    }

    assert step_of(attributes).preview_input == "Paris"


@pytest.mark.parametrize(
    ("value", "preview"),
    [
        ("plain  words\nof two lines", "plain words of two lines"),
        ('{"city": "Paris", "nights": 3}', "city=Paris nights=3"),
        ('{"args": ["what is up"], "kwargs": {}}', "what is up"),
        ('{"task": "Describe cats", "stream": false, "images": null}', "Describe cats"),
        ("{'question': 'Why?', 'k': None}", "Why?"),
        ("ActionStep(step_number=1, action_output='42', observations='x')", "42"),
        ("content='Hi there' additional_kwargs={} response_metadata={'x': 1}", "Hi there"),
        ('{"content": [{"type": "text", "text": "the shelf is locked"}], "isError": true}', "the shelf is locked"),
        ('{"inputs": {"q": "Paris", "n": 0}, "tags": ["t"], "metadata": {"a": 1}}', "q=Paris n=0"),
        ('{"messages": [{"role": "user", "content": "hi"}], "other": 1}', "hi"),
        ('["a", "b"]', "a, b"),
        ('{"content": "cut off in the mid', "cut off in the mid"),
        ("[INFO] started", "[INFO] started"),
        ('"quoted"', "quoted"),
        ("x" * 600, "x" * 512),
        ("\N{GRINNING FACE}" * 600, "\N{GRINNING FACE}" * 512),
    ],
)
def test_previews(value: str, preview: str) -> None:
    step = step_of({"openinference.span.kind": "CHAIN", "input.value": value})

    if value.endswith("mid"):
        assert step.preview_input is not None
        assert "cut off" in step.preview_input
    else:
        assert step.preview_input == preview


def test_a_cut_value_has_its_true_length() -> None:
    dropped = Dropped(cut={"input.value": 3_000_000})

    item = map_one({**LLM, "input.value": "x" * 1_048_576}, dropped=dropped)
    stored = next(entry for entry in item.payloads if entry.slot is Slot.INPUT)

    assert (stored.bytes, stored.truncated) == (3_000_000, True)
    assert "truncated" in item.event.step.flags
    assert json.loads(item.payloads[0].text)["consumed"] == ["gen_ai.operation.name"]


def test_an_original_has_what_nothing_else_holds_and_carries_the_rest_beside_it() -> None:
    attributes = {**LLM, "gen_ai.request.model": "m", "my.own": 1, "gen_ai.request.temperature": 0.5, "input.value": "hi"}

    payloads = map_one(attributes).payloads

    assert json.loads(payloads[0].text)["attributes"] == {"my.own": 1}
    assert [entry[1:] for entry in json.loads(payloads[0].consumed or "")] == [
        ["gen_ai.operation.name", "chat"],
        ["gen_ai.request.model", "m"],
        ["gen_ai.request.temperature", 0.5],
        ["input.value", None, "input"],
    ]
    assert list(read_original(payloads)[2].attributes.items()) == list(attributes.items())


def test_a_large_original_stays_whole_and_names_what_is_held_elsewhere() -> None:
    attributes = {**LLM, "my.own": "x" * 300_000}

    original = map_one(attributes).payloads[0]

    assert json.loads(original.text)["attributes"] == attributes
    assert json.loads(original.text)["consumed"] == ["gen_ai.operation.name"]
    assert original.consumed is None
