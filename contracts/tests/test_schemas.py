"""The committed JSON Schemas are what the code says, and hold for the golden files."""

from pathlib import Path

import jsonschema
import msgspec
import pytest

from ams_contracts import export

CONTRACTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", export.SCHEMAS)
def test_the_committed_schema_is_current(name: str) -> None:
    committed = (CONTRACTS / "schemas" / f"{name}.json").read_text(encoding="utf-8")

    assert committed == export.schema_text(name), "run: python -m ams_contracts.export"


def test_no_schema_is_left_over() -> None:
    assert sorted(path.stem for path in (CONTRACTS / "schemas").glob("*.json")) == sorted(export.SCHEMAS)


@pytest.mark.parametrize("name", export.SCHEMAS)
def test_a_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(msgspec.json.decode(export.schema_text(name)))


@pytest.mark.parametrize("path", sorted((CONTRACTS / "golden" / "v1").glob("batch*.json")), ids=lambda path: path.stem)
def test_golden_batches_hold_the_schema(path: Path) -> None:
    schema = msgspec.json.decode(export.schema_text("batch"))

    jsonschema.validate(msgspec.json.decode(path.read_bytes()), schema, cls=jsonschema.Draft202012Validator)


def test_export_writes_every_schema(tmp_path: Path) -> None:
    export.main([str(tmp_path)])

    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(export.SCHEMAS)
