"""Secrets stay in the process: in inputs, outputs, previews, errors, stacks, logs and attributes; and what capture levels leave out."""

import contextlib
import random
from typing import Any

import msgspec
import pytest

import ams
from ams.masking import FAILED, MASKED, Masker
from ams.tracing.runtime import runtime
from ams_contracts.events import StepProgressed

KEY = "sk-proj-" + "a1B2" * 8
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz"
CARD = "4111 1111 1111 1111"
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
masker = Masker()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"use {KEY} now", f"use {MASKED} now"),
        ("authorization: Bearer abcdef123456.x", f"authorization: Bearer {MASKED}"),
        (f"got {TOKEN}", f"got {MASKED}"),
        (f"{PRIVATE} end", f"{MASKED} end"),
        (f"pay with {CARD}.", f"pay with {MASKED}."),
        ("pay with 5500005555555559", f"pay with {MASKED}"),
        ("password=hunter22 ok", f"password={MASKED} ok"),
        ('OPENAI_API_KEY="some value" b', f'OPENAI_API_KEY="{MASKED}" b'),
        ("postgres://ada:s3cret@host/db", f"postgres://{MASKED}@host/db"),
        ("AKIA" + "A1" * 8, MASKED),
        ("ghp_" + "a1" * 18, MASKED),
        ("ams_" + "a1" * 12, MASKED),
    ],
)
def test_a_text_that_looks_like_a_secret_is_replaced(text: str, expected: str) -> None:
    assert masker.text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the api_key is missing",
        "max_tokens=1200 and total tokens: 12345",
        "at 1764400000000000000 ns",
        "call +49 170 1234567",
        "4111 1111 1111 1112",  # its check digit is wrong
        "task-sk-1",
        "https://example.com/a?b=c",
        "a bearer of news",
        "11111111-2222-4333-8444-555555555555",
    ],
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert masker.text(text) == text


def test_a_value_under_a_secret_name_is_replaced_and_its_neighbours_stay() -> None:
    value = {
        "query": "otters",
        "max_tokens": 12,
        "usage": {"total_tokens": 5, "prompt_tokens": 3},
        "apiKey": "abc",
        "headers": [{"X-Api-Key": "abc", "accept": "text"}],
        "credentials": {"user": "ada", "password": "x"},
        "logprobs": [{"token": "Hello"}],
        "card": 4111111111111111,
        "password": None,
    }

    masked = msgspec.json.decode(masker.json(msgspec.json.encode(value)))

    assert masked == {
        **value,
        "apiKey": MASKED,
        "headers": [{"X-Api-Key": MASKED, "accept": "text"}],
        "credentials": MASKED,
        "card": MASKED,
    }


def test_json_without_secrets_is_not_touched() -> None:
    data = b'{"a" : [1.50, "text"]}'

    assert masker.json(data) is data


@pytest.mark.parametrize("depth", [100, 600, 2_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_secret_in_deeply_nested_json_is_replaced(depth: int, opening: bytes, closing: bytes) -> None:
    masked = Masker().json(opening * depth + b'"sk-abcdefghijklmnopqrstuvwx"' + closing * depth)

    assert masked == opening * depth + f'"{MASKED}"'.encode() + closing * depth


def test_every_kind_of_secret_is_found_at_any_place_of_a_text() -> None:
    chance = random.Random(7)
    for _ in range(300):
        secret = chance.choice([KEY, TOKEN, CARD, PRIVATE, "Bearer abcdef123456"])
        around = " ".join(chance.choice(["otter", "12", '"x"', "{", "key:", "=", "ß"]) for _ in range(chance.randrange(20)))
        text = f"{around} {secret} {around}"

        assert secret.removeprefix("Bearer ") not in masker.text(text)
        assert secret.removeprefix("Bearer ").split("\n")[0] not in masker.json(msgspec.json.encode([text])).decode()


def test_attributes_of_a_foreign_span_are_masked() -> None:
    attributes = {
        "input.value": '{"api_key":"abc","q":"otters"}',
        "http.request.header.authorization": ("Basic abc",),
        "llm.token_count.total": 12,
        "llm.input_messages.0.message.content": f"my key is {KEY}",
        "tags": ("a", KEY),
    }

    assert masker.attributes(attributes) == {
        "input.value": f'{{"api_key":"{MASKED}","q":"otters"}}',
        "http.request.header.authorization": MASKED,
        "llm.token_count.total": 12,
        "llm.input_messages.0.message.content": f"my key is {MASKED}",
        "tags": ("a", MASKED),
    }


def test_nothing_that_leaves_the_process_holds_a_secret(tracing: Any) -> None:
    @ams.tool
    def call(api_key: str, text: str) -> dict[str, str]:
        raise ValueError(f"wrong key {api_key}, {text}")

    with ams.task("task", input=f"card {CARD}") as task:
        with contextlib.suppress(ValueError):
            call(KEY, f"Bearer {TOKEN}")
        with ams.llm("ask", input=[{"role": "user", "content": f"my password=hunter22 {PRIVATE}"}]) as s:
            s.set(parameters={"api_key": KEY, "temperature": 1}, secret="abc", note=KEY)
            s.delta(f"it is {KEY}")
            s.log(f"sent {KEY}")
        task.output = {"password": "hunter22", "token": TOKEN}
        ams.score("good", value=True, comment=KEY)

    assert ams.flush().complete
    everything = msgspec.json.encode(tracing.batches()).decode()
    for secret in (KEY, TOKEN, CARD, "MIIEow", "hunter22", "IBAAKC"):
        assert secret not in everything
    assert everything.count(MASKED) > 10
    assert tracing.steps()["call"].error.message == f"wrong key {MASKED}, Bearer {MASKED}"
    assert msgspec.json.decode(tracing.payload("call", "input").text) == {"api_key": MASKED, "text": f"Bearer {MASKED}"}


def test_own_functions_come_after_the_rules_and_one_that_raises_hides_the_text(intake: Any) -> None:
    def hide_names(text: str) -> str:
        if "bad" in text:
            raise RuntimeError(text)
        return text.replace("Ada", "A.")

    ams.init("ams_test", endpoint=intake.url, announce=False, mask=hide_names)
    with ams.task("task"):
        with ams.step("one", input={"name": "Ada", "n": 1}) as s:
            s.output = f"Ada {KEY}"
        with ams.step("two", input="bad Ada"):
            pass

    assert ams.flush().complete
    assert intake.payload("one", "input").text == '{"name":"A.","n":1}'
    assert intake.payload("one", "output").text == f"A. {MASKED}"
    assert intake.payload("two", "input").text == FAILED
    ams.shutdown()
    assert runtime.bug_reported
    runtime.bug_reported = False


def test_masking_can_be_turned_off(intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMS_MASKING", "off")
    ams.init("ams_test", endpoint=intake.url, announce=False)
    with ams.step("one", input=KEY):
        pass

    ams.flush()
    assert intake.payload("one", "input").text == KEY
    ams.shutdown()


def record_everything(**options: Any) -> None:
    with ams.task("task"), contextlib.suppress(ValueError), ams.llm("ask", input="content", model="gpt-4o", **options) as s:
        s.output = "content"
        s.set(parameters={"p": "content"}, note="content", provider="openai")
        s.usage(input=3)
        s.log("content")
        s.delta("content")
        raise ValueError("content")


@pytest.mark.parametrize("where", ["process", "step"])
def test_the_level_metadata_sends_no_contents(intake: Any, where: str) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, capture="metadata" if where == "process" else "all")

    record_everything(**({"capture": "metadata"} if where == "step" else {}))

    assert ams.flush().complete
    assert b"content" not in msgspec.json.encode(intake.batches())
    ask = intake.steps()["ask"]
    assert (ask.model, ask.provider, ask.usage.input, ask.error.type) == ("gpt-4o", "openai", 3, "ValueError")
    assert intake.of(StepProgressed) == [] or all(not event.logs for event in intake.of(StepProgressed))
    ams.shutdown()


def test_a_step_with_level_all_is_complete_in_a_process_of_metadata(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, capture="metadata")

    record_everything(capture="all")

    assert ams.flush().complete
    assert intake.payload("ask", "output").text == "content"
    assert intake.steps()["ask"].error.message == "content"
    ams.shutdown()


def test_a_step_with_level_none_does_not_exist_and_its_inner_steps_are_in_the_one_around(tracing: Any) -> None:
    @ams.tool(capture="none")
    def hidden() -> int:
        with ams.step("inner"):
            return 1

    with ams.task("task"), ams.step("also hidden", capture="none"):
        assert hidden() == 1

    assert ams.flush().complete
    assert set(tracing.steps()) == {"task", "inner"}
    assert tracing.steps()["inner"].parent_step_id == tracing.step_ids()["task"]


def test_the_level_none_traces_nothing_and_says_nothing(intake: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not ams.init("ams_test", endpoint=intake.url, capture="none")
    with ams.task("task"):
        pass

    assert caplog.records == []
    assert intake.requests == []
