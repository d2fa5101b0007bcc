"""What people configure in a project, as rows of schema ``app``."""

import asyncpg

TABLES = ("app.saved_views", "app.alert_rules", "app.share_links", "app.own_prices")


async def configure(connection: asyncpg.Connection, project: str) -> None:
    """Insert a shared and a private view, an alert rule, a share link and an own price, all made by ``ann``."""
    for visibility in ("shared", "private"):
        await connection.execute(
            "INSERT INTO app.saved_views VALUES ($1, $2, $2, 'ann', 'slow', 'tasks', '', NULL, NULL, '1h', NULL, NULL, 5, 5, 'ann')",
            project,
            visibility,
        )
    await connection.execute(
        "INSERT INTO app.alert_rules VALUES ($1, 'r', 'ann', 'errors', true, 'status:error', 'count', 1, 300, 1, 1, 'ann')", project
    )
    await connection.execute(
        "INSERT INTO app.share_links VALUES ($1, 'l', 't', 'ann', decode(repeat('ab', 32), 'hex'), false, 1, 2, NULL)", project
    )
    await connection.execute("INSERT INTO app.own_prices VALUES ($1, 'e', 1, 'm', NULL, 1, NULL, NULL, 'ann')", project)
