"""What people configure in a project, as rows of schema ``app``."""

import asyncpg

TABLES = (
    *("app.saved_views", "app.share_links", "app.own_prices"),
    *("app.alert_rules", "app.alert_states", "app.alert_due", "app.alert_outbox", "app.alerts", "app.alert_deliveries"),
)


async def configure(connection: asyncpg.Connection, project: str) -> None:
    """Insert a shared and a private view, an alert rule with its alert, a share link and an own price, all made by ``ann``."""
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
    never = 2**60
    for statement in (
        "INSERT INTO app.alert_states VALUES ($1, 'r', 1, 1, NULL, NULL, 1)",
        f"INSERT INTO app.alert_due VALUES ('rule', $1, 'r', {never})",
        "INSERT INTO app.alert_outbox (project_id, rule_id, body) VALUES ($1, 'r', 'body')",
        "INSERT INTO app.alerts VALUES ($1, 'a', 'r', 'errors', '', 'count', 1, 1, 1, 2, '{}', 2)",
        "INSERT INTO app.alert_deliveries VALUES ($1, 'e', 'r', 'a', 'body', 'delivered', 1, 200, NULL, NULL, 1)",
    ):
        await connection.execute(statement, project)
    await connection.execute("INSERT INTO app.own_prices VALUES ($1, 'e', 1, 'm', NULL, 1, NULL, NULL, 'ann')", project)
