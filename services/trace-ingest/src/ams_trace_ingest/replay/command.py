"""``ams-trace-ingest replay``: rebuilds the tables from the log, beside those that serve."""

import argparse
import asyncio
import gc
import os
import sys
from pathlib import Path

import asyncpg
import msgspec

from ams_kit.bus import LogRecreatedError, LogUnavailableError
from ams_kit.retriable import UNAVAILABLE
from ams_kit.settings import load
from ams_kit.telemetry.logs import configure_logging
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.own_prices import overrides_of
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.replay import console, generations
from ams_trace_ingest.replay.generations import ReplayError
from ams_trace_ingest.replay.replay import Replay, ReplayOptions, ReplayTarget
from ams_trace_ingest.replay.reprice import preview, read_prices
from ams_trace_ingest.settings import ReplaySettings

NICE = 5  # the live projector comes first
SELDOM = (50_000, 50, 100)  # a batch makes tens of thousands of objects without a cycle: see projector.consume.tune_garbage_collection
EXIT_DIFFERENT = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: run it again


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ams replay",
        description="Build the tables again from the log while the old ones serve, compare, and change over. After an interruption, run it again: it continues.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--reprice",
        action="store_true",
        help="show what other prices would change: those of today, or of --prices; projects' own prices come first",
    )
    parser.add_argument("--prices", type=Path, metavar="FILE", help="JSON: model (or its beginning and *) to USD a million tokens")
    parser.add_argument(
        "--remap", action="store_true", help="map every stored span again with today's rules and prices, and show what would change"
    )
    parser.add_argument("--apply", action="store_true", help="with --reprice or --remap: do it, do not only show it")
    parser.add_argument("--accept-differences", action="store_true", help="change over even if the tables differ")
    parser.add_argument("--drop", action="store_true", help="drop the old tables at the end")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--abort", action="store_true", help="drop what an interrupted replay has built, and do nothing else")
    what.add_argument("--drop-old", action="store_true", help="drop the tables that served before, and do nothing else")
    chosen = parser.parse_args(arguments)
    if chosen.prices and not chosen.reprice:
        parser.error("--prices belongs to --reprice")
    if chosen.apply and not (chosen.reprice or chosen.remap):
        parser.error("--apply belongs to --reprice or --remap")
    if chosen.remap and (chosen.reprice or chosen.abort or chosen.drop_old):
        parser.error("--remap does not go with --reprice, --abort or --drop-old")
    if chosen.reprice and (chosen.abort or chosen.drop_old):
        parser.error("--reprice does not go with --abort or --drop-old")
    return chosen


def run(arguments: list[str]) -> int:
    """One command.

    Returns:
        0 done, 1 the tables differ and the old ones serve on, 2 refused, 75 interrupted: run it again.
    """
    chosen = _arguments(arguments)
    settings = load(ReplaySettings, os.environ)
    configure_logging("replay", settings.log_level)
    target = ReplayTarget(
        database_url=settings.database_url,
        owner_database_url=settings.owner_database_url,
        kafka=settings.kafka,
    )
    os.nice(NICE)
    gc.set_threshold(*SELDOM)
    try:
        return asyncio.run(_run(chosen, target))
    except ReplayError as error:
        sys.stderr.write(f"replay: {error}\n")
        return EXIT_REFUSED
    except LogRecreatedError as error:
        sys.stderr.write(f"replay: what was built is of another log ({error}); drop it: ams replay --abort\n")
        return EXIT_REFUSED
    except LogUnavailableError as error:
        sys.stderr.write(f"replay: {error.detail} Run it again: it continues where it was.\n")
        return EXIT_INTERRUPTED
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        sys.stderr.write(f"replay: the database does not answer ({type(error).__name__}). Run it again: it continues where it was.\n")
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        sys.stderr.write("replay: interrupted. Run it again to continue, or drop what was built with: ams replay --abort\n")
        return EXIT_INTERRUPTED


async def _run(chosen: argparse.Namespace, target: ReplayTarget) -> int:
    async with Replay.opened(target) as replay:
        if chosen.abort:
            return await _abort(replay)
        if chosen.drop_old:
            names = await generations.drop_old(replay.owner)
            console.print_line(f"{', '.join(names)} dropped" if names else "there are no old tables")
            return 0
        options = _options(chosen)
        if options.prices is not None and not chosen.apply:
            return await _preview(replay, options.prices)
        return 0 if await replay.run(options) else EXIT_DIFFERENT


def _options(chosen: argparse.Namespace) -> ReplayOptions:
    common = {"accept_differences": chosen.accept_differences, "drop": chosen.drop, "remap": chosen.remap, "apply": chosen.apply}
    if not chosen.reprice:
        return ReplayOptions(**common)
    try:
        data = chosen.prices.read_bytes() if chosen.prices else b"{}"
    except OSError as error:
        raise ReplayError(f"the price file cannot be read: {error.strerror}") from error
    overrides = read_prices(data)
    return ReplayOptions(prices_file=msgspec.json.format(data, indent=0).decode(), prices=Prices(GenaiPrices(), overrides), **common)


async def _abort(replay: Replay) -> int:
    known = await generations.look(replay.owner)
    if known.next is None:
        console.print_line("nothing is being built")
        return 0
    await generations.drop(replay.owner, known.next)
    console.print_line(f"{known.next.name} was dropped; {known.current.name} serves as before")
    return 0


async def _preview(replay: Replay, prices: Prices) -> int:
    known = await generations.look(replay.owner)
    own = {project_id: overrides_of(events) for project_id, events in (await replay.own_prices()).items()}
    changes = await preview(replay.writer, known.current, prices.with_projects(own), on_rows=lambda _: None)
    for line in console.changes_table(changes):
        console.print_line(line)
    console.print_line("nothing was changed; do it with: ams replay --reprice --apply, and the same --prices")
    return 0
