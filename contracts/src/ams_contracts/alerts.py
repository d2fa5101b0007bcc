"""Alerts of a project on the topic ``ams.alerts.v1``: one event per record, keyed by the rule, so that the events of an alert are in order.

They hold what the rule said when it fired, and ids of tasks; no content of a task.
"""

import hashlib
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ams_contracts.ids import EventId, Microseconds, ProjectId, TaskId

Measure = Literal["count", "error_rate", "p95_duration", "cost", "waiting", "lost"]
"""What is compared with the threshold: tasks; the share of failed ones among those that ended, 0 to 1; the 95th percentile of their duration in
seconds; their cost in USD; the seconds for which the task that waits for a person, or that is lost, has been silent."""

RuleId = Annotated[str, Meta(min_length=36, max_length=36)]
AlertId = EventId
SAMPLES_MAX = 10
EndReason = Literal["recovered", "rule_changed", "rule_paused", "rule_deleted"]


class AlertEventBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Fields of every event: its id, when it was decided, and what it belongs to."""

    v: Literal[1] = 1
    event_id: EventId
    at_us: Microseconds
    project_id: ProjectId
    rule_id: RuleId
    alert_id: AlertId


class AlertRaised(AlertEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="alert.raised"):
    """The condition of a rule was met.

    Attributes:
        name: Of the rule.
        q: The query of the rule; empty: all tasks.
        value: What was measured, in the unit of ``Measure``; at least ``threshold``.
        window_start_us: The first moment of the window that was measured.
        window_end_us: The first moment after it.
        task_ids: Some of the tasks that caused it, the most relevant first.
    """

    name: str
    q: str = ""
    measure: Measure
    threshold: float
    value: float
    window_start_us: Microseconds
    window_end_us: Microseconds
    task_ids: Annotated[list[TaskId], Meta(max_length=SAMPLES_MAX)] = []


class AlertResolved(AlertEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="alert.resolved"):
    """An alert ended. ``value``: the last measurement; ``None``: nothing could be measured any more, or the rule was changed, paused or deleted."""

    reason: EndReason
    value: float | None = None


class AlertAcknowledged(AlertEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="alert.acknowledged"):
    """A person took note of an alert. The first one counts."""

    user_id: str


AlertEvent = AlertRaised | AlertResolved | AlertAcknowledged


def alert_id_of(rule_id: str, window_end_us: int) -> str:
    """The id of the alert that a rule raises for a window: the same in every process, so that a repeated decision is the same alert."""
    return _digest(rule_id, str(window_end_us))


def event_id_of(alert_id: str, kind: Literal["raised", "resolved", "acknowledged"]) -> str:
    """The id of an event of an alert. Of each kind there is one."""
    return _digest(alert_id, kind)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16, person=b"ams-alerts").hexdigest()
