"""Tables outside the generations (extra ``tables``): what the log does not hold for ever and a replay must not change.

Schema ``app`` holds what people configure; it belongs in a backup. Every table has row-level security: a reader sees the rows of the
project of its transaction.
"""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Double, Identity, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ams_contracts.tables import metadata

retention = Table(  # the cut of each project; a reader sees its own row and the platform's, whose project_id is empty
    "retention",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("days", Integer, nullable=False),  # whole UTC days before today that are kept
    Column("kept_from", Date, nullable=False),  # the first day that is kept; never goes back
    Column("tasks_pruned", BigInteger, nullable=False),
    Column("pruned_at", DateTime(timezone=True)),  # null: nothing had to be deleted so far
    schema="public",
)

retention_runs = Table(  # one a UTC day
    "retention_runs",
    metadata,
    Column("day", Date, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),  # null: it runs, or was interrupted and continues with the next check
    Column("counts", JSONB, nullable=False),  # what was deleted: kind -> rows
    schema="public",
)

backups = Table(  # when each one began that was recorded
    "backups",
    metadata,
    Column("began_at", DateTime(timezone=True), primary_key=True),
    schema="public",
)

project_settings = Table(  # what a project's owner has set, as identity reports it
    "project_settings",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("retention_days", Integer),  # null: the platform's
    Column("at_us", BigInteger, nullable=False),  # of the event that set it
    schema="app",
)

deleted_projects = Table(  # permanent; events of these projects are ignored. Written when a tombstone is applied
    "deleted_projects",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("deleted_by", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("announced", Boolean, nullable=False),  # the tombstones were published for what identity reported
    Column("tombstones", Integer, nullable=False),  # how many were applied; after each one the project is pruned again
    Column("pruned_tombstones", Integer, nullable=False),  # how many of them had been applied when the last pruning began
    schema="app",
)

own_prices = Table(  # a project's own prices of models: every price.set, whose versions differ in their dates
    "own_prices",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),  # when it was set
    Column("model", Text, nullable=False),  # a name, or its beginning and *
    Column("provider", Text),  # null: any
    Column("from_us", BigInteger, nullable=False),  # for calls that begin then or later
    Column("prices", JSONB),  # pico-USD a token by part, and a request; null: the list price
    Column("note", Text),
    Column("set_by", Text, nullable=False),
    schema="app",
)

saved_views = Table(  # a filter of a page with its sort, columns and time range
    "saved_views",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("view_id", Text, primary_key=True),  # UUID text
    Column("visibility", Text, nullable=False),  # private: for its author alone; shared: for the project
    Column("author_id", Text, nullable=False),  # a user id
    Column("name", Text, nullable=False),  # unique among the shared views of the project, and among the private ones of an author
    Column("page", Text, nullable=False),
    Column("q", Text, nullable=False),  # empty: everything
    Column("sort", Text),  # null: the page's own order
    Column("columns", ARRAY(Text)),  # null: the page's own columns
    Column("range_last", Text),  # 24h: the last 24 hours; null: range_from and range_to, or any time
    Column("range_from", Text),  # RFC 3339
    Column("range_to", Text),
    Column("created_at_us", BigInteger, nullable=False),
    Column("updated_at_us", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
    schema="app",
)

alert_rules = Table(  # a query and a condition that is evaluated over a window once a minute
    "alert_rules",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),  # UUID text
    Column("author_id", Text, nullable=False),
    Column("name", Text, nullable=False),  # unique in the project
    Column("enabled", Boolean, nullable=False),
    Column("q", Text, nullable=False),
    Column("measure", Text, nullable=False),  # what is compared with the threshold, such as error_rate
    Column("threshold", Double, nullable=False),
    Column("window_seconds", Integer, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("updated_at_us", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("webhook_format", Text),  # json or slack; null: no webhook
    Column("webhook_host", Text),  # of the URL, which itself is a secret
    Column("webhook_sealed", LargeBinary),  # the URL and the signing secret, encrypted under AMS_SECRET_KEY
    schema="app",
)

alert_states = Table(  # what the evaluation of a rule found last
    "alert_states",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    Column("evaluated_at_us", BigInteger, nullable=False),
    Column("value", Double),  # null: there was nothing to measure
    Column("problem", Text),  # why it could not be evaluated; null: it was
    Column("alert", LargeBinary),  # the open alert, an AlertRaised as JSON; null: none
    Column("last_window_end_us", BigInteger),  # of the newest alert; null: there was none
    schema="app",
)

alert_due = (
    Table(  # a queue of rules to evaluate, events to publish and webhooks to send: ids and times, which a reader sees of all projects
        "alert_due",
        metadata,
        Column("kind", Text, primary_key=True),  # rule, event (of a project), delivery
        Column("project_id", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("at_us", BigInteger, nullable=False),
        schema="app",
    )
)

alert_outbox = Table(  # events that wait for the log
    "alert_outbox",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), primary_key=True),  # their order
    Column("rule_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # an AlertEvent as JSON
    schema="app",
)

alerts = Table(  # projected from the topic ams.alerts.v1
    "alerts",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("alert_id", Text, primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("name", Text, nullable=False),  # of the rule, when it fired
    Column("q", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("value", Double, nullable=False),
    Column("window_start_us", BigInteger, nullable=False),
    Column("window_end_us", BigInteger, nullable=False),
    Column("task_ids", ARRAY(Text), nullable=False),
    Column("raised_at_us", BigInteger, nullable=False),
    Column("resolved_at_us", BigInteger),  # null: it is open
    Column("resolved_reason", Text),
    Column("acknowledged_at_us", BigInteger),
    Column("acknowledged_by", Text),  # a user id
    schema="app",
)

alert_positions = Table(  # how far the projection of alerts has read
    "alert_positions",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_timestamp_ms", BigInteger, nullable=False),
    schema="app",
)

alert_deliveries = Table(  # what is sent, or was, to the webhook of a rule
    "alert_deliveries",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # an AlertNotice as JSON
    Column("state", Text, nullable=False),  # pending, delivered, failed
    Column("attempts", Integer, nullable=False),
    Column("last_status", Integer),  # of HTTP; null: none was received
    Column("last_problem", Text),
    Column("next_attempt_at_us", BigInteger),  # null: there is none
    Column("created_at_us", BigInteger, nullable=False),
    schema="app",
)

share_links = Table(  # empty: public links are identity's (ADR 0058), and a later release drops the table
    "share_links",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("link_id", Text, primary_key=True),  # UUID text
    Column("task_id", Text, nullable=False),
    Column("author_id", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),  # SHA-256; the secret itself is not stored, and readers cannot read this column
    Column("payloads", Boolean, nullable=False),  # whether the link shows inputs and outputs
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger),
    schema="app",
)
