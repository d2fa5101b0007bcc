"""``ams export`` and ``ams import``: tasks as files."""

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from msgspec import Struct

from ams.cli.platform import FAILED, Platform, PlatformError, connection_options
from ams.cli.reading import as_json, find_task, reporting

PART_BYTES_MAX = 8 * 1024 * 1024  # a request takes 16 MiB
FAULTS_SHOWN = 10


class _Fault(Struct):
    line: int
    code: str
    detail: str = ""


class _Answer(Struct):
    lines: int
    accepted: int
    rejected: int
    faults: list[_Fault]
    tasks: list[str]
    ended: bool


_answer = msgspec.json.Decoder(_Answer)


@click.command("export")
@click.argument("task")
@click.option(
    "--format", "form", type=click.Choice(["ams", "jsonl", "otlp"]), default="ams", show_default=True, help="'ams' can be imported."
)
@click.option("--no-payloads", is_flag=True, help="Leave out inputs, outputs and media. Names and previews stay.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; by default stdout.")
@connection_options
@reporting
def export_task(*, task: str, form: str, no_payloads: bool, output: Path | None, endpoint: str | None, api_key: str | None) -> None:
    """Write a task to a file. TASK is an id, the address of a page, or 'latest'."""
    platform = Platform.open(endpoint, api_key)
    row = find_task(platform, task)
    body = platform.get(f"tasks/{row.task_id}/export", format=form, payloads="false" if no_payloads else "true")
    if output is None:
        sys.stdout.buffer.write(body)
        return
    try:
        output.write_bytes(body)
    except OSError as error:
        raise PlatformError(f"{output} cannot be written: {error.strerror}.") from error
    sys.stderr.write(f"wrote {len(body.splitlines())} lines to {output}\n")


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--copy", is_flag=True, help="Import the tasks beside their originals, under other ids.")
@click.option("--json", "json_lines", is_flag=True, help="The counts as one JSON object.")
@connection_options
@reporting
def import_file(*, file: BinaryIO, copy: bool, json_lines: bool, endpoint: str | None, api_key: str | None) -> None:
    """Import an archive or a file of OTLP/JSON lines ('-': stdin). Needs a key with the scope ingest: AMS_API_KEY or --api-key."""
    platform = Platform.open_to_send(endpoint, api_key)
    word = secrets.token_hex(8) if copy else None
    total = _Answer(0, 0, 0, [], [], ended=False)
    for part in _parts(file):
        answer = _answer.decode(platform.send_lines(part, word).content)
        total.faults += [_Fault(fault.line + total.lines, fault.code, fault.detail) for fault in answer.faults]
        total.lines += answer.lines
        total.accepted += answer.accepted
        total.rejected += answer.rejected
        total.tasks += [task for task in answer.tasks if task not in total.tasks]
    if json_lines:
        sys.stdout.write(as_json(total) + "\n")
    else:
        for task in total.tasks:
            sys.stdout.write(f"{platform.task_url(task)}\n")
        sys.stderr.write(f"{total.lines} lines: {total.accepted} accepted, {total.rejected} rejected\n")
        for fault in total.faults[:FAULTS_SHOWN]:
            sys.stderr.write(f"line {fault.line}: {fault.code} {fault.detail}\n")
    if total.rejected or total.faults:
        sys.exit(FAILED)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    """The file in parts that end with a line."""
    part: list[bytes] = []
    size = 0
    for line in file:
        if part and size + len(line) > PART_BYTES_MAX:
            yield b"".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield b"".join(part)
