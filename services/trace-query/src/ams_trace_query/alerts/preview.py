"""What a rule would have done in the last 24 hours."""

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import select

from ams_contracts.alerts import Measure
from ams_contracts.claims import Access, Role
from ams_contracts.documents import Status
from ams_contracts.histograms import bucket_of, percentile
from ams_contracts.tables import tasks
from ams_kit.auth import require_role
from ams_kit.http.json_body import read_json, with_json_body
from ams_trace_query.alerts.decisions import decide
from ams_trace_query.alerts.measures import SECOND_US, SILENT, RuleCondition, Window, ended_or_started, measure, open_scan
from ams_trace_query.alerts.rule_shapes import BODY_BYTES_MAX, WindowSeconds, check_condition
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.openapi import PROBLEMS_WITH_BODY
from ams_trace_query.parameters import read_parameters
from ams_trace_query.search.windowed_scan import scan_windows

DAY_US = 86_400 * SECOND_US
STEPS = 720  # two minutes each
TASKS_MAX = 20_000
TIMES_MAX = 20


class RulePreviewBody(Struct, frozen=True, kw_only=True):
    """What a rule would measure, see ``AlertRuleBody``."""

    q: str = ""
    measure: Measure
    threshold: float
    window_seconds: WindowSeconds


class RulePreview(Struct, frozen=True, kw_only=True):
    """What a rule would have done in the last 24 hours, looked at every two minutes.

    Attributes:
        alerts: How many alerts it would have raised. Null for waiting and lost: how long a task was silent before is not stored.
        raised_at_us: When, the newest first, at most 20 times.
        value: What it measures now; null: there is nothing to measure.
        is_met: Whether the condition is met now.
        counted_back_to_us: The alerts are counted from this time on, because there are too many tasks for all 24 hours. Null: all are counted.
    """

    alerts: int | None
    raised_at_us: list[int]
    value: float | None
    is_met: bool
    counted_back_to_us: int | None


_body = msgspec.json.Decoder(RulePreviewBody)


@post(
    "/alert-rules/preview",
    status_code=200,
    operation_class=with_json_body(RulePreviewBody),
    operation_id="previewAlertRule",
    responses=PROBLEMS_WITH_BODY,
)
async def preview_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> RulePreview:
    """Read what a rule would have done in the last 24 hours. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    check_condition(body)
    condition = RuleCondition(body.q, body.measure, body.threshold)
    context = context_of(request)
    now_us = int(context.now().timestamp() * SECOND_US)
    window_us = body.window_seconds * SECOND_US
    now = Window(now_us - window_us, now_us)
    limit = context.search_seconds_max
    async with slot_if(context.heavy_queries, heavy=True), context.database.read(access.project_id) as reader:
        found = await measure(reader, access.project_id, condition, now, seconds_max=limit)
        is_met = found.complete and found.value is not None and found.value >= body.threshold
        if body.measure in SILENT:
            return RulePreview(alerts=None, raised_at_us=[], value=found.value, is_met=is_met, counted_back_to_us=None)
        scan = await open_scan(reader, access.project_id, condition, Window(now_us - DAY_US - window_us, now_us), seconds_max=limit)
        moments: list[Any] = []
        back_to_us = None
        columns = (ended_or_started.label("at_us"), tasks.c.ended_at_us, tasks.c.status, tasks.c.duration_us, tasks.c.cost_nusd)
        async for part in scan_windows(reader, tasks.c.sort_at_us, scan.scope, budget=scan.budget):
            room = TASKS_MAX + 1 - len(moments)
            moments += await reader.rows(
                select(*columns).where(*scan.scope, *part.conditions, *scan.conditions).order_by(tasks.c.sort_at_us.desc()).limit(room)
            )
            back_to_us = part.low_us
            if len(moments) > TASKS_MAX:
                back_to_us = min(row["at_us"] for row in moments)
                break
    raised = would_raise(moments, body.measure, body.threshold, window_us, now_us)
    if back_to_us is not None:
        raised = [at_us for at_us in raised if at_us - window_us >= back_to_us]
    return RulePreview(
        alerts=len(raised),
        raised_at_us=raised[: -TIMES_MAX - 1 : -1],
        value=found.value,
        is_met=is_met,
        counted_back_to_us=None if back_to_us is None or back_to_us <= now_us - DAY_US else back_to_us + window_us,
    )


def would_raise(rows: Iterable[Any], measured: Measure, threshold: float, window_us: int, now_us: int) -> list[int]:
    """The ends of the windows for which a rule would have raised an alert, oldest first.

    A percentile comes from a histogram, so it is up to an eighth off.

    Args:
        rows: Tasks with ``at_us``, ``ended_at_us``, ``status``, ``duration_us`` and ``cost_nusd``.
        measured: What is measured.
        threshold: See ``decide``.
        window_us: The length of a window.
        now_us: The end of the last window.
    """
    coming = deque(sorted(rows, key=lambda row: row["at_us"]))
    inside: deque[Any] = deque()
    sums = _Sliding()
    raised: list[int] = []
    is_open = False
    for number in range(STEPS + 1):
        end_us = now_us - DAY_US + number * (DAY_US // STEPS)
        while coming and coming[0]["at_us"] < end_us:
            inside.append(coming.popleft())
            sums.add(inside[-1], 1)
        while inside and inside[0]["at_us"] < end_us - window_us:
            sums.add(inside.popleft(), -1)
        decision = decide(
            sums.value(measured),
            threshold,
            is_open=is_open,
            window_start_us=end_us - window_us,
            last_window_end_us=raised[-1] if raised else None,
        )
        is_open = is_open if decision is None else decision == "raise"
        if decision == "raise":
            raised.append(end_us)
    return raised


class _Sliding:
    """Sums of the tasks inside a window that moves."""

    def __init__(self) -> None:
        self.tasks = self.ended = self.failed = self.cost_nusd = 0
        self.durations = [0] * 256

    def add(self, row: Any, sign: int) -> None:
        self.tasks += sign
        self.cost_nusd += sign * row["cost_nusd"]
        if row["ended_at_us"] is not None:
            self.ended += sign
            self.failed += sign * (row["status"] == Status.ERROR)
            if row["duration_us"] is not None:
                self.durations[min(bucket_of(row["duration_us"]), len(self.durations) - 1)] += sign

    def value(self, measured: Measure) -> float | None:
        match measured:
            case "count":
                return float(self.tasks)
            case "error_rate":
                return self.failed / self.ended if self.ended else None
            case "cost":
                return self.cost_nusd / 1_000_000_000
            case _:
                p95 = percentile(self.durations, 0.95)
                return None if p95 is None else p95 / SECOND_US
