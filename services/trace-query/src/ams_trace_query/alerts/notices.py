"""What a webhook reports: the JSON of AMS, the JSON of Slack, and the headers that sign it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ams_contracts.alerts import AlertRaised, AlertResolved, EndReason, Measure
from ams_trace_query.alerts.sealing import SECRET_PREFIX

WebhookFormat = Literal["json", "slack"]


class AlertNotice(Struct, frozen=True, kw_only=True):
    """What happened to an alert: the body of a webhook of the format json, without the link.

    Attributes:
        type: alert.raised, alert.resolved, or test.
        event_id: The same for every attempt, to recognise repetitions: at least one attempt arrives.
        at_us: When it was decided, in microseconds UTC.
        threshold: In the unit of ``measure``, as ``value``.
        window_start_us: The window that raised the alert.
        ended_value: The last measurement of an alert that ended.
    """

    type: Literal["alert.raised", "alert.resolved", "test"]
    event_id: str
    at_us: int
    project_id: str
    rule_id: str
    rule_name: str
    alert_id: str
    q: str
    measure: Measure
    threshold: float
    value: float
    window_start_us: int
    window_end_us: int
    task_ids: list[str]
    ended_reason: EndReason | None = None
    ended_value: float | None = None


def notice_of(raised: AlertRaised, resolved: AlertResolved | None = None, *, is_test: bool = False) -> AlertNotice:
    """The notice of an alert that was raised, or that ended."""
    event = resolved or raised
    return AlertNotice(
        type="test" if is_test else "alert.raised" if resolved is None else "alert.resolved",
        event_id=event.event_id,
        at_us=event.at_us,
        project_id=raised.project_id,
        rule_id=raised.rule_id,
        rule_name=raised.name,
        alert_id=raised.alert_id,
        q=raised.q,
        measure=raised.measure,
        threshold=raised.threshold,
        value=raised.value,
        window_start_us=raised.window_start_us,
        window_end_us=raised.window_end_us,
        task_ids=raised.task_ids,
        ended_reason=None if resolved is None else resolved.reason,
        ended_value=None if resolved is None else resolved.value,
    )


def body_of(notice: AlertNotice, format_: WebhookFormat, public_url: str) -> bytes:
    """The body of the request."""
    link = f"{public_url.rstrip('/')}/projects/{notice.project_id}/alerts?rule={notice.rule_id}"
    if format_ == "slack":
        return msgspec.json.encode(_slack(notice, link))
    return msgspec.json.encode({**msgspec.to_builtins(notice), "url": link})


def headers_of(event_id: str, at_s: int, body: bytes, signing_secret: str) -> dict[str, str]:
    """The headers of Standard Webhooks (standardwebhooks.com): id, timestamp, and HMAC-SHA256 of both and the body."""
    key = base64.b64decode(signing_secret.removeprefix(SECRET_PREFIX))
    signed = hmac.new(key, f"{event_id}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        "content-type": "application/json",
        "user-agent": "AMS-webhook/1",
    }


def value_text(value: float | None, measure: Measure) -> str:
    """A measurement with its unit."""
    if value is None:
        return "nothing to measure"
    match measure:
        case "count":
            return f"{value:g} tasks"
        case "error_rate":
            return f"{value:.1%} failed"
        case "p95_duration":
            return f"p95 of {value:.3g} s"
        case "cost":
            return f"${value:.4f}"
        case "waiting" | "lost":
            return f"{measure} for {value:.0f} s"


def _slack(notice: AlertNotice, link: str) -> dict[str, Any]:
    name, query = _escaped(notice.rule_name), _escaped(notice.q or "all tasks")
    match notice.type:
        case "alert.raised":
            head = f":rotating_light: *{name}*: {value_text(notice.value, notice.measure)}"
        case "alert.resolved":
            head = f":white_check_mark: *{name}* ended ({(notice.ended_reason or '').replace('_', ' ')})"
        case "test":
            head = f"Test of *{name}*: this webhook works."
    window = f"{_clock(notice.window_start_us)} to {_clock(notice.window_end_us)} UTC"
    text = f"{head}\nQuery `{query}`, threshold {value_text(notice.threshold, notice.measure)}, {window}\n<{link}|Open in AMS>"
    return {"text": text}


def _clock(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _escaped(text: str) -> str:
    """Text that Slack shows as it is: no mention, link or markup comes from a name or a query."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'").replace("*", "\u2217")
