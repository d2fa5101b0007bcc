"""``ams export`` and ``ams import``: tasks as files."""

import secrets
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from msgspec import Struct

from ams.cli.jaeger import from_jaeger, is_jaeger, to_jaeger
from ams.cli.platform import FAILED, Platform, PlatformError, connection_options
from ams.cli.reading import as_json, find_task, reporting

PART_BYTES_MAX = 8 * 1024 * 1024  # a request takes 16 MiB
DOCUMENT_BYTES_MAX = 256 * 1024 * 1024  # of a file that is one document of JSON: it is held in memory
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
    "--format",
    "form",
    type=click.Choice(["ams", "jsonl", "otlp", "jaeger"]),
    default="ams",
    show_default=True,
    help="'jsonl' cannot be imported; 'ams' loses nothing.",
)
@click.option("--no-payloads", is_flag=True, help="Leave out inputs, outputs and media. Names and previews stay.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; by default stdout.")
@connection_options
@reporting
def export_task(*, task: str, form: str, no_payloads: bool, output: Path | None, endpoint: str | None, api_key: str | None) -> None:
    """Write a task to a file. TASK is an id, the address of a page, or 'latest'."""
    platform = Platform.open(endpoint, api_key)
    row = find_task(platform, task)
    asked = "otlp" if form == "jaeger" else form
    body = platform.get(f"tasks/{row.task_id}/export", format=asked, payloads="false" if no_payloads else "true")
    if form == "jaeger":
        body = to_jaeger(body.splitlines()) + b"\n"
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
    """Import an archive, a file of OTLP/JSON lines or a file of Jaeger ('-': stdin). Needs a key with the scope ingest: AMS_API_KEY or --api-key."""
    platform = Platform.open_to_send(endpoint, api_key)
    word = secrets.token_hex(8) if copy else None
    total = _Answer(0, 0, 0, [], [], ended=False)
    for part in _parts(_lines(file)):
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


def _lines(file: BinaryIO) -> Iterable[bytes]:
    """The lines of the file; of a document of Jaeger, those of its translation.

    Raises:
        PlatformError: The document is too large, or is not what Jaeger writes.
    """
    first = file.readline(DOCUMENT_BYTES_MAX + 1)
    if not first.lstrip().startswith(b"{") or (not is_jaeger(first) and _is_document(first)):
        return chain([first], file)
    document = first + file.read(DOCUMENT_BYTES_MAX + 1 - len(first))
    if len(document) > DOCUMENT_BYTES_MAX:
        raise PlatformError(f"The file is one document of more than {DOCUMENT_BYTES_MAX >> 20} MiB. Export fewer traces at a time.")
    if not is_jaeger(document):
        return document.splitlines(keepends=True)
    try:
        return list(from_jaeger(document))
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise PlatformError(f"The file looks like one of Jaeger, but cannot be read: {error}.") from error


def _is_document(line: bytes) -> bool:
    """Whether a line is complete JSON: then a file of lines begins with it."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.MsgspecError:
        return False
    return True


def _parts(file: Iterable[bytes]) -> Iterator[bytes]:
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
