"""Sends the notices that wait to the webhooks of their rules, again and again with back-off until one attempt is accepted."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import select, update

from ams_contracts.platform_tables import alert_deliveries, alert_rules
from ams_kit.telemetry.metrics import WEBHOOK_ATTEMPTS
from ams_trace_query.alerts import queue
from ams_trace_query.alerts.measures import SECOND_US
from ams_trace_query.alerts.notices import AlertNotice, WebhookFormat
from ams_trace_query.alerts.sealing import Sealer, WebhookSecrets
from ams_trace_query.alerts.webhooks import SEND_SECONDS, Outcome, WebhookSender
from ams_trace_query.database import Database

BACKOFF_SECONDS = (10, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""Between attempts, so that there are ten within 16 hours."""
LEASE_SECONDS = SEND_SECONDS * 3  # then another process tries: this one has ended
AT_ONCE = 32
AT_ONCE_OF_PROJECT = 2  # so that receivers that do not answer hold only what their project has
DUE_AGAIN_SECONDS = 1.0

logger = structlog.get_logger(__name__)
_notice = msgspec.json.Decoder(AlertNotice)


class _Claimed(Struct, frozen=True):
    """A delivery that this process attempts: the notice, the webhook (null: the rule has none any more), and the attempts before."""

    notice: AlertNotice
    format: WebhookFormat
    webhook: WebhookSecrets | None
    attempts: int


class Deliverer:
    """Sends what is due.

    Args:
        database: The traces database.
        sender: Sends single webhooks.
        sealer: Decrypts URLs and signing secrets.
        now_us: The clock, microseconds since the epoch.
        jitter: A factor close to 1 for the pauses between attempts.
    """

    def __init__(
        self,
        database: Database,
        sender: WebhookSender,
        sealer: Sealer,
        *,
        now_us: Callable[[], int],
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.1),  # noqa: S311  spreads retries
    ) -> None:
        self._database = database
        self._sender = sender
        self._sealer = sealer
        self._now_us = now_us
        self._jitter = jitter

    async def run_once(self) -> int:
        """Attempt what is due, until nothing is; how many attempts were made here.

        An attempt that waits for its receiver keeps a slot of its project and stops no other one.

        Raises:
            UnavailableError: Postgres is unavailable. What was sent without being noted is sent again.
        """
        running: dict[asyncio.Task[bool], tuple[str, str]] = {}
        made = 0
        try:
            while True:
                await self._fill(running)
                if not running:
                    return made
                done, _ = await asyncio.wait(running, timeout=DUE_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]
                    made += task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _fill(self, running: dict[asyncio.Task[bool], tuple[str, str]]) -> None:
        """Begin attempts where slots are free."""
        if len(running) == AT_ONCE:
            return
        of_project = Counter(project_id for project_id, _ in running.values())
        full = [project_id for project_id, count in of_project.items() if count == AT_ONCE_OF_PROJECT]
        found = await queue.due(self._database, "delivery", self._now_us(), AT_ONCE, of_project=AT_ONCE_OF_PROJECT, without=full)
        begun = set(running.values())
        for project_id, event_id, _ in found:
            if len(running) < AT_ONCE and of_project[project_id] < AT_ONCE_OF_PROJECT and (project_id, event_id) not in begun:
                of_project[project_id] += 1
                running[asyncio.create_task(self._attempt(project_id, event_id))] = (project_id, event_id)

    async def _attempt(self, project_id: str, event_id: str) -> bool:
        claimed = await self._claim(project_id, event_id)
        if claimed is None:
            return False
        if claimed.webhook is None:
            outcome, is_last = Outcome(None, "The rule has no webhook any more, or AMS_SECRET_KEY has changed."), True
        else:
            outcome = await self._sender.send(claimed.notice, claimed.format, claimed.webhook)
            is_last = claimed.attempts >= len(BACKOFF_SECONDS)
        await self._note(project_id, event_id, claimed.attempts, outcome, is_last=is_last)
        return True

    async def _claim(self, project_id: str, event_id: str) -> _Claimed | None:
        now_us = self._now_us()
        rule, sent = alert_rules.c, alert_deliveries.c
        async with self._database.write(project_id) as writer:
            if not await queue.lock(writer, "delivery", project_id, event_id, now_us):
                return None
            row = await writer.row(
                select(sent.body, sent.attempts, sent.rule_id, rule.webhook_format, rule.webhook_sealed)
                .select_from(alert_deliveries.outerjoin(alert_rules, (rule.project_id == sent.project_id) & (rule.rule_id == sent.rule_id)))
                .where(sent.project_id == project_id, sent.event_id == event_id)
                .limit(1)
            )
            if row is None:  # deleted as one of the oldest ones
                await queue.remove(writer, "delivery", project_id, event_id)
                return None
            await queue.put(writer, "delivery", project_id, event_id, now_us + LEASE_SECONDS * SECOND_US)
        sealed = row["webhook_sealed"]
        webhook = None if sealed is None else self._sealer.unseal(sealed, project_id, row["rule_id"])
        return _Claimed(_notice.decode(row["body"]), row["webhook_format"] or "json", webhook, row["attempts"])

    async def _note(self, project_id: str, event_id: str, attempts: int, outcome: Outcome, *, is_last: bool) -> None:
        state = "delivered" if outcome.problem is None else "failed" if is_last else "pending"
        next_us = None
        if state == "pending":
            next_us = self._now_us() + int(BACKOFF_SECONDS[attempts] * self._jitter() * SECOND_US)
        WEBHOOK_ATTEMPTS.labels({"delivered": "delivered", "failed": "given_up", "pending": "to_retry"}[state]).inc()
        if state == "failed":
            logger.warning("webhook given up", attempts=attempts + 1, status=outcome.status)
        values: dict[str, Any] = {
            "state": state,
            "attempts": attempts + 1,
            "last_status": outcome.status,
            "last_problem": outcome.problem,
            "next_attempt_at_us": next_us,
        }
        sent = alert_deliveries.c
        async with self._database.write(project_id) as writer:
            await writer.change(update(alert_deliveries).where(sent.project_id == project_id, sent.event_id == event_id).values(values))
            if next_us is None:
                await queue.remove(writer, "delivery", project_id, event_id)
            else:
                await queue.put(writer, "delivery", project_id, event_id, next_us)
