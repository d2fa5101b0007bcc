"""A process that evaluates alert rules and publishes their events until it is killed: ``alerting_child.py DATABASE_URL KAFKA NOW_US``."""

import asyncio
import sys

from ams_kit.bus import Log
from ams_trace_query.alerts.evaluator import Evaluator
from ams_trace_query.alerts.publisher import Publisher
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.database import Database


async def main() -> None:
    url, bootstrap, now = sys.argv[1:]
    database = await Database.open(url, connections_max=4, statement_timeout_ms=10_000)
    log = await Log.open(bootstrap, "alerts")
    evaluator = Evaluator(database, Sealer(""), now_us=lambda: int(now), search_seconds_max=5)
    publisher = Publisher(database, log, now_us=lambda: int(now))
    while True:
        done = await evaluator.run_once() + await publisher.run_once()
        if not done:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
