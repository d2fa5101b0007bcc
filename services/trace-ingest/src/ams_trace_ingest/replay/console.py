"""What a replay prints to the terminal."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping

from ams_trace_ingest.pricing.changes import Change
from ams_trace_ingest.replay.compare import Totals

NANO = 1_000_000_000
REPORT_SECONDS = 2.0
REPORT_SECONDS_QUIET = 10.0  # into a file
RATE_SECONDS = 60.0  # of the latest: records differ in size, and the machine has other work
MODELS_MAX = 40


def print_line(line: str) -> None:
    """Print a line, and flush it, so that a pipe receives it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def usd(nusd: int) -> str:
    """As ``$1,234.5679``."""
    value = nusd / NANO
    return f"{'-' if value < 0 else ''}${abs(value):,.4f}"


def duration(seconds: float) -> str:
    """``2 h 5 min``, ``3 min 20 s``, ``12 s``."""
    whole = int(seconds)
    if whole >= 3_600:  # noqa: PLR2004  an hour
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"  # noqa: PLR2004  a minute


def progress(name: str, done: int, of: int, rate: float) -> str:
    """One line about the progress."""
    percent = 100 * done // of if of else 100
    left = f", {duration((of - done) / rate)} left" if rate > 0 and done < of else ""
    return f"{name}: {done:,} of {of:,} records ({percent} %), {rate:,.0f}/s{left}"


async def report_progress(name: str, done: Callable[[], int], missing: Callable[[], int]) -> None:
    """Print the progress from time to time, until cancelled."""
    every = REPORT_SECONDS if sys.stdout.isatty() else REPORT_SECONDS_QUIET
    seen: deque[tuple[float, int]] = deque([(time.monotonic(), done())], maxlen=int(RATE_SECONDS / every) + 1)
    while True:
        await asyncio.sleep(every)
        seen.append((time.monotonic(), done()))
        (began_at, before), (at, now) = seen[0], seen[-1]
        print_line(progress(name, now, now + missing(), (now - before) / (at - began_at)))


def print_compared(table: str, rows: int) -> None:
    """Print a table that was compared, unless it is empty."""
    if rows:
        print_line(f"  compared {table}: {rows:,} rows")


def totals_line(name: str, totals: Totals) -> str:
    """What a generation holds."""
    return f"{name}: {totals.tasks:,} tasks, {totals.steps:,} steps, {totals.input_tokens:,} + {totals.output_tokens:,} tokens, {usd(totals.cost_nusd)}"


def report_remap() -> Callable[[int, int], None]:
    """Reports of the originals that were mapped again, not more often than ``REPORT_SECONDS_QUIET``."""
    last = time.monotonic()

    def report(done: int, left: int) -> None:
        nonlocal last
        if not left or time.monotonic() - last >= REPORT_SECONDS_QUIET:
            last = time.monotonic()
            print_line(f"mapping again: {done:,} of {done + left:,} records")

    return report


def remap_table(changes: Mapping[str, int], skipped: Mapping[str, int]) -> list[str]:
    """What mapping again changes: steps by kind, and what could not be mapped."""
    lines = [f"{changes['any']:,} steps of {changes['tasks']:,} tasks change:"]
    lines += [f"  {kind:<16} {count:>12,}" for kind, count in changes.items() if kind not in {"any", "tasks"}]
    words = {
        "original_cut": "spans were cut when they arrived, and keep what they are",
        "original_incomplete": "spans are not complete in the log, and keep what they are",
    }
    lines += [f"{count:,} {words[reason]}" for reason, count in skipped.items() if reason in words and count]
    return lines


def changes_table(changes: Mapping[tuple[str, str], Change]) -> list[str]:
    """Per model: calls, cost before and after; those that change most come first."""
    ordered = sorted(changes.items(), key=lambda item: (-abs(item[1].after_nusd - item[1].before_nusd), -item[1].steps, item[0]))
    lines = [f"{'provider':<16} {'model':<36} {'calls':>10} {'before':>16} {'after':>16} {'difference':>16}"]
    for (provider, model), change in ordered[:MODELS_MAX]:
        notes: list[str] = []
        if change.reported:
            notes.append(f"{change.reported:,} reported costs stay")
        if change.unknown_before or change.unknown_after:
            notes.append(f"unknown: {change.unknown_before:,} before, {change.unknown_after:,} after")
        lines.append(
            f"{provider[:16]:<16} {model[:36]:<36} {change.steps:>10,} {usd(change.before_nusd):>16} {usd(change.after_nusd):>16} "
            f"{usd(change.after_nusd - change.before_nusd):>16}{'  ' + '; '.join(notes) if notes else ''}"
        )
    if len(ordered) > MODELS_MAX:
        lines.append(f"and {len(ordered) - MODELS_MAX} more models, which change less")
    before, after = sum(one.before_nusd for one in changes.values()), sum(one.after_nusd for one in changes.values())
    calls = sum(one.steps for one in changes.values())
    lines.append(f"{'all':<53} {calls:>10,} {usd(before):>16} {usd(after):>16} {usd(after - before):>16}")
    return lines
