"""Every metric of the platform: name, unit and meaning. Add new ones here."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_ACCEPTED = Counter("ams_events_accepted_total", "Events that the log has acknowledged.", ["source"])
EVENTS_REFUSED = Counter("ams_events_refused_total", "Events or spans that intake refused, by reason.", ["source", "reason"])
MASKED = Counter("ams_masked_total", "Events, spans and log records in which intake masked a secret that the sender had not.", ["source"])
OWN_PRICES_UNAVAILABLE = Counter(
    "ams_own_prices_unavailable_total", "Times that intake could not read projects' own prices and computed with the last known ones."
)
EVENTS_IGNORED = Counter("ams_events_ignored_total", "Events that were accepted and need no row, by reason.", ["projection", "reason"])
EVENTS_PROJECTED = Counter("ams_events_projected_total", "Events that were written to their tables.", ["projection"])
EVENTS_DUPLICATE = Counter("ams_events_duplicate_total", "Events that had been applied before.", ["projection"])
EVENTS_DEAD = Counter("ams_events_dead_total", "Events that became dead letters, by reason.", ["projection", "reason"])
DEAD_LETTERS_DROPPED = Counter(
    "ams_dead_letters_dropped_total", "Dead letters that were deleted because their project has too many newer ones."
)
EVENTS_ACCOUNTED = Gauge(
    "ams_events_accounted",
    "Events before a projection's position since its tables were created, by outcome: projected, duplicate, ignored (with reason), dead. Stored "
    "with the position, so no restart loses it. After a rebalance two processes may report a partition: use the highest value.",
    ["projection", "topic", "partition", "outcome", "reason"],
)
LAG_RECORDS = Gauge("ams_lag_records", "Records between a projection's position and the end of the log.", ["projection", "partition"])
LAG_SECONDS = Gauge("ams_lag_seconds", "Age of the oldest record that a projection has not applied.", ["projection", "partition"])
LOG_PUBLISHED = Counter("ams_log_published_total", "Records that the log has acknowledged.")
LOG_PUBLISH_FAILED = Counter(
    "ams_log_publish_failed_total", "Records that were published without an acknowledgement; they may still be in the log."
)
LOG_ALARM = Gauge("ams_log_alarm", "1 while an alarm about the log is active.", ["projection", "kind", "partition"])
LOG_RECORDS_LOST = Counter(
    "ams_log_records_lost_total", "Records that the log deleted before they were applied (an upper bound).", ["projection"]
)
CONSUMER_EVENTS = Counter(
    "ams_consumer_events_total", "Events of a consumer, by kind: batch, gap, moved, stale, retry, positioned.", ["projection", "kind"]
)
PROJECT_SECONDS = Histogram("ams_project_seconds", "Time of one projected batch of records.", ["projection"])
APPLIED_APART = Counter(
    "ams_project_apart_total",
    "Polls whose partitions could not be projected in one transaction and were projected one by one, by error.",
    ["projection", "error"],
)
TASK_HINTS_LOST = Counter("ams_task_hints_lost_total", "Changes of tasks that were not sent to live lists; the next repeat sends them.")
STEPS_LOST = Counter("ams_steps_lost_total", "Steps that were marked as lost because their heartbeat stopped.")
SEQUENCE_NUMBERS_UNPROVEN = Counter(
    "ams_sequence_numbers_unproven_total",
    "Sequence numbers of producers that count as delivered without proof, because too many gaps of one producer and task were open.",
)
RETENTION_DELETED = Counter(
    "ams_retention_deleted_total",
    "What retention has deleted: rows by table, day partitions as `partitions`, and finished tasks as `pruned_tasks`.",
    ["kind"],
)
RETENTION_FINISHED = Gauge("ams_retention_finished_seconds", "Unix time at which this process last finished a run of retention.")
BACKUP_BEGAN = Gauge("ams_backup_began_seconds", "Unix time at which the newest recorded backup began; 0: none is recorded.")
LOG_RETENTION = Gauge("ams_log_retention_seconds", "How long the log keeps steps and payloads, whichever is shorter.")
QUERY_SECONDS = Histogram("ams_query_seconds", "Time of one snapshot of the traces database, including its queries.")
QUERIES_FAILED = Counter("ams_queries_failed_total", "Queries that failed, by reason: busy, timeout, unavailable.", ["reason"])
REPLICA_READS = Counter(
    "ams_replica_reads_total",
    "Snapshots with a replica configured: served, waited (served, once it had the position), behind and unavailable (the primary served).",
    ["outcome"],
)
OUTBOX_EVENTS = Gauge("ams_outbox_events", "Events of identity that wait for the log. At 50,000 most changes are refused.")
LIVE_SOCKETS = Gauge("ams_live_sockets", "Open live sockets.")
LIVE_FRAMES = Counter("ams_live_frames_total", "Frames sent to sockets.", ["kind"])
LIVE_CLOSED = Counter("ams_live_closed_total", "Sockets that the gateway closed, by close code.", ["code"])
HTTP_REQUESTS = Counter(
    "ams_http_requests_total",
    "HTTP requests by method, route (its template, or none) and status; 499 is a client that left before an answer began.",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "ams_http_request_seconds",
    "Time from a request's head to the end of its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BACKGROUND_RESTARTS = Counter("ams_background_restarts_total", "Failures of background tasks; each is followed by a restart.", ["task"])
BACKGROUND_UP = Gauge("ams_background_up", "1 while a background task runs, 0 while it waits to be restarted after a failure.", ["task"])
RULES_EVALUATED = Counter("ams_alert_rules_evaluated_total", "Evaluations of alert rules, by outcome: measured, failed.", ["outcome"])
ALERTS_RAISED = Counter("ams_alerts_raised_total", "Alerts that rules of projects raised.")
ALERT_LAG_SECONDS = Gauge("ams_alert_lag_seconds", "How long the alert rule that waits longest for its evaluation has been due.")
WEBHOOK_ATTEMPTS = Counter(
    "ams_webhook_attempts_total", "Attempts to send a webhook, by outcome: delivered, to_retry, given_up.", ["outcome"]
)
TELEMETRY_SENT = Counter(
    "ams_telemetry_sent_total", "Spans and metrics of the service itself that the receiver of AMS_OTEL_ENDPOINT took.", ["signal"]
)
TELEMETRY_DROPPED = Counter(
    "ams_telemetry_dropped_total",
    "Spans and metrics of the service itself that were dropped, by reason: queue_full, receiver, own_platform.",
    ["signal", "reason"],
)
