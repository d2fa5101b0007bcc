"""``ams spool``: what waits on disk. ``ams flush``: send it."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from ams import flush as flush_events
from ams import init, shutdown
from ams.sending.client import current_client
from ams.setting_sources import read_settings
from ams.settings import SdkSettings
from ams.spool.frames import record_of
from ams.spool.segments import Content, destination_of, folders_below, read, spool_root, take

_SECONDS = 30.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def spool(as_json: bool) -> None:
    """List the events that wait on disk."""
    root, rows = list_spool(read_settings(transport="console") or SdkSettings())  # reading needs no key
    if as_json:
        click.echo(json.dumps({"directory": str(root), "segments": rows}))
        return
    click.echo(f"{root}: {len(rows)} segments, {sum(row['bytes'] for row in rows):,} bytes")
    for row in rows:
        state = "in use" if row["in_use"] else "waiting"
        whose = "this key" if row["this_key"] else "another key"
        click.echo(f"  {row['age_seconds']:>8} s  {state}  {row['items']:>7} items  {row['bytes']:>11,} bytes  {row['endpoint']}  {whose}")
    if any(not row["in_use"] for row in rows):
        click.echo("Send what waits: ams flush")


@click.command()
@click.option("--timeout", default=_SECONDS, show_default=True, help="Seconds to wait at most.")
@click.option(
    "--other-keys", is_flag=True, help="Also send what was written under other keys for this endpoint, to the project of this key."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def flush(timeout: float, other_keys: bool, as_json: bool) -> None:
    """Send the events that programs left in the spool. Exit code 0: everything arrived; 1: not yet, or not all; 2: a setting is missing."""
    if not init(announce=False, transport="https"):
        sys.exit(2)
    client = current_client()
    found = client.deliver_spool(timeout, other_keys=other_keys) if client is not None else 0
    result = flush_events(0.1)
    missing = found - result.sent - result.rejected - result.dropped
    shutdown(1)
    facts: dict[str, Any] = {
        "found": found,
        "sent": result.sent,
        "rejected": result.rejected,
        "dropped": result.dropped,
        "reasons": result.reasons,
        "reason": result.reason,
    }
    if as_json:
        click.echo(json.dumps(facts))
    elif found == 0:
        click.echo("The spool holds nothing for this endpoint and key.")
    else:
        click.echo(f"Sent {result.sent} of {found} events." + (f" {result.reason}" if result.reason else ""))
        for reason, count in result.reasons.items():
            click.echo(f"  {count} were not accepted: {reason}")
    sys.exit(1 if missing > 0 or result.rejected or result.dropped or result.reason else 0)


def list_spool(settings: SdkSettings) -> tuple[Path, list[dict[str, Any]]]:
    """The directory of the spool, and its segments: path, endpoint, this_key, in_use, items, damaged, bytes, age_seconds."""
    root = spool_root(settings)
    return root, [_row(path, settings) for folder in folders_below(root) for path in sorted(folder.glob("*.ams"))]


def _row(path: Path, settings: SdkSettings) -> dict[str, Any]:
    taken = take(path)
    if taken is not None:
        taken.release()
    try:
        content, size = read(path), path.stat().st_size
    except OSError:
        content, size = Content(None, [], 0), 0
    header = content.header
    return {
        "path": str(path),
        "endpoint": header.endpoint if header is not None else "?",
        "this_key": path.parent.name == destination_of(settings),
        "in_use": taken is None,
        "items": sum(record_of(one) is not None for one in content.frames),
        "damaged": content.damaged,
        "bytes": size,
        "age_seconds": round(time.time() - header.created_ns / 1e9) if header is not None else 0,
    }
