"""What senders write differently from the conventions: other names, encodings and shapes of the same facts."""

import json
from typing import Any

import pytest
from tests.reference import map_one, step_of

from ams_contracts.documents import Slot, Usage
from ams_trace_ingest.mapping.content import MESSAGES, TEXT
from ams_trace_ingest.mapping.span_model import SpanEvent

CHAT = {"gen_ai.operation.name": "chat"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PIXEL_BYTES = 70


def buckets(**counts: int) -> dict[str, Any]:
    return {"langfuse.observation.usage_details": json.dumps(counts)}


def content_of(attributes: dict[str, Any], slot: Slot = Slot.INPUT, **options: Any) -> tuple[str, Any]:
    payload = next(payload for payload in map_one(attributes, **options).payloads if payload.slot is slot)
    return payload.mime, json.loads(payload.text) if payload.mime != TEXT else payload.text


def parts_of(parts: Any, role: str = "user") -> list[dict[str, Any]]:
    mime, messages = content_of({**CHAT, "gen_ai.input.messages": json.dumps([{"role": role, "parts": parts}])})
    assert mime == MESSAGES
    assert len(messages) == 1
    return messages[0]["content"]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.usage.input_tokens": "7.0", "gen_ai.usage.output_tokens": " 2"}, Usage(input=7, output=2)),
        ({"gen_ai.usage.output_tokens": 20, "gen_ai.usage.total_tokens": 120}, Usage(input=100, output=20)),
        ({"gen_ai.usage.input_tokens": 100, "llm.token_count.total": 120}, Usage(input=100, output=20)),
        ({"gen_ai.usage": {"input_tokens": 5, "output_tokens": "2"}}, Usage(input=5, output=2)),
        (
            {"ai.usage": '{"inputTokens": 9, "outputTokens": 2, "inputTokenDetails": {"cacheReadTokens": 4}}'},
            Usage(input=9, output=2, cache_read=4),
        ),
        (
            {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens": 5},
            Usage(input=9, cache_write=5, cache_write_1h=5),
        ),
        (
            {
                "gen_ai.usage.input_tokens": 900,
                "gen_ai.usage.text.cache_read.input_tokens": 40,
                "gen_ai.usage.image.cache_read.input_tokens": 128,
                "gen_ai.usage.audio.cache_read.input_tokens": 60,
            },
            Usage(input=900, cache_read=228, audio_cache_read=60),
        ),
        (
            buckets(input=100, input_audio_tokens=50, output=20, output_audio_tokens=60, total=230),
            Usage(input=150, output=80, audio_input=50, audio_output=60),
        ),
        (
            buckets(input=100, input_audio_tokens=50, output=80, output_audio_tokens=60, total=180),
            Usage(input=100, output=80, audio_input=50, audio_output=60),
        ),
        ({"gen_ai.usage.output_tokens": 20, "gen_ai.usage.audio.output_tokens": 60}, Usage(output=80, audio_output=60)),
    ],
)
def test_usage_is_complete_however_it_is_counted(attributes: dict[str, Any], expected: Usage) -> None:
    assert step_of({**CHAT, **attributes}).usage == expected


def test_usage_words_are_no_usage() -> None:
    step = step_of({**CHAT, "gen_ai.usage.input_tokens": "7.5"})

    assert (step.usage, step.flags) == (None, ["bad_usage"])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.operation.name": "realtime_inference"}, "llm"),
        ({"gen_ai.operation.name": '"chat"'}, "llm"),
        ({"gen_ai.operation.name": "memory_search", "gen_ai.request.model": "m"}, "memory"),
        ({"gen_ai.operation.name": "count_tokens", "gen_ai.request.model": "m"}, "span"),
        ({"gen_ai.operation.name": "delete_response", "gen_ai.request.model": "m"}, "span"),
        ({"gen_ai.operation.name": "moderation", "gen_ai.request.model": "m"}, "guardrail"),
        ({"openinference.span.kind": '"TOOL"'}, "tool"),
        ({"mastra.span.type": "agent_run", "gen_ai.operation.name": "agent.run"}, "agent"),
        ({"mastra.span.type": "model_step", "gen_ai.operation.name": "model_step", "gen_ai.request.model": "m"}, "workflow"),
        ({"gen_ai.usage.total_tokens": 5}, "llm"),
        ({"gen_ai.prompt.0.content": "q", "gen_ai.completion.0.content": "a"}, "llm"),
        ({"llm.input_messages.0.message.content": "q", "llm.output_messages.0.message.content": "a"}, "llm"),
        ({"llm.input_messages.0.message.content": "q"}, "span"),
        ({"gen_ai.tool.name": "t", "gen_ai.prompt.0.content": "q", "gen_ai.completion.0.content": "a"}, "tool"),
    ],
)
def test_a_type_by_other_words(attributes: dict[str, Any], expected: str) -> None:
    assert step_of(attributes).type == expected


@pytest.mark.parametrize(
    "events",
    [
        [
            SpanEvent("gen_ai.user.message", attributes={"content": "q"}),
            SpanEvent("gen_ai.choice", attributes={"message": '{"content": "a"}'}),
        ],
        [
            SpanEvent(
                "gen_ai.client.inference.operation.details",
                attributes={
                    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "q"}]}],
                    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}],
                },
            )
        ],
    ],
)
def test_a_conversation_in_events_is_a_model_call(events: list[SpanEvent]) -> None:
    step = step_of({}, events=events)

    assert (step.type, step.preview_input, step.preview_output) == ("llm", "q", "a")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"isError": "true", "content": [{"type": "text", "text": "No such file"}]}, "No such file"),
        ({"toolUseId": "t1", "status": "error", "content": [{"text": "Boom"}]}, "Boom"),
        ({"type": "tool", "tool_call_id": "c", "status": "error", "content": "boom"}, "boom"),
        ({"type": "error-text", "value": "nope"}, "nope"),
        ("{'isError': True, 'content': [{'type': 'text', 'text': 'bad'}]}", "bad"),
        ({"job": "backup", "status": "error"}, None),  # what a tool found out
        ({"isError": False, "content": "an error"}, None),
    ],
)
def test_a_tool_failure_that_only_the_result_states(result: Any, expected: str | None) -> None:
    text = result if isinstance(result, str) else json.dumps(result)
    step = step_of({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": text})

    assert (None if step.error is None else step.error.message) == expected
    assert step.status == ("ok" if expected is None else "error")


def test_a_tool_that_did_not_succeed_failed() -> None:
    assert step_of({"gen_ai.tool.name": "t", "gen_ai.tool.success": False}).status == "error"
    assert step_of({"gen_ai.tool.name": "t", "gen_ai.tool.success": True}).status == "ok"


def test_a_stack_of_java_in_a_message_is_the_stack() -> None:
    item = map_one({}, status_code=2, status_message="java.lang.X: boom\n\tat a.b(C.java:1)")

    assert item.event.step.error is not None
    assert item.event.step.error.message == "java.lang.X: boom"
    assert Slot.ERROR_STACK in item.event.step.captured


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "file", "mediaType": "application/pdf", "data": {"type": "url", "url": "https://x/y.pdf"}}, {"uri": "https://x/y.pdf"}),
        (
            {"type": "file", "mediaType": "image/png", "data": {"type": "base64", "data": PIXEL}},
            {"mime": "image/png", "bytes": PIXEL_BYTES},
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x/a.pdf?v=1"}}, {"mime": "application/pdf"}),
        ({"type": "refusal", "content": "No."}, {"type": "refusal", "refusal": "No."}),
    ],
)
def test_a_part_of_another_shape(part: dict[str, Any], expected: dict[str, Any]) -> None:
    (read,) = parts_of([part])

    assert read.items() >= expected.items()


def test_a_preview_never_shows_bytes() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Seen"}, image]}

    assert step_of({**CHAT, "gen_ai.input.messages": [{"role": "user", "parts": [result]}]}).preview_input == "Seen, [image/png]"


def test_odd_items_leave_the_conversation_readable() -> None:
    mime, messages = content_of(
        {**CHAT, "gen_ai.input.messages": [{"role": "User", "content": "q"}, "words", None, {"weird": 1}, {"role": "assistant"}]}
    )

    assert mime == MESSAGES
    assert [message["role"] for message in messages] == ["user", "user", "unknown", "assistant"]
    assert messages[2]["content"] == [{"type": "unknown", "weird": 1}]


@pytest.mark.parametrize(
    "written",
    [
        [json.dumps({"role": "user", "content": "q"})],
        json.dumps([{"role": "user", "parts": json.dumps([{"type": "text", "content": "q"}])}]),
        json.dumps(json.dumps([{"role": "user", "content": "q"}])),
        {"role": "USER", "parts": [{"type": "text", "content": "q"}]},
        ["q"],
    ],
)
def test_a_conversation_that_is_encoded_again(written: Any) -> None:
    assert content_of({**CHAT, "gen_ai.input.messages": written}) == (
        MESSAGES,
        [{"role": "user", "content": [{"type": "text", "text": "q"}]}],
    )


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        ({"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "q"}, []),
        ({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "q"}, []),
        ({"input.value": "q"}, []),
        ({}, [SpanEvent("gen_ai.user.message", attributes={"content": "q"})]),
    ],
)
def test_system_instructions_precede_every_form_of_input(attributes: dict[str, Any], events: list[SpanEvent]) -> None:
    _, messages = content_of({**CHAT, "gen_ai.system_instructions": "Be brief.", **attributes}, events=events)

    assert [message["role"] for message in messages] == ["system", "user"]


def test_flattened_fields_that_no_reader_knows_are_kept() -> None:
    _, answered = content_of(
        {**CHAT, "gen_ai.completion.0.content": "a", "gen_ai.completion.0.annotations.0.url": "https://x"}, Slot.OUTPUT
    )
    _, asked = content_of(
        {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "image",
            "llm.input_messages.0.message.contents.0.message_content.image.image.url": "https://x/a.png",
            "llm.input_messages.0.message.contents.0.message_content.image.image.detail": "low",
        }
    )

    assert answered[0]["annotations"] == [{"url": "https://x"}]
    assert asked[0]["content"] == [{"type": "media", "mime": "image/*", "uri": "https://x/a.png", "detail": "low"}]


def test_a_call_that_a_part_only_refers_to_is_shown_once_and_complete() -> None:
    _, answered = content_of(
        {
            "openinference.span.kind": "LLM",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.contents.0.message_content.type": "tool_use",
            "llm.output_messages.0.message.contents.0.message_content.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": 1}',
        },
        Slot.OUTPUT,
    )

    assert answered[0]["content"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}]


def test_files_beside_the_answer_are_part_of_it() -> None:
    mime, answered = content_of(
        {"openinference.span.kind": "LLM", "output.value": "Here.", "output.images.0.image.url": f"data:image/png;base64,{PIXEL}"},
        Slot.OUTPUT,
    )
    _, made = content_of(
        {"ai.operationId": "ai.generateText.doGenerate", "ai.response.files": json.dumps([{"mediaType": "image/png", "base64": PIXEL}])},
        Slot.OUTPUT,
    )

    assert mime == MESSAGES
    assert [part["type"] for part in answered[0]["content"]] == ["text", "media"]
    assert made[0]["content"][0]["bytes"] == PIXEL_BYTES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'messages': [HumanMessage(content='q'), AIMessage(content='', tool_calls=[]), AIMessage(content='the answer')]}", "the answer"),
        ("assistant: the answer", "the answer"),
        ("RunResult(output='the answer', state='success')", "the answer"),
        ('{"result": "the answer", "usage": {"tokens": 5}}', "the answer"),
        ('{"result": "ok", "id": 5}', "result=ok id=5"),
        ('{"llm": {"replies": ["the answer"]}}', "the answer"),
        ('{"messages": [["user", "q"], ["ai", "the answer"]]}', "the answer"),
        ('RunResult:\n- Last agent: Agent(name="A")\n- Final output (str):\n    the answer\n', "the answer"),
    ],
)
def test_the_words_of_an_answer(text: str, expected: str) -> None:
    assert step_of({"output.value": text}).preview_output == expected


@pytest.mark.parametrize(
    "prefix",
    [
        "traceloop.association.properties.",
        "ai.telemetry.metadata.",
        "ai.settings.context.",
        "langsmith.metadata.",
        "langfuse.trace.metadata.",
    ],
)
@pytest.mark.parametrize(("session", "user"), [("session_id", "user_id"), ("threadId", "userId"), ("conversation_id", "userId")])
def test_conversation_and_user_in_the_metadata_of_a_dialect(prefix: str, session: str, user: str) -> None:
    step = step_of({prefix + session: "s1", prefix + user: "u1"})

    assert (step.conversation_id, step.user_id) == ("s1", "u1")


@pytest.mark.parametrize(
    ("attributes", "name", "scope", "expected"),
    [
        ({"gen_ai.operation.name": "invoke_agent"}, "invoke_agent Planner", "any", "Planner"),
        ({"traceloop.span.kind": "agent", "traceloop.entity.name": "planner"}, "planner.agent", "any", "planner"),
        ({"langfuse.observation.type": "agent"}, "planner", "any", "planner"),
        ({"openinference.span.kind": "AGENT"}, "Planner._execute_core", "openinference.instrumentation.crewai", "Planner"),
        (
            {"openinference.span.kind": "CHAIN", "input.value": '{"ev": "AgentInput(input=[], current_agent_name=\'planner\')"}'},
            "BaseWorkflowAgent.setup_agent",
            "openinference.instrumentation.llama_index",
            "planner",
        ),
        ({"gen_ai.operation.name": "invoke_agent"}, "invoke_agent", "any", None),
    ],
)
def test_an_agent_that_only_a_name_states(attributes: dict[str, Any], name: str, scope: str, expected: str | None) -> None:
    assert step_of(attributes, name=name, scope=scope).agent == expected


@pytest.mark.parametrize(("asked", "answered"), [("gen_ai.tool.args", "gen_ai.tool.output"), ("gen_ai.tool.input", "gen_ai.tool.result")])
def test_what_a_tool_was_given_and_returned_by_other_names(asked: str, answered: str) -> None:
    step = step_of({"gen_ai.operation.name": "execute_tool", asked: '{"city": "Paris"}', answered: "rain"})

    assert (step.preview_input, step.preview_output) == ("Paris", "rain")


@pytest.mark.parametrize("metadata", [{"gateway": {"cost": "0.0123"}}, {"openrouter": {"usage": {"cost": 0.0123}}}])
def test_what_a_gateway_charged_is_the_cost(metadata: dict[str, Any]) -> None:
    usage = {"ai.usage.inputTokens": 100, "ai.usage.outputTokens": 10}
    step = step_of({"ai.operationId": "ai.generateText.doGenerate", "ai.response.providerMetadata": json.dumps(metadata), **usage})

    assert (step.cost_nusd, step.cost_source) == (12_300_000, "reported")


def test_a_failed_result_in_a_conversation_is_marked() -> None:
    (part,) = parts_of([{"type": "tool-result", "toolCallId": "c", "output": {"type": "error-text", "value": "bad"}}], "tool")

    assert part == {"type": "tool_result", "id": "c", "is_error": True, "result": "bad"}
