"""The OpenAPI documents of all services, as they are committed under ``contracts/openapi``.

``python -m ams_local.openapi`` writes them, ``--check`` only compares. The explorer's types are generated from these files.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from litestar import Litestar

import ams_identity.app
import ams_live_gateway.app
import ams_trace_ingest.app
import ams_trace_query.app
from ams_local.workspace import ROOT

FOLDER = ROOT / "contracts" / "openapi"
PUBLIC_URL = "http://localhost:8080"
BOOTSTRAP = "localhost:9092"


def _build(make: Callable[..., Litestar]) -> Litestar:
    """An application that never starts: every required setting is a placeholder."""
    settings = get_type_hints(make)["settings"]
    required: dict[str, Any] = {field.name: "-" for field in msgspec.structs.fields(settings) if field.required}
    if "kafka_bootstrap" in required:
        required["kafka_bootstrap"] = BOOTSTRAP  # its form is checked
    return make(settings(**{**required, "public_url": PUBLIC_URL}))


APPLICATIONS: Mapping[str, Callable[..., Litestar]] = {
    "identity": ams_identity.app.make_app,
    "live-gateway": ams_live_gateway.app.make_app,
    "trace-ingest": ams_trace_ingest.app.make_intake,
    "trace-query": ams_trace_query.app.make_app,
}
"""What makes the HTTP application of each service, by the name of its document. Its first argument is the settings."""


def document_of(service: str) -> str:
    """The OpenAPI document of a service as text, the same in every run."""
    encoded = msgspec.json.encode(_build(APPLICATIONS[service]).openapi_schema.to_schema(), order="deterministic")
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def stale_documents(folder: Path = FOLDER) -> list[Path]:
    """The committed files that differ from what the services define now."""
    paths = {service: folder / f"{service}.json" for service in APPLICATIONS}
    return [path for service, path in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != document_of(service)]


def main(arguments: list[str]) -> int:
    """Write the documents, or compare them.

    Returns:
        The exit code: 1 when ``--check`` found a stale file.
    """
    stale = stale_documents()
    if arguments == ["--check"]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale. Run ./ams fmt\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(document_of(path.stem), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
