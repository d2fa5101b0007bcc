"""The shapes of alert rules in requests and responses, and what a rule may say."""

import math
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ams_contracts.alerts import AlertRaised, Measure
from ams_kit.errors import InvalidError
from ams_kit.names import check_name, has_control_characters
from ams_trace_query.alerts.measures import SILENT
from ams_trace_query.alerts.notices import WebhookFormat
from ams_trace_query.alerts.webhooks import URL_BYTES_MAX
from ams_trace_query.search.parse import QUERY_BYTES_MAX, parse
from ams_trace_query.search.tree import QueryError

BODY_BYTES_MAX = 32_768
WINDOW_SECONDS_MAX = 604_800
THRESHOLD_MAX = 1e15
_raised = msgspec.json.Decoder(AlertRaised)

WindowSeconds = Annotated[int, Meta(ge=60, le=WINDOW_SECONDS_MAX)]


class WebhookBody(Struct, frozen=True, kw_only=True):
    """Where alerts of a rule are sent.

    Attributes:
        format: json: the alert as AMS describes it; slack: a message for an incoming webhook of Slack, or of what understands its format.
        url: An https URL, which is kept encrypted and not shown again. Null: the one that the rule has.
    """

    format: WebhookFormat
    url: Annotated[str, Meta(max_length=URL_BYTES_MAX)] | None = None


class AlertRuleBody(Struct, frozen=True, kw_only=True):
    """An alert rule to save.

    Attributes:
        name: 1 to 100 visible characters, unique in the project.
        enabled: False: it is paused.
        q: A query of the tasks page; empty: all tasks.
        measure: What is compared with the threshold: count (tasks), error_rate (failed ones among those that ended, 0 to 1), p95_duration
            (seconds), cost (USD), waiting or lost (seconds for which a task has waited for a person, or has been lost).
        threshold: The alert is raised at this value and above.
        window_seconds: A minute to a week, back from now: tasks that ended then, and open ones that started then. For waiting and lost: tasks
            that started then.
        webhook: Null: none. Absent: the one that the rule has.
    """

    name: str
    enabled: bool = True
    q: str = ""
    measure: Measure
    threshold: float
    window_seconds: WindowSeconds
    webhook: WebhookBody | UnsetType | None = UNSET


class RuleWebhook(Struct, frozen=True, kw_only=True):
    """A webhook without its secrets. ``host``: of its URL."""

    format: str
    host: str


class AlertRule(Struct, frozen=True, kw_only=True):
    """A query over the tasks of the last ``window_seconds``, and the threshold that its ``measure`` is compared with once a minute.

    Attributes:
        webhook: Null: alerts are shown in AMS alone.
        evaluated_at_us: When it was last evaluated; null: not yet.
        value: What was measured then; null: there was nothing to measure.
        problem: Why it could not be evaluated then; null: it was.
        alert_id: The open alert; null: none.
    """

    rule_id: str
    name: str
    enabled: bool
    q: str
    measure: str
    threshold: float
    window_seconds: int
    webhook: RuleWebhook | None
    author_id: str
    created_at_us: int
    updated_at_us: int
    updated_by: str
    evaluated_at_us: int | None
    value: float | None
    problem: str | None
    alert_id: str | None


class AlertRulePage(Struct, frozen=True, kw_only=True):
    """Alert rules by name."""

    items: list[AlertRule]
    next_cursor: str | None


class ChangedAlertRule(Struct, frozen=True, kw_only=True):
    """A rule after a change. ``signing_secret``: of a new webhook, shown here alone; it verifies the header webhook-signature. Null: none is new."""

    rule: AlertRule
    signing_secret: str | None


class WebhookTest(Struct, frozen=True, kw_only=True):
    """What became of a test. ``status``: of HTTP, null when no response was received. ``problem``: why it did not arrive; null: it did."""

    status: int | None
    problem: str | None


def check_rule(body: AlertRuleBody) -> dict[str, Any]:
    """The columns that a body sets, without those of the webhook.

    Raises:
        InvalidError: A value is not acceptable.
        QueryError: The query does not parse.
    """
    return {"name": check_name(body.name, "alert rule"), "enabled": body.enabled, **check_condition(body)}


def check_condition(body: Any) -> dict[str, Any]:
    """The columns of what is measured, of a rule or a preview.

    Raises:
        InvalidError: A value is not acceptable.
        QueryError: The query does not parse.
    """
    if len(body.q.encode("utf-8", "surrogatepass")) > QUERY_BYTES_MAX:
        raise QueryError(f"The query is too long. Use at most {QUERY_BYTES_MAX} bytes.", column=QUERY_BYTES_MAX, code="query_too_long")
    if has_control_characters(body.q):
        raise InvalidError("q is text without control characters.", code="control_characters")
    parse(body.q)
    if not math.isfinite(body.threshold) or body.threshold <= 0 or body.threshold > THRESHOLD_MAX:
        raise InvalidError("The threshold must be a number greater than 0.", code="invalid_threshold")
    if body.measure == "error_rate" and body.threshold > 1:
        raise InvalidError("The threshold of an error rate is at most 1, which is 100 %.", code="invalid_threshold")
    if body.measure in SILENT and body.threshold > body.window_seconds:
        raise InvalidError("The window must be at least as long as the time after which the alert is raised.", code="window_too_short")
    return {"q": body.q, "measure": body.measure, "threshold": body.threshold, "window_seconds": body.window_seconds}


def rule_view(row: Any) -> AlertRule:
    """A row of ``alert_rules`` with that of ``alert_states``."""
    names = ("rule_id", "name", "enabled", "q", "measure", "threshold", "window_seconds", "author_id", "created_at_us", "updated_at_us")
    return AlertRule(
        **{name: row[name] for name in (*names, "updated_by", "evaluated_at_us", "value", "problem")},
        webhook=None if row["webhook_sealed"] is None else RuleWebhook(format=row["webhook_format"], host=row["webhook_host"]),
        alert_id=None if row["alert"] is None else _raised.decode(row["alert"]).alert_id,
    )
