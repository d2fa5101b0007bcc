"""The Grafana dashboards of the chart, written as tables of panels; ``./ams fmt`` renders them into ``deploy/helm/ams/files/dashboards``.

A panel is a title, a unit of Grafana, what it says and its queries. Series carry the labels of the chart's PodMonitor: ``namespace``, ``pod`` and
``container``, the name of the service.
"""

import json
from typing import Any, NamedTuple

WIDTH = 12
HEIGHT = 8
PER_ROW = 2
SCHEMA_VERSION = 41  # of Grafana 11
HERE = 'namespace="$namespace"'
SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One time series panel.

    Attributes:
        title: What it shows.
        unit: Grafana's name of the unit: ``short``, ``s``, ``bytes``, ``reqps``, ``ops``, ``percentunit``.
        description: What is good, and where to look otherwise.
        queries: PromQL and the legend of its series; ``$here`` is replaced by the selectors of the namespace.
    """

    title: str
    unit: str
    description: str
    queries: tuple[tuple[str, str], ...]


def percentile(share: float, metric: str, by: str = "", selectors: str = "") -> str:
    """The share's quantile of a histogram over the last five minutes."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{$here{selectors}}}[5m])))"


def rate(metric: str, by: str, selectors: str = "") -> str:
    """A counter's increase a second over the last five minutes."""
    return f"sum by ({by}) (rate({metric}{{$here{selectors}}}[5m]))"


PROCESS = (
    Panel(
        "Processor time",
        "short",
        "Cores in use. A service near its limit is throttled: raise it, or add replicas.",
        (("sum by (pod) (rate(process_cpu_seconds_total{$here$container}[5m]))", "{{pod}}"),),
    ),
    Panel(
        "Memory",
        "bytes",
        "Resident memory. Every structure is bounded; a line that grows for days is a defect.",
        (("sum by (pod) (process_resident_memory_bytes{$here$container})", "{{pod}}"),),
    ),
    Panel(
        "Own telemetry",
        "ops",
        "Spans and metrics that the receiver of AMS_OTEL_ENDPOINT took, and those that were dropped. Empty without that setting.",
        (
            ("sum by (signal) (rate(ams_telemetry_sent_total{$here$container}[5m]))", "sent {{signal}}"),
            ("sum by (signal, reason) (rate(ams_telemetry_dropped_total{$here$container}[5m]))", "dropped {{signal}} {{reason}}"),
        ),
    ),
)

PIPELINE = (
    Panel(
        "Accepted events",
        "ops",
        "Events that the log has acknowledged, by source.",
        ((rate("ams_events_accepted_total", "source"), "{{source}}"),),
    ),
    Panel(
        "Refused events",
        "ops",
        "What intake refused, by reason. The client knows it, and does not send it again.",
        ((rate("ams_events_refused_total", "source, reason"), "{{source}} {{reason}}"),),
    ),
    Panel(
        "Masked secrets",
        "ops",
        "Texts in which intake found a secret that the sender had not masked; and batches whose own prices could not be read.",
        (
            (rate("ams_masked_total", "source"), "masked {{source}}"),
            ("sum(rate(ams_own_prices_unavailable_total{$here}[5m]))", "own prices unavailable"),
        ),
    ),
    Panel(
        "Outcome of events",
        "ops",
        "accepted = projected + duplicate + ignored + dead + in flight. Accepted above the sum for minutes means a backlog.",
        (
            (rate("ams_events_projected_total", "projection"), "projected {{projection}}"),
            (rate("ams_events_duplicate_total", "projection"), "duplicate {{projection}}"),
            (rate("ams_events_ignored_total", "projection, reason"), "ignored {{projection}} {{reason}}"),
            (rate("ams_events_dead_total", "projection, reason"), "dead {{projection}} {{reason}}"),
        ),
    ),
    Panel(
        "Events since the tables were created",
        "short",
        "Stored with the position, so restarts lose nothing. Two processes may report a partition after a rebalance: the highest counts.",
        (
            (
                "sum by (projection, outcome) (max by (projection, topic, partition, outcome, reason) (ams_events_accounted{$here}))",
                "{{projection}} {{outcome}}",
            ),
        ),
    ),
    Panel(
        "Age of the backlog",
        "s",
        "Age of the oldest record that is not in the tables. Above a minute for 5 minutes: AmsProjectionBehind.",
        (("max by (projection) (ams_lag_seconds{$here})", "{{projection}}"),),
    ),
    Panel(
        "Backlog",
        "short",
        "Records that wait.",
        (("sum by (projection) (max by (projection, partition) (ams_lag_records{$here}))", "{{projection}}"),),
    ),
    Panel(
        "Time of a batch",
        "s",
        "Decode and write of one poll. It follows Postgres' speed.",
        (
            (percentile(0.5, "ams_project_seconds", "projection"), "p50 {{projection}}"),
            (percentile(0.99, "ams_project_seconds", "projection"), "p99 {{projection}}"),
        ),
    ),
    Panel(
        "The log",
        "ops",
        "Records acknowledged, and those without an acknowledgement, which clients send again.",
        (
            ("sum(rate(ams_log_published_total{$here}[5m]))", "published"),
            ("sum(rate(ams_log_publish_failed_total{$here}[5m]))", "failed"),
        ),
    ),
    Panel(
        "Alarms",
        "short",
        "Must be empty: alarms of the log, records that Kafka deleted too early, dead letters that were dropped.",
        (
            ("max by (projection, kind) (ams_log_alarm{$here}) > 0", "{{kind}} {{projection}}"),
            ("sum by (projection) (increase(ams_log_records_lost_total{$here}[1h])) > 0", "records lost {{projection}}"),
            ("sum(increase(ams_dead_letters_dropped_total{$here}[1h])) > 0", "dead letters dropped"),
        ),
    ),
    Panel(
        "Lost steps",
        "ops",
        "Steps whose agent stopped without an end: the agents, not the platform.",
        (("sum(rate(ams_steps_lost_total{$here}[5m]))", "lost"),),
    ),
    Panel(
        "Retention",
        "s",
        "Time since a run of retention finished; it runs daily.",
        (("time() - max(ams_retention_finished_seconds{$here} > 0)", "since the last run"),),
    ),
    Panel(
        "Backup",
        "s",
        "Age of the newest recorded backup, and half of what the log keeps: beyond it, AmsBackupOverdue.",
        (
            ("time() - max(ams_backup_began_seconds{$here} > 0)", "age"),
            ("0.5 * min(ams_log_retention_seconds{$here} > 0)", "limit"),
        ),
    ),
    Panel(
        "Background tasks",
        "short",
        "Tasks that wait to be restarted, and restarts in an hour. Above zero for two minutes: AmsBackgroundTaskDown.",
        (
            ("sum by (pod, task) (1 - ams_background_up{$here}) > 0", "down: {{task}} {{pod}}"),
            ("sum by (task) (increase(ams_background_restarts_total{$here}[1h])) > 0", "restarts: {{task}}"),
        ),
    ),
)

API = (
    Panel("Requests", "reqps", "By service.", ((rate("ams_http_requests_total", "container"), "{{container}}"),)),
    Panel(
        "Answers that say: our fault",
        "percentunit",
        "Share of answers from 500 on. 503 with Retry-After is among them: a server is unavailable.",
        (
            (
                'sum by (container) (rate(ams_http_requests_total{$here, status=~"5.."}[5m])) / sum by (container) (rate(ams_http_requests_total{$here}[5m]))',
                "{{container}}",
            ),
        ),
    ),
    Panel(
        "Time of an answer, p95",
        "s",
        "By service, all routes.",
        ((percentile(0.95, "ams_http_request_seconds", "container"), "{{container}}"),),
    ),
    Panel(
        "The slowest routes, p95",
        "s",
        "Exports and imports stream, and take as long as their content.",
        ((f"topk(8, {percentile(0.95, 'ams_http_request_seconds', 'route')})", "{{route}}"),),
    ),
    Panel(
        "Answers by status",
        "reqps",
        "429 is a limit that a client reached, 499 a client that left.",
        ((rate("ams_http_requests_total", "status"), "{{status}}"),),
    ),
    Panel(
        "Queries of traces",
        "s",
        "One snapshot of the traces database with all its queries.",
        ((percentile(0.5, "ams_query_seconds"), "p50"), (percentile(0.95, "ams_query_seconds"), "p95")),
    ),
    Panel(
        "Queries without an answer",
        "ops",
        "busy: too many searches at once; timeout: Postgres is slow; unavailable: Postgres does not answer.",
        ((rate("ams_queries_failed_total", "reason"), "{{reason}}"),),
    ),
    Panel(
        "Alerts of projects",
        "ops",
        "Rules that were evaluated, and those that could not be (too slow); alerts raised; attempts to send webhooks, by outcome.",
        (
            (rate("ams_alert_rules_evaluated_total", "outcome"), "evaluated: {{outcome}}"),
            ("sum(rate(ams_alerts_raised_total{$here}[5m]))", "raised"),
            (rate("ams_webhook_attempts_total", "outcome"), "webhook: {{outcome}}"),
        ),
    ),
    Panel(
        "Alert rules that wait",
        "s",
        "How long the rule that waits longest has been due. It grows when the processes cannot evaluate all rules within a minute.",
        (("max(ams_alert_lag_seconds{$here})", "waiting"),),
    ),
    Panel(
        "Reads with a replica",
        "ops",
        "behind and unavailable: the primary served. A replica that is often behind needs a faster disk, or the primary fewer writes.",
        ((rate("ams_replica_reads_total", "outcome"), "{{outcome}}"),),
    ),
    Panel("Live sockets", "short", "Open pages that follow something.", (("sum by (pod) (ams_live_sockets{$here})", "{{pod}}"),)),
    Panel("Live frames", "ops", "Sent to all sockets, by kind.", ((rate("ams_live_frames_total", "kind"), "{{kind}}"),)),
    Panel(
        "Sockets that the gateway closed",
        "ops",
        "By close code; clients resume after their last position.",
        ((rate("ams_live_closed_total", "code"), "{{code}}"),),
    ),
    *(
        Panel(
            one.title,
            one.unit,
            one.description,
            tuple((query.replace("$container", ', container=~"trace-query|live-gateway|intake"'), legend) for query, legend in one.queries),
        )
        for one in PROCESS
    ),
)

OF_IDENTITY = ', container="identity"'
IDENTITY = (
    Panel(
        "Requests by route",
        "reqps",
        "What people and services ask identity.",
        ((rate("ams_http_requests_total", "route", OF_IDENTITY), "{{route}}"),),
    ),
    Panel(
        "Refused sign-ins and keys",
        "reqps",
        "401: wrong or ended; 403: not allowed; 429: throttled. A wave of 401 and 429 is somebody who guesses.",
        ((rate("ams_http_requests_total", "route, status", OF_IDENTITY + ', status=~"401|403|429"'), "{{status}} {{route}}"),),
    ),
    Panel(
        "Time of an answer",
        "s",
        "Sign-ins compute a password's hash on purpose; everything else answers within 100 ms.",
        (
            (percentile(0.5, "ams_http_request_seconds", selectors=OF_IDENTITY), "p50"),
            (percentile(0.99, "ams_http_request_seconds", selectors=OF_IDENTITY), "p99"),
        ),
    ),
    Panel(
        "Time of the slowest routes, p95",
        "s",
        "By route.",
        ((f"topk(8, {percentile(0.95, 'ams_http_request_seconds', 'route', OF_IDENTITY)})", "{{route}}"),),
    ),
    Panel(
        "Events that wait for the log",
        "short",
        "The outbox. It grows while Kafka is unavailable; at 50,000 identity refuses changes.",
        (("max(ams_outbox_events{$here" + OF_IDENTITY + "})", "waiting"),),
    ),
    Panel(
        "Answers from 500 on",
        "reqps",
        "503 while Postgres, Valkey or Kafka is unavailable.",
        ((rate("ams_http_requests_total", "status", OF_IDENTITY + ', status=~"5.."'), "{{status}}"),),
    ),
    Panel(
        "Background tasks",
        "short",
        "The outbox publishes what changed, the keeper writes revocations. Neither may be down for minutes.",
        (("min by (pod, task) (ams_background_up{$here" + OF_IDENTITY + "})", "{{task}} {{pod}}"),),
    ),
    *(
        Panel(
            one.title, one.unit, one.description, tuple((query.replace("$container", OF_IDENTITY), legend) for query, legend in one.queries)
        )
        for one in PROCESS
    ),
)

DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "pipeline": ("AMS: pipeline", PIPELINE),
    "api-and-live": ("AMS: API and live updates", API),
    "identity": ("AMS: identity", IDENTITY),
}


def expressions(panels: tuple[Panel, ...]) -> list[str]:
    """The panels' queries as Grafana sends them."""
    return [query.replace("$here", HERE) for panel in panels for query, _ in panel.queries]


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": number % PER_ROW * WIDTH, "y": number // PER_ROW * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query.replace("$here", HERE), "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def dashboard(name: str) -> str:
    """Return a dashboard as the JSON that Grafana imports."""
    title, panels = DASHBOARDS[name]
    model = {
        "uid": f"ams-{name}",
        "title": title,
        "tags": ["ams"],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
                {
                    "name": "namespace",
                    "label": "Namespace",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(ams_background_up, namespace)", "refId": "namespace"},
                    "refresh": 2,
                    "current": {},
                },
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(model, indent=1) + "\n"
