"""Write the contracts as JSON Schemas (draft 2020-12): ``python -m ams_contracts.export [FOLDER]``, by default ``contracts/schemas``."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from ams_contracts.alerts import AlertEvent
from ams_contracts.archive import ArchiveLine
from ams_contracts.claims import ProjectSettingsPage
from ams_contracts.events import Batch
from ams_contracts.fold import StepState, TaskState
from ams_contracts.frames import ClientMessage, ServerMessage
from ams_contracts.identity_events import IdentityEvent
from ams_contracts.native import NativeAnswer, NativeRequest
from ams_contracts.views import Step, Task, TaskChanged

SCHEMAS: dict[str, Any] = {
    "archive-line": ArchiveLine,
    "batch": Batch,
    "client-message": ClientMessage,
    "identity-event": IdentityEvent,
    "alert-event": AlertEvent,
    "native-answer": NativeAnswer,
    "native-request": NativeRequest,
    "project-settings-page": ProjectSettingsPage,
    "server-message": ServerMessage,
    "step": Step,
    "step-state": StepState,
    "task": Task,
    "task-changed": TaskChanged,
    "task-state": TaskState,
}
"""What is exported: file name to type. The event kinds are definitions of ``batch``."""

FOLDER = Path(__file__).parents[2] / "schemas"


def schema_text(name: str) -> str:
    """The text of one schema file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:ams:v1:{name}", **msgspec.json.schema(SCHEMAS[name])}
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def main(argv: list[str] | None = None) -> None:
    """Write every schema."""
    arguments = sys.argv[1:] if argv is None else argv
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        (folder / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
