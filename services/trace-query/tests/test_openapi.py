"""The OpenAPI document: valid, committed and current."""

from pathlib import Path

import msgspec
import pytest
import schemathesis

from ams_trace_query.__main__ import main, openapi_text

COMMITTED = Path(__file__).parents[3] / "contracts" / "openapi" / "trace-query.json"


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == openapi_text(), "run: ams-trace-query openapi contracts/openapi/trace-query.json"


def test_the_document_is_valid() -> None:
    schema = schemathesis.openapi.from_dict(msgspec.json.decode(openapi_text()))

    schema.validate()


def test_every_operation_has_an_id_and_lists_its_error_responses() -> None:
    paths = msgspec.json.decode(openapi_text())["paths"]

    operations = [operation for path, item in paths.items() for operation in item.values() if path.startswith("/api/traces/")]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == 38
    assert all({"400", "401", "403", "404", "503", "504"} < set(operation["responses"]) for operation in operations)
    assert all({"408", "409", "413", "415", "422"} < set(operation["responses"]) for operation in operations if "requestBody" in operation)


def test_export_writes_the_document(tmp_path: Path) -> None:
    main(["openapi", str(tmp_path / "document.json")])

    assert (tmp_path / "document.json").read_text(encoding="utf-8") == openapi_text()


@pytest.mark.parametrize("arguments", [[], ["openapi"], ["sreve"]])
def test_a_wrong_command_prints_one_line_and_exits_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage:")
