"""Evaluates the rules that are due. Several processes share them: the one that locks a rule's entry of the queue decides, in one transaction with what follows."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ams_contracts.alerts import AlertRaised, AlertResolved, EndReason, alert_id_of, event_id_of
from ams_contracts.platform_tables import alert_rules, alert_states
from ams_kit.errors import QueryTimeoutError, UnavailableError
from ams_kit.telemetry.metrics import ALERT_LAG_SECONDS, ALERTS_RAISED, RULES_EVALUATED
from ams_trace_query.alerts import queue
from ams_trace_query.alerts.decisions import decide
from ams_trace_query.alerts.measures import SECOND_US, Measured, RuleCondition, Window, measure
from ams_trace_query.alerts.notices import notice_of
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.database import Database, ProjectWriter
from ams_trace_query.search.tree import QueryError

PERIOD_SECONDS = 60
AT_ONCE = 2  # rules of different projects; each takes two connections
FAILED = (
    "The tasks of the query could not be measured. Change the query or the window, or ask the operator: the log of trace-query says why."
)
TOO_SLOW = "The query takes too long to count all tasks of the window. Narrow the query or the window."

logger = structlog.get_logger(__name__)


class Evaluator:
    """Evaluates rules that are due.

    Args:
        database: The traces database.
        sealer: Encrypts webhooks again after ``AMS_SECRET_KEY`` has changed.
        now_us: The clock, microseconds since the epoch.
        search_seconds_max: The time limit of one measurement.
    """

    def __init__(self, database: Database, sealer: Sealer, *, now_us: Callable[[], int], search_seconds_max: float) -> None:
        self._database = database
        self._sealer = sealer
        self._now_us = now_us
        self._search_seconds_max = search_seconds_max

    async def run_once(self) -> int:
        """Evaluate the rules that are due, turn by turn; how many were evaluated here.

        Raises:
            UnavailableError: Postgres is unavailable.
        """
        evaluated = 0
        while made := await self._one_turn():
            evaluated += made
        return evaluated

    async def _one_turn(self) -> int:
        """Evaluate the rule of each project that waits longest, so that a project with many slow rules delays the others by one of them."""
        found = await queue.due(self._database, "rule", self._now_us(), of_project=1)
        ALERT_LAG_SECONDS.set(max((self._now_us() - since for _, _, since in found), default=0) / SECOND_US)
        at_once = asyncio.Semaphore(AT_ONCE)

        async def evaluate(project_id: str, rule_id: str) -> bool:
            async with at_once:
                return await self._evaluate(project_id, rule_id)

        outcomes = await asyncio.gather(*(evaluate(project_id, rule_id) for project_id, rule_id, _ in found), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome is True for outcome in outcomes)

    async def _evaluate(self, project_id: str, rule_id: str) -> bool:
        now_us = self._now_us()
        async with self._database.write(project_id) as writer:
            if not await queue.lock(writer, "rule", project_id, rule_id, now_us):
                return False
            rule = await writer.row(
                select(alert_rules, alert_states.c.alert, alert_states.c.last_window_end_us)
                .select_from(alert_rules.outerjoin(alert_states, _same_rule()))
                .where(alert_rules.c.project_id == project_id, alert_rules.c.rule_id == rule_id)
                .limit(1)
            )
            if rule is None:
                await queue.remove(writer, "rule", project_id, rule_id)
                return False
            await self._reseal(writer, rule)
            if rule["enabled"]:
                await self._apply(writer, rule, now_us)
            await queue.put(writer, "rule", project_id, rule_id, next_at_us(rule_id, now_us))
        return True

    async def _apply(self, writer: ProjectWriter, rule: Any, now_us: int) -> None:
        end_us = now_us // SECOND_US * SECOND_US
        window = Window(end_us - rule["window_seconds"] * SECOND_US, end_us)
        found, problem = await self._measure(rule, window)
        RULES_EVALUATED.labels("failed" if problem else "measured").inc()
        open_alert = None if rule["alert"] is None else msgspec.json.decode(rule["alert"], type=AlertRaised)
        state: dict[str, Any] = {"evaluated_at_us": now_us, "value": found.value, "problem": problem}
        decision = None
        if problem is None:
            decision = decide(
                found.value,
                rule["threshold"],
                is_open=open_alert is not None,
                window_start_us=window.start_us,
                last_window_end_us=rule["last_window_end_us"],
            )
        if decision == "raise":
            raised = raised_of(rule, found, window, now_us)
            state |= {"alert": msgspec.json.encode(raised), "last_window_end_us": end_us}
            await queue.publish_later(writer, raised)
            if rule["webhook_sealed"] is not None:
                await queue.send_later(writer, notice_of(raised))
            ALERTS_RAISED.inc()
        elif decision == "resolve" and open_alert is not None:
            state["alert"] = None
            await end(writer, open_alert, "recovered", now_us, value=found.value, has_webhook=rule["webhook_sealed"] is not None)
        statement = upsert(alert_states).values(project_id=rule["project_id"], rule_id=rule["rule_id"], **state)
        await writer.change(statement.on_conflict_do_update(index_elements=["project_id", "rule_id"], set_=state))

    async def _measure(self, rule: Any, window: Window) -> tuple[Measured, str | None]:
        """Measure in a snapshot of its own; with the reason when that fails for this rule alone."""
        condition = RuleCondition(rule["q"], rule["measure"], rule["threshold"])
        nothing = Measured(None, complete=False, task_ids=[])
        try:
            async with self._database.read(rule["project_id"]) as reader:
                found = await measure(reader, rule["project_id"], condition, window, seconds_max=self._search_seconds_max)
        except QueryTimeoutError:
            return nothing, TOO_SLOW
        except QueryError as error:  # a release that knows fewer fields than the one that saved the rule
            return nothing, error.detail
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001  one rule, such as one whose sum is out of range, must not stop those of other projects
            logger.warning("a rule could not be measured", rule_id=rule["rule_id"], reason=type(error).__name__)
            return nothing, FAILED
        return found, None if found.complete else TOO_SLOW

    async def _reseal(self, writer: ProjectWriter, rule: Any) -> None:
        """Encrypt the webhook with the current key, so that the previous one can be removed from the settings."""
        sealed = rule["webhook_sealed"]
        if sealed is None or not self._sealer.can_seal or self._sealer.is_current(sealed):
            return
        secrets = self._sealer.unseal(sealed, rule["project_id"], rule["rule_id"])
        if secrets is not None:
            again = self._sealer.seal(secrets, rule["project_id"], rule["rule_id"])
            mine = (alert_rules.c.project_id == rule["project_id"], alert_rules.c.rule_id == rule["rule_id"])
            await writer.change(update(alert_rules).where(*mine).values(webhook_sealed=again))


async def end(
    writer: ProjectWriter, alert: AlertRaised, reason: EndReason, at_us: int, *, value: float | None = None, has_webhook: bool
) -> None:
    """End an alert: an event, and a notice if the rule has a webhook."""
    event_id = event_id_of(alert.alert_id, "resolved")
    ended = AlertResolved(
        event_id=event_id,
        at_us=at_us,
        project_id=alert.project_id,
        rule_id=alert.rule_id,
        alert_id=alert.alert_id,
        reason=reason,
        value=value,
    )
    await queue.publish_later(writer, ended)
    if has_webhook:
        await queue.send_later(writer, notice_of(alert, ended))


def raised_of(rule: Any, found: Measured, window: Window, at_us: int) -> AlertRaised:
    """The event of an alert that a rule raises."""
    alert_id = alert_id_of(rule["rule_id"], window.end_us)
    return AlertRaised(
        event_id=event_id_of(alert_id, "raised"),
        at_us=at_us,
        project_id=rule["project_id"],
        rule_id=rule["rule_id"],
        alert_id=alert_id,
        name=rule["name"],
        q=rule["q"],
        measure=rule["measure"],
        threshold=rule["threshold"],
        value=found.value or 0.0,
        window_start_us=window.start_us,
        window_end_us=window.end_us,
        task_ids=found.task_ids,
    )


def next_at_us(rule_id: str, now_us: int) -> int:
    """When a rule is evaluated next: once a minute, each rule at a second of its own, so that not all rules are due at once."""
    period_us = PERIOD_SECONDS * SECOND_US
    phase_us = zlib.crc32(rule_id.encode()) % PERIOD_SECONDS * SECOND_US
    return ((now_us - phase_us) // period_us + 1) * period_us + phase_us


def _same_rule() -> Any:
    return (alert_states.c.project_id == alert_rules.c.project_id) & (alert_states.c.rule_id == alert_rules.c.rule_id)
