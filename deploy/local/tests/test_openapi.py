"""The committed OpenAPI documents: one per service, current, and valid."""

from pathlib import Path

import msgspec
import pytest
import schemathesis

from ams_local.openapi import APPLICATIONS, document_of, main, stale_documents


def test_the_committed_documents_are_current() -> None:
    assert stale_documents() == [], "run: ./ams fmt"


@pytest.mark.parametrize("service", APPLICATIONS)
def test_a_document_is_valid(service: str) -> None:
    schemathesis.openapi.from_dict(msgspec.json.decode(document_of(service))).validate()


def test_a_missing_and_a_changed_document_are_stale(tmp_path: Path) -> None:
    for service in APPLICATIONS:
        (tmp_path / f"{service}.json").write_text(document_of(service))
    (tmp_path / "identity.json").unlink()
    (tmp_path / "trace-query.json").write_text("{}")

    assert [path.name for path in stale_documents(tmp_path)] == ["identity.json", "trace-query.json"]


def test_a_check_of_current_documents_succeeds() -> None:
    assert main(["--check"]) == 0
