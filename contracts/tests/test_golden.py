"""Published events do not change: every golden file decodes, and encodes to the same bytes again."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from ams_contracts import codec
from ams_contracts.alerts import AlertEvent
from ams_contracts.events import Batch, Event
from ams_contracts.identity_events import IdentityEvent

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = sorted((FOLDER / "v1").glob("*.json"))
IDENTITY_GOLDEN = sorted((FOLDER / "identity" / "v1").glob("*.json"))
ALERTS_GOLDEN = sorted((FOLDER / "alerts" / "v1").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_decodes_and_encodes_to_the_same_bytes(path: Path) -> None:
    contract = Batch if path.stem.startswith("batch") else Event

    value = codec.decode(msgspec.json.Decoder(contract), path.read_bytes())

    assert msgspec.json.format(codec.encode(value), indent=2) + b"\n" == path.read_bytes()


def test_every_event_kind_has_a_golden_file_that_names_every_field() -> None:
    by_kind = {path.stem: msgspec.json.decode(path.read_bytes()) for path in GOLDEN}

    for kind in get_args(Event):
        tag = kind.__struct_config__.tag
        assert set(by_kind[tag]) == {"kind", *kind.__struct_fields__}, tag


def test_a_golden_batch_decodes_whole() -> None:
    data = next(path for path in GOLDEN if path.stem == "batch").read_bytes()

    decoded = codec.decode_batch(data)

    assert decoded.rejects == []
    assert decoded.indexes == list(range(5))


@pytest.mark.parametrize("path", IDENTITY_GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_of_identity_decodes_and_encodes_to_the_same_bytes(path: Path) -> None:
    value = codec.decode(msgspec.json.Decoder(IdentityEvent), path.read_bytes())

    assert msgspec.json.format(codec.encode(value), indent=2) + b"\n" == path.read_bytes()


def test_every_event_of_identity_has_a_golden_file_that_names_every_field() -> None:
    by_kind = {path.stem: msgspec.json.decode(path.read_bytes()) for path in IDENTITY_GOLDEN}

    for kind in get_args(IdentityEvent):
        tag = kind.__struct_config__.tag
        assert set(by_kind[tag]) == {"kind", *kind.__struct_fields__} - {"v"}, tag


@pytest.mark.parametrize("path", ALERTS_GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_of_an_alert_decodes_and_encodes_to_the_same_bytes(path: Path) -> None:
    value = codec.decode(msgspec.json.Decoder(AlertEvent), path.read_bytes())

    assert msgspec.json.format(codec.encode(value), indent=2) + b"\n" == path.read_bytes()


def test_every_event_of_an_alert_has_a_golden_file_that_names_every_field() -> None:
    by_kind = {path.stem: msgspec.json.decode(path.read_bytes()) for path in ALERTS_GOLDEN}

    for kind in get_args(AlertEvent):
        tag = kind.__struct_config__.tag
        assert set(by_kind[tag]) == {"kind", *kind.__struct_fields__} - {"v"}, tag
