"""The background tasks of alerts in a process of trace-query."""

import time
from typing import Self

from ams_contracts.topics import ALERTS
from ams_kit.background import Background
from ams_kit.bus import Consumer, Kafka, Log
from ams_trace_query.alerts.deliverer import Deliverer
from ams_trace_query.alerts.evaluator import Evaluator
from ams_trace_query.alerts.projection import GROUP, RECORDS_MAX, AlertProjection
from ams_trace_query.alerts.publisher import Publisher
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.alerts.webhooks import WebhookSender
from ams_trace_query.database import Database

RULES_EVERY_SECONDS = 2.0
EVENTS_EVERY_SECONDS = 1.0
WEBHOOKS_EVERY_SECONDS = 1.0


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


class Alerting:
    """Evaluates rules, publishes and projects the events of alerts, and sends webhooks, until it is stopped. Several processes share the work."""

    def __init__(self, log: Log, consumer: Consumer) -> None:
        self._log = log
        self._consumer = consumer

    @classmethod
    async def start(
        cls, background: Background, database: Database, kafka: Kafka, sender: WebhookSender, sealer: Sealer, *, search_seconds_max: float
    ) -> Self:
        """Start in the background. Returns after at most a few seconds, whether or not the servers answer.

        Args:
            background: Supervises the tasks.
            database: The traces database.
            kafka: The log.
            sender: Sends webhooks.
            sealer: Decrypts their URLs.
            search_seconds_max: The time limit of one measurement.
        """
        log = await Log.open(kafka, "alerts")
        evaluator = Evaluator(database, sealer, now_us=now_us, search_seconds_max=search_seconds_max)
        publisher = Publisher(database, log, now_us=now_us)
        deliverer = Deliverer(database, sender, sealer, now_us=now_us)
        for name, work, seconds in (
            ("alert-rules", evaluator.run_once, RULES_EVERY_SECONDS),
            ("alert-events", publisher.run_once, EVENTS_EVERY_SECONDS),
            ("alert-webhooks", deliverer.run_once, WEBHOOKS_EVERY_SECONDS),
        ):
            background.spawn_periodic(name, work, every_seconds=seconds)
        consumer = Consumer(kafka, GROUP, ALERTS, AlertProjection(database), records_max=RECORDS_MAX)
        await consumer.start(background)
        return cls(log, consumer)

    async def stop(self) -> None:
        """Leave the consumer group, and flush what is being published. Stop the background tasks after it."""
        await self._consumer.stop()
        await self._log.close()
