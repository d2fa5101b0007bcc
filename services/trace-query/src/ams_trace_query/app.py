"""The composition root of trace-query."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from litestar import Litestar, Request, Response, Router
from litestar.di import Provide

from ams_contracts.claims import Scope
from ams_kit.auth import AuthKit, AuthMiddleware, provide_access
from ams_kit.background import Background
from ams_kit.errors import BadRequestError
from ams_kit.http.app import make_application
from ams_kit.http.client_address import parse_networks
from ams_kit.http.problems import Problem, answer_ams_error
from ams_kit.telemetry.tracing import watch_http
from ams_trace_query.agents import list_agents
from ams_trace_query.alerts.alerts import acknowledge_alert, list_alerts
from ams_trace_query.alerts.preview import preview_alert_rule
from ams_trace_query.alerts.rules import (
    create_alert_rule,
    delete_alert_rule,
    get_alert_rule,
    list_alert_rules,
    replace_alert_rule,
    test_alert_rule,
)
from ams_trace_query.alerts.running import Alerting
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.alerts.webhooks import WebhookSender
from ams_trace_query.concurrency_limit import ConcurrencyLimit
from ams_trace_query.context import Context
from ams_trace_query.database import Database
from ams_trace_query.delivery import list_task_deliveries
from ams_trace_query.export.http import export_task
from ams_trace_query.export.limits import ExportSlots
from ams_trace_query.export.selection import export_tasks
from ams_trace_query.generation import get_generation
from ams_trace_query.health import HealthProbe, health_route, parse_health_urls
from ams_trace_query.matches import list_task_matches
from ams_trace_query.mcp_server.endpoint import McpEndpoint
from ams_trace_query.media import get_media
from ams_trace_query.openapi import StampAsArray
from ams_trace_query.paging import Cursors
from ams_trace_query.payloads import list_step_payloads
from ams_trace_query.retention import get_retention
from ams_trace_query.score_names import list_score_names
from ams_trace_query.scores import list_task_scores
from ams_trace_query.search.tree import QueryError
from ams_trace_query.sessions import list_sessions
from ams_trace_query.settings import Settings
from ams_trace_query.skeleton import get_skeleton
from ams_trace_query.statistics import get_statistics
from ams_trace_query.step_logs import list_step_logs
from ams_trace_query.steps import get_step, list_task_steps, search_steps
from ams_trace_query.task_facets import get_task_facets
from ams_trace_query.task_groups import get_task_groups
from ams_trace_query.task_histogram import get_task_histogram
from ams_trace_query.task_log import read_task_log
from ams_trace_query.tasks import get_task, list_tasks
from ams_trace_query.views import create_view, delete_view, get_view, list_views, replace_view

SERVICE = "trace-query"
WEBHOOK_TESTS_MAX = 4


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _answer_query_error(request: Request[Any, Any, Any], error: QueryError) -> Response[Problem]:
    more: dict[str, Any] = {"suggestion": error.suggestion} if error.suggestion else {}
    return answer_ams_error(request, BadRequestError(error.detail, code=error.code, column=error.column, **more))


def make_app(settings: Settings, *, open_auth: Callable[[], AuthKit] | None = None, now: Callable[[], datetime] = _utc_now) -> Litestar:
    """Build the application. It opens connections when it starts.

    Args:
        settings: Settings of this process.
        open_auth: Opens the auth kit inside the event loop; by default one that uses the settings.
        now: The clock; returns datetimes with a time zone.
    """
    urls = parse_health_urls(settings.health_urls)
    webhook_networks = parse_networks(settings.webhook_networks)
    background = Background()
    mcp = McpEndpoint()

    async def open_from_settings() -> AuthKit:
        kit = AuthKit.open(
            settings.identity_url,
            settings.redis_url,
            settings.service_secret,
            settings.public_url,
            service=SERVICE,
            kafka=settings.kafka if settings.kafka_bootstrap else None,
            trusted_proxies=settings.trusted_proxies,
        )
        await kit.start(background)
        return kit

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        database = await Database.open(
            settings.database_url,
            connections_max=settings.database_connections_max,
            statement_timeout_ms=settings.statement_timeout_ms,
            read_url=settings.read_database_url,
            read_wait_seconds=settings.read_wait_ms / 1_000,
        )
        http = httpx.AsyncClient(trust_env=False)
        watch_http(http)
        auth = open_auth() if open_auth is not None else await open_from_settings()
        app.state.auth = auth
        app.state.health = HealthProbe(http, urls)
        sealer = Sealer(settings.secret_key, settings.secret_key_previous)
        sender = WebhookSender(settings.public_url, webhook_networks)
        app.state.context = Context(
            database=database,
            cursors=Cursors(settings.service_secret),
            heavy_queries=ConcurrencyLimit(settings.heavy_queries_max),
            now=now,
            search_seconds_max=settings.search_ms_max / 1_000,
            exports=ExportSlots(),
            kafka=settings.kafka if settings.kafka_bootstrap else None,
            sealer=sealer,
            sender=sender,
            webhook_tests=ConcurrencyLimit(WEBHOOK_TESTS_MAX),
        )
        alerting = None
        if settings.kafka_bootstrap and settings.alerts:
            alerting = await Alerting.start(
                *(background, database.on_primary(), settings.kafka, sender, sealer), search_seconds_max=settings.search_ms_max / 1_000
            )
        try:
            async with mcp.run(app):
                yield
        finally:
            if alerting is not None:
                await alerting.stop()
            await background.close()
            await sender.close()
            await auth.close()
            await http.aclose()
            await database.close()

    project = Router(
        path="/api/traces/{project:str}",
        route_handlers=[
            list_tasks,
            get_task_histogram,
            get_task_groups,
            get_task_facets,
            get_task,
            get_skeleton,
            list_task_steps,
            get_step,
            list_step_payloads,
            search_steps,
            list_sessions,
            list_agents,
            get_retention,
            get_generation,
            get_media,
            list_task_matches,
            list_task_scores,
            list_score_names,
            list_step_logs,
            list_task_deliveries,
            read_task_log,
            export_task,
            export_tasks,
            get_statistics,
            list_views,
            create_view,
            get_view,
            replace_view,
            delete_view,
            list_alert_rules,
            create_alert_rule,
            get_alert_rule,
            replace_alert_rule,
            delete_alert_rule,
            test_alert_rule,
            preview_alert_rule,
            list_alerts,
            acknowledge_alert,
        ],
        dependencies={"access": Provide(provide_access)},
        exception_handlers={QueryError: _answer_query_error},
    )

    async def check_database() -> None:
        await app.state.context.database.check()

    app = make_application(
        title="AMS trace-query",
        openapi_path="/api/traces/openapi",
        route_handlers=[health_route(lambda: app.state.health), project, mcp.route()],
        checks={"postgres": check_database},
        background=background,
        middleware=[AuthMiddleware(key_scope=Scope.READ)],
        lifespan=[lifespan],
        plugins=[StampAsArray()],
    )
    return app
