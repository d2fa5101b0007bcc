"""Runs a replay on topics of a test's own; killed by tests in the middle. Arguments: owner's URL, broker, both topics, price file or ``-``."""

import asyncio
import sys
from pathlib import Path

import msgspec

from ams_contracts.topics import Topic
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.replay.replay import Replay, ReplayOptions, ReplayTarget
from ams_trace_ingest.replay.reprice import read_prices


def target_of(url: str, bootstrap: str, topics: tuple[Topic, Topic]) -> ReplayTarget:
    return ReplayTarget(database_url=f"{url}?role=ams_writer", owner_database_url=url, kafka=bootstrap, topics=topics)


def options(
    prices: str | None, *, accept_differences: bool = False, drop: bool = False, remap: bool = False, apply: bool = False
) -> ReplayOptions:
    if prices is None:
        return ReplayOptions(accept_differences=accept_differences, drop=drop, remap=remap, apply=apply)
    return ReplayOptions(
        prices_file=prices, prices=Prices(GenaiPrices(), read_prices(prices.encode())), accept_differences=accept_differences, drop=drop
    )


async def run(target: ReplayTarget, wanted: ReplayOptions) -> bool:
    async with Replay.opened(target) as replay:
        return await replay.run(wanted)


if __name__ == "__main__":
    url, bootstrap, topics, prices = sys.argv[1:]
    replay_target = target_of(url, bootstrap, msgspec.json.decode(topics, type=tuple[Topic, Topic]))
    sys.exit(
        0
        if asyncio.run(
            run(
                replay_target,
                options(None, remap=True, apply=True)
                if prices == "remap"
                else options(None if prices == "-" else Path(prices).read_text()),
            )
        )
        else 1
    )
