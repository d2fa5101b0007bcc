"""``ams cassette``: a recorded task as a file that answers the calls of a test."""

import sys
from pathlib import Path

import click
import msgspec

from ams.cli.platform import Platform, PlatformError, connection_options
from ams.cli.reading import find_task, reporting
from ams.testing.cassette import cassette_of, encode
from ams.testing.steps import steps_of
from ams_contracts.archive import RawArchiveEvents, read_archive_line
from ams_contracts.events import Event

_event = msgspec.json.Decoder(Event)


@click.command()
@click.argument("task")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; by default stdout.")
@connection_options
@reporting
def cassette(*, task: str, output: Path | None, endpoint: str | None, api_key: str | None) -> None:
    """Write the model and tool calls of a task to a file for tests. TASK is an id, the address of a page, or 'latest'."""
    platform = Platform.open(endpoint, api_key)
    row = find_task(platform, task)
    lines = [read_archive_line.decode(line) for line in platform.get(f"tasks/{row.task_id}/export", format="ams").splitlines()]
    events = [(line.task_id, _event.decode(event)) for line in lines if isinstance(line, RawArchiveEvents) for event in line.events]
    steps = sorted(steps_of(events), key=lambda step: step.started_at_us)
    file = cassette_of(row.task_id, row.name, steps)
    if not file.models and not file.tools:
        raise PlatformError("This task has neither model calls nor tool calls, so a cassette would answer nothing.")
    if output is None:
        sys.stdout.buffer.write(encode(file))
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(encode(file))
    except OSError as error:
        raise PlatformError(f"{output} cannot be written: {error.strerror}.") from error
    sys.stderr.write(f"wrote {len(file.models)} model calls and {len(file.tools)} tool calls to {output}\n")
