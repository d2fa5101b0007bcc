"""Table ``audit``: who did what, when, from where. Rows are only added."""

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from ams_identity.store import Executor


async def insert(
    database: Executor,
    *,
    at: datetime,
    action: str,
    user_id: str | None,
    project_id: str | None,
    subject: str | None,
    address: IPv4Address | IPv6Address | None,
) -> None:
    """Add an entry."""
    await database.execute(
        "insert into audit (at, action, user_id, project_id, subject, address) values ($1, $2, $3, $4, $5, $6)",
        at,
        action,
        user_id,
        project_id,
        subject,
        address,
    )
