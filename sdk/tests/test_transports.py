"""The behaviour that every transport has, and what is special to each."""

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from sdk.tests.kafka_topic import offer_kafka, read_topic

import ams
from ams.sending.client import current_client
from ams.sending.local import MemoryTransport
from ams.sending.transport import Delivered, Later, Malformed, Transport
from ams.sending.transports import make_transport
from ams.settings import TRANSPORTS, SdkSettings
from ams_contracts.documents import Status, StepDocument, StepType
from ams_contracts.events import Event, Producer, StepRecorded
from ams_contracts.native import NativeBatch, NativeRequest

_request = msgspec.json.Decoder(NativeRequest)


class Case(NamedTuple):
    """A transport, and a way to see what it took: the names of steps in order."""

    transport: Transport
    names: Callable[[], list[str]]


def names_of(requests: list[NativeRequest]) -> list[str]:
    return [
        event.step.name for request in requests for batch in request.batches for event in batch.events if isinstance(event, StepRecorded)
    ]


def a_request(*names: str) -> bytes:
    events: list[Event] = [
        StepRecorded(
            event_id=f"{number:032x}",
            seq=number + 1,
            at_us=1_000_000,
            step_id=f"{number + 1:016x}",
            step=StepDocument(type=StepType.TOOL, name=name, status=Status.OK, started_at_us=1_000, ended_at_us=3_000, duration_us=2_000),
        )
        for number, name in enumerate(names)
    ]
    producer = Producer(sdk="ams-python", version="0", instance_id="a" * 32, host="here")
    return msgspec.json.encode(NativeRequest(batches=[NativeBatch(task_id="b" * 32, producer=producer, events=events)]))


def kafka_names(intake: Any, bootstrap: str) -> Callable[[], list[str]]:
    """Let the intake hand out a broker with a topic of its own; the names that the topic holds."""
    topic = offer_kafka(intake, bootstrap)
    return lambda: names_of([_request.decode(record.value) for record in read_topic(bootstrap, topic)])


@pytest.fixture(params=TRANSPORTS)
def case(request: pytest.FixtureRequest, tmp_path: Path, intake: Any, capsys: pytest.CaptureFixture[str]) -> Generator[Case]:
    name: str = request.param
    path = tmp_path / "events.jsonl"
    settings = SdkSettings(transport=name, api_key="ams_test", endpoint=intake.url, transport_file=str(path))
    in_kafka = kafka_names(intake, request.getfixturevalue("kafka_bootstrap")) if name == "kafka" else list
    transport = make_transport(settings)
    views: dict[str, Callable[[], list[str]]] = {
        "https": lambda: names_of(intake.requests),
        "kafka": in_kafka,
        "file": lambda: names_of([_request.decode(line) for line in path.read_bytes().splitlines()]),
        "console": lambda: [line.split()[4] for line in capsys.readouterr().err.splitlines()],
        "memory": lambda: [event.step.name for _, event in getattr(transport, "events", list)() if isinstance(event, StepRecorded)],
    }
    yield Case(transport, views[name])
    transport.close()


def test_it_takes_requests_in_order_and_counts_the_events(case: Case) -> None:
    outcomes = [case.transport.post(a_request("one", "two")), case.transport.post(a_request("three"))]

    assert [outcome.answer.accepted for outcome in outcomes if isinstance(outcome, Delivered)] == [2, 1]
    assert case.names() == ["one", "two", "three"]


def test_a_request_that_nobody_can_read_does_not_raise_and_spoils_nothing(case: Case) -> None:
    outcome = case.transport.post(b'{"v":1,"batches":[{"nonsense":1}]}')

    assert isinstance(outcome, Malformed)
    assert isinstance(case.transport.post(a_request("next")), Delivered)
    assert case.names() == ["next"]


def test_it_closes_twice(case: Case) -> None:
    case.transport.post(a_request("one"))

    case.transport.close()
    case.transport.close()

    assert case.names() == ["one"]


@pytest.mark.parametrize("name", ["file", "console", "memory"])
def test_a_transport_without_a_server_needs_no_key_and_announces_no_address(
    name: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ams.init(transport=name, transport_file=str(tmp_path / "events.jsonl"))
    with ams.task("task"), ams.tool("search"):
        pass

    assert ams.flush().complete
    assert "http" not in capsys.readouterr().err
    ams.shutdown()


def test_the_environment_names_the_transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("AMS_TRANSPORT", "file")
    monkeypatch.setenv("AMS_TRANSPORT_FILE", str(path))
    ams.init()
    with ams.step("written"):
        pass

    ams.shutdown()
    assert names_of([_request.decode(line) for line in path.read_bytes().splitlines()]) == ["written"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    transport = make_transport(SdkSettings(transport="file", transport_file=str(folder / "events.jsonl")))

    outcome = transport.post(a_request("one"))

    assert isinstance(outcome, Later)
    folder.mkdir()
    assert isinstance(transport.post(a_request("one")), Delivered)
    transport.close()


def test_the_console_shows_errors_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    ams.init(transport="console")
    with contextlib.suppress(ValueError), ams.tool("look\x1b[2J"):
        raise ValueError("no such\nbook")

    ams.shutdown()
    [line] = [line for line in written.getvalue().splitlines() if line.startswith("AMS ")]
    assert "error tool look [2J" in line
    assert line.endswith("ValueError: no such book")


def test_memory_keeps_the_newest_events_and_counts_the_others() -> None:
    transport = MemoryTransport(events_max=2)

    transport.post(a_request("one", "two", "three"))

    assert [event.step.name for _, event in transport.events() if isinstance(event, StepRecorded)] == ["two", "three"]
    assert transport.forgotten == 1


def test_a_forked_child_has_a_transport_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    ams.init(transport="file", transport_file=str(path))
    with ams.step("parent"):
        pass
    ams.flush()
    child = os.fork()
    if child == 0:
        with ams.step("child"):
            pass
        os._exit(0)
    os.waitpid(child, 0)

    ams.shutdown()
    assert current_client() is not None
    assert names_of([_request.decode(line) for line in path.read_bytes().splitlines()]) == ["parent", "child"]
