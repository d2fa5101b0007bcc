"""What is special to the transport ``kafka``: key, headers, token, and what its failures mean."""

import json
import logging
import threading
from dataclasses import replace
from typing import Any

import pytest
from sdk.tests.kafka_topic import EXPIRES_IN, PROJECT, answer_with, offer_kafka, read_topic

import ams
from ams.sending import kafka
from ams.sending.kafka import KafkaTransport
from ams.sending.transport import Delivered, Later, Refused, TooLarge
from ams.settings import SdkSettings
from ams_contracts.claims import KafkaSecurity

TASKS = ("a" * 32, "b" * 32)


def a_body(*tasks: str | None, text: str = "x") -> bytes:
    batches = [{"task_id": task, "producer": {"sdk": "t", "instance_id": "i"}, "events": [{"text": text}]} for task in tasks]
    return json.dumps({"v": 1, "batches": batches}).encode()


@pytest.fixture
def settings(intake: Any) -> SdkSettings:
    return SdkSettings(transport="kafka", api_key="ams_test", endpoint=intake.url, request_timeout_seconds=5)


def test_each_task_is_a_record_with_its_key_and_the_token(intake: Any, kafka_bootstrap: str, settings: SdkSettings) -> None:
    topic = offer_kafka(intake, kafka_bootstrap)
    transport = KafkaTransport(settings)

    outcome = transport.post(a_body(*TASKS, None))
    transport.close()

    assert isinstance(outcome, Delivered)
    assert outcome.answer.accepted == 3
    records = read_topic(kafka_bootstrap, topic)
    assert {record.key for record in records} == {f"{PROJECT}:{name}".encode() for name in (*TASKS, "@agents")}
    assert {record.headers for record in records} == {(("v", b"1"), ("authorization", b"Bearer signed.by.identity"))}
    assert sorted(str(json.loads(record.value)["batches"][0]["task_id"]) for record in records) == sorted([*TASKS, "None"])
    assert {json.loads(record.value)["v"] for record in records} == {1}


def test_the_key_is_exchanged_once_and_again_before_the_token_expires(
    intake: Any, kafka_bootstrap: str, settings: SdkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_kafka(intake, kafka_bootstrap)
    questions: list[dict[str, str]] = []
    answer = intake.grant({})
    intake.grant = lambda question: questions.append(question) or answer
    now = 1_000.0
    monkeypatch.setattr(kafka, "monotonic", lambda: now)
    transport = KafkaTransport(settings)

    transport.post(a_body(TASKS[0]))
    transport.post(a_body(TASKS[0]))
    now += EXPIRES_IN * 0.9
    transport.post(a_body(TASKS[0]))
    transport.close()

    assert questions == [{"api_key": "ams_test", "audience": "ams-inbound"}] * 2


def test_a_platform_that_is_down_does_not_stop_a_valid_token(
    intake: Any, kafka_bootstrap: str, settings: SdkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_kafka(intake, kafka_bootstrap)
    now = 1_000.0
    monkeypatch.setattr(kafka, "monotonic", lambda: now)
    transport = KafkaTransport(settings)
    transport.post(a_body(TASKS[0]))
    intake.grant = lambda _: type(intake).Answer(503)

    now += EXPIRES_IN * 0.9
    still_valid = transport.post(a_body(TASKS[0]))
    now += EXPIRES_IN
    expired = transport.post(a_body(TASKS[0]))
    transport.close()

    assert isinstance(still_valid, Delivered)
    assert isinstance(expired, Later)


@pytest.mark.parametrize(
    ("answered", "outcome", "words"),
    [
        ((401, b"{}"), Refused, "API key"),
        ((403, b"{}"), Refused, "API key"),
        ((422, b"{}"), Refused, "does not offer the transport kafka"),
        ((200, b'{"access_token":"t","expires_in":600,"project_id":"p","key_id":"k","scopes":[]}'), Refused, "does not offer"),
        ((503, b"{}"), Later, "503"),
    ],
)
def test_an_exchange_that_fails_says_what_to_do(
    intake: Any, settings: SdkSettings, answered: tuple[int, bytes], outcome: type[Any], words: str
) -> None:
    intake.grant = lambda _: type(intake).Answer(answered[0], {}, answered[1])
    transport = KafkaTransport(settings)

    answer = transport.post(a_body(TASKS[0]))
    transport.close()

    assert isinstance(answer, outcome)
    assert words in answer.reason


def test_a_broker_that_does_not_answer_is_tried_again(intake: Any, kafka_bootstrap: str, intake_url_free_port: str) -> None:
    topic = offer_kafka(intake, kafka_bootstrap)
    down = SdkSettings(
        transport="kafka", api_key="ams_test", endpoint=intake.url, kafka_bootstrap=intake_url_free_port, request_timeout_seconds=2
    )
    transport = KafkaTransport(down)

    answer = transport.post(a_body(TASKS[0]))
    transport.close()

    assert isinstance(answer, Later)
    assert f'"{intake_url_free_port}": [Errno' in answer.reason
    assert read_topic(kafka_bootstrap, topic) == []


@pytest.fixture
def intake_url_free_port() -> str:
    """An address where nothing listens."""
    return "127.0.0.1:1"


@pytest.mark.parametrize(
    ("security", "changes", "words"),
    [
        (("SASL_SSL", "OAUTHBEARER"), {}, "OAUTHBEARER, which the transport kafka does not support. Use AMS_TRANSPORT=https."),
        (("SASL_SSL", "SCRAM-SHA-512"), {}, "Set AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD."),
        (("SSL", ""), {"kafka_tls_ca_file": "/missing/ca.pem"}, "AMS_KAFKA_TLS_CA_FILE=/missing/ca.pem cannot be read"),
        (("SSL", ""), {"kafka_tls_cert_file": "/missing/me.pem"}, "AMS_KAFKA_TLS_CERT_FILE=/missing/me.pem"),
    ],
)
def test_a_broker_that_the_settings_cannot_reach_is_refused_with_what_to_change(
    intake: Any, settings: SdkSettings, security: tuple[str, str], changes: dict[str, str], words: str
) -> None:
    answer_with(intake, "broker.example:9093", "ams.inbound.v1", KafkaSecurity(protocol=security[0], sasl_mechanism=security[1]))
    transport = KafkaTransport(replace(settings, **changes))

    answer = transport.post(a_body(TASKS[0]))
    transport.close()

    assert isinstance(answer, Refused)
    assert words in answer.reason


def test_what_the_broker_does_not_take_is_too_large(intake: Any, kafka_bootstrap: str, settings: SdkSettings) -> None:
    offer_kafka(intake, kafka_bootstrap)
    transport = KafkaTransport(settings)

    assert isinstance(transport.post(a_body(TASKS[0], text="x" * 3_000_000)), TooLarge)
    assert isinstance(transport.post(a_body(TASKS[0], text="x" * 1_500_000)), Delivered)
    transport.close()


def test_a_program_publishes_its_steps_and_logs_nothing_of_it(intake: Any, kafka_bootstrap: str, caplog: pytest.LogCaptureFixture) -> None:
    topic = offer_kafka(intake, kafka_bootstrap)
    # servers of other tests may still log in threads of this process
    others = {thread.ident for thread in threading.enumerate() if thread is not threading.current_thread()}
    with caplog.at_level(logging.DEBUG):
        ams.init("ams_test", endpoint=intake.url, transport="kafka", announce=False)
        with ams.task("task"), ams.tool("search"):
            pass
        result = ams.flush(10)
        ams.shutdown()

    assert result.complete
    logged = [record.name for record in caplog.records if record.thread not in others]
    assert [name for name in logged if name.startswith(("aiokafka", "httpx"))] == []
    events = [event for record in read_topic(kafka_bootstrap, topic) for event in json.loads(record.value)["batches"][0]["events"]]
    assert {event["step"]["name"] for event in events if "step" in event} == {"task", "search"}
