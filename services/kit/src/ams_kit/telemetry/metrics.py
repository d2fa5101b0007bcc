"""Every metric of the platform, by name, unit and meaning. Add new ones here."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_ACCEPTED = Counter("ams_events_accepted_total", "Events that the log has acknowledged.", ["source"])
EVENTS_REFUSED = Counter("ams_events_refused_total", "Events or spans that intake refused, by reason.", ["source", "reason"])
EVENTS_IGNORED = Counter("ams_events_ignored_total", "Events that were taken and need no row, by reason.", ["projection", "reason"])
EVENTS_PROJECTED = Counter("ams_events_projected_total", "Events that reached their tables.", ["projection"])
EVENTS_DUPLICATE = Counter("ams_events_duplicate_total", "Events that had come before.", ["projection"])
EVENTS_DEAD = Counter("ams_events_dead_total", "Events that became dead letters, by reason.", ["projection", "reason"])
LAG_RECORDS = Gauge("ams_lag_records", "Records between a projection's position and the end of the log.", ["projection", "partition"])
PROJECT_SECONDS = Histogram("ams_project_seconds", "Time of one projected batch of records.", ["projection"])
LIVE_SOCKETS = Gauge("ams_live_sockets", "Open live sockets.")
LIVE_FRAMES = Counter("ams_live_frames_total", "Frames handed to sockets.", ["kind"])
LIVE_CLOSED = Counter("ams_live_closed_total", "Sockets that the gateway closed, by close code.", ["code"])
