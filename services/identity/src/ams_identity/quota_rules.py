"""Which quota applies to a project: pure rules."""

from msgspec import Struct

from ams_contracts.claims import Quota

WARN_AT = 0.8


class ProjectQuotas(Struct, frozen=True, kw_only=True):
    """What is set for a project; ``None``: nothing.

    Attributes:
        events_per_minute_max: By the administrator, instead of the platform's.
        bytes_per_day_max: By the administrator, instead of the platform's.
        retention_days_max: By the administrator, at most the platform's.
        events_per_minute: By an owner, at most the administrator's.
        bytes_per_day: By an owner, at most the administrator's.
    """

    events_per_minute_max: int | None = None
    bytes_per_day_max: int | None = None
    retention_days_max: int | None = None
    events_per_minute: int | None = None
    bytes_per_day: int | None = None


def lower(first: int | None, second: int | None) -> int | None:
    """The lower of two limits, where ``None`` is none."""
    given = [value for value in (first, second) if value is not None]
    return min(given, default=None)


def quota_max(platform: Quota, project: ProjectQuotas) -> Quota:
    """The highest quota that owners may set: the administrator's for this project, else the platform's."""
    return Quota(
        events_per_minute=platform.events_per_minute if project.events_per_minute_max is None else project.events_per_minute_max,
        bytes_per_day=platform.bytes_per_day if project.bytes_per_day_max is None else project.bytes_per_day_max,
    )


def effective_quota(platform: Quota, project: ProjectQuotas) -> Quota | None:
    """The quota that intake applies; ``None``: there is none."""
    highest = quota_max(platform, project)
    quota = Quota(
        events_per_minute=lower(highest.events_per_minute, project.events_per_minute),
        bytes_per_day=lower(highest.bytes_per_day, project.bytes_per_day),
    )
    return None if quota == Quota() else quota


def warnings(quota: Quota | None, *, events_this_minute: int, bytes_today: int) -> list[str]:
    """Sentences for what has used 80 % or more of its quota."""
    if quota is None:
        return []
    found: list[str] = []
    for used, limit, what in (
        (events_this_minute, quota.events_per_minute, "events of this minute"),
        (bytes_today, quota.bytes_per_day, "bytes of today (UTC)"),
    ):
        if limit is not None and used >= limit:
            found.append(f"The quota is used up: {used:,} of {limit:,} {what}. Further telemetry is refused until the period ends.")
        elif limit is not None and used >= WARN_AT * limit:
            found.append(f"{used * 100 // limit} % of the quota is used: {used:,} of {limit:,} {what}.")
    return found
