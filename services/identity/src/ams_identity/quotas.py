"""Usage of a project and its quota: what was sent, and what intake accepts."""

from datetime import timedelta
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct

from ams_contracts.claims import Access, Quota
from ams_identity.context import context_of
from ams_identity.quota_rules import effective_quota, quota_max, warnings
from ams_identity.store import quotas
from ams_identity.store.quotas import UsageDay
from ams_kit.usage import current_day, read_usage

DAYS = 30


class ProjectUsage(Struct, frozen=True, kw_only=True):
    """What a project sends.

    Attributes:
        quota: What intake applies: the lower of the two below; ``None`` for each limit that does not exist.
        quota_max: The highest quota that owners may set.
        own: What owners have set.
        events_this_minute: Accepted since the minute began, by the clock of the platform, about a second old.
        events_today: Since 00:00 UTC.
        bytes_today: The same, as bytes on the log before compression.
        warnings: Sentences for what has used 80 % or more of its quota.
        days: The last 30 UTC days on which something was sent, newest first, without today.
    """

    quota: Quota
    quota_max: Quota
    own: Quota
    events_this_minute: int
    events_today: int
    bytes_today: int
    warnings: list[str]
    days: list[UsageDay]


@get("/api/projects/{project:str}/usage")
async def project_usage(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ProjectUsage:
    """Read what a project has sent and what it may send."""
    context = context_of(request)
    now_s = context.now_s()
    today = current_day(now_s)
    found = await quotas.of_project(context.pool, access.project_id)
    used = await read_usage(request.app.state.redis, access.project_id, now_s)
    quota = effective_quota(context.policy.quota, found)
    days = await quotas.usage_of(context.pool, access.project_id, today - timedelta(days=DAYS))
    return ProjectUsage(
        quota=quota or Quota(),
        quota_max=quota_max(context.policy.quota, found),
        own=Quota(events_per_minute=found.events_per_minute, bytes_per_day=found.bytes_per_day),
        events_this_minute=used.events_this_minute,
        events_today=used.events_today,
        bytes_today=used.bytes_today,
        warnings=warnings(quota, events_this_minute=used.events_this_minute, bytes_today=used.bytes_today),
        days=[item for item in days if item.day < today],
    )


ROUTES = [project_usage]
