"""The composition root: the only place that builds clients and opens connections."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from redis.exceptions import RedisError

from ams_contracts.topics import INBOUND
from ams_kit.auth import AuthKit, AuthMiddleware, provide_access
from ams_kit.background import Background
from ams_kit.bus import Consumer, Log
from ams_kit.http.app import make_application
from ams_kit.http.openapi import with_problems
from ams_kit.http.problems import answer_unavailable
from ams_kit.retriable import SERVER_UNAVAILABLE
from ams_kit.usage import FLUSH_SECONDS, UsageMeter
from ams_trace_ingest.intake.budget import ByteBudget
from ams_trace_ingest.intake.cors import CorsMiddleware, parse_origins
from ams_trace_ingest.intake.http import take_batches
from ams_trace_ingest.intake.imports import import_lines, import_project_lines
from ams_trace_ingest.intake.inbound import RECORDS_MAX, InboundProjection
from ams_trace_ingest.intake.log_exchange import LogExchange
from ams_trace_ingest.intake.log_joiner import LogJoiner
from ams_trace_ingest.intake.management import delete_task, list_dead_letters, replay_dead_letter, show_dead_letter
from ams_trace_ingest.intake.otlp_grpc import GrpcListener
from ams_trace_ingest.intake.otlp_http import ignore_metrics, take_logs, take_traces
from ams_trace_ingest.intake.otlp_requests import publish_completed
from ams_trace_ingest.intake.own_prices import list_own_prices, set_own_price
from ams_trace_ingest.intake.price_preview import preview_prices
from ams_trace_ingest.intake.prices import look_up_prices
from ams_trace_ingest.intake.project_prices import ProjectPrices
from ams_trace_ingest.intake.publish import IntakeContext
from ams_trace_ingest.intake.scores import record_score, remove_score
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.settings import IntakeSettings
from ams_trace_ingest.store.connections import open_writer

DATABASE_CONNECTIONS_MAX = 4
TELEMETRY_ROUTES = [take_batches, import_lines]
OTLP_ROUTES = [take_traces, take_logs, ignore_metrics]
STATUSES_WITH_BODY = (404, 408, 413, 415, 422, 429)
MANAGEMENT_ROUTES = [
    import_project_lines,
    delete_task,
    list_dead_letters,
    show_dead_letter,
    replay_dead_letter,
    look_up_prices,
    list_own_prices,
    set_own_price,
    preview_prices,
    record_score,
    remove_score,
]


def make_intake(settings: IntakeSettings, *, auth: AuthKit | None = None) -> Litestar:
    """The application that takes telemetry.

    Args:
        settings: Of the process.
        auth: Who asks and what they may; by default built from the settings and closed with the application.

    Raises:
        SettingsError: ``cors_origins`` is no list of origins.
    """
    background = Background()
    origins = parse_origins(settings.cors_origins)

    async def open_auth() -> AuthKit:
        kit = AuthKit.open(
            settings.identity_url,
            settings.redis_url,
            settings.service_secret,
            settings.public_url,
            service="trace-ingest",
            kafka=settings.kafka,
            trusted_proxies=settings.trusted_proxies,
        )
        await kit.start(background)
        return kit

    @contextlib.asynccontextmanager
    async def parts(app: Litestar) -> AsyncGenerator[None]:
        known = auth or await open_auth()
        log = await Log.open(settings.kafka, "intake")
        pool = await open_writer(settings.database_url, application="intake", size_max=DATABASE_CONNECTIONS_MAX)
        prices = Prices(GenaiPrices())
        own_prices = ProjectPrices(pool, prices)
        usage = UsageMeter(known.redis)
        background.spawn_periodic("usage", usage.flush, every_seconds=FLUSH_SECONDS)
        app.state.auth = known
        app.state.intake = intake = IntakeContext(
            logs=LogJoiner(),
            auth=known,
            public_url=settings.public_url,
            log=log,
            pool=pool,
            budget=ByteBudget(settings.intake_bytes_max),
            prices=prices,
            own_prices=own_prices,
            previewing=asyncio.Semaphore(1),
            usage=usage,
            decoding=asyncio.Semaphore(1),
        )
        exchange = LogExchange(known.redis, intake.logs, functools.partial(publish_completed, intake))
        background.spawn("log-exchange", exchange.run)
        inbound = None
        if settings.kafka_inbound:
            projection = InboundProjection(pool, log, known.inbound, own_prices, usage=usage)
            inbound = Consumer(settings.kafka, InboundProjection.projection, INBOUND, projection, records_max=RECORDS_MAX)
            await inbound.start(background)
        listener = None
        if settings.grpc_port:
            listener = GrpcListener(app.state.intake, settings.host, settings.grpc_port)
            app.state.grpc = listener
            background.spawn("otlp-grpc", listener.run, may_end=True)
        try:
            yield
        finally:
            if listener is not None:
                await listener.stop()
            if inbound is not None:
                await inbound.stop()
            await background.close()
            with contextlib.suppress(RedisError, TimeoutError):
                await usage.flush()
            await log.close()
            pool.terminate()
            await known.close()

    async def log_answers() -> None:
        await app.state.intake.log.check()

    async def grpc_listens() -> None:
        await app.state.grpc.check()

    app = make_application(
        title="AMS intake",
        openapi_path="/api/ingest/openapi",
        route_handlers=[
            *with_problems(TELEMETRY_ROUTES, also=STATUSES_WITH_BODY),
            *OTLP_ROUTES,
            Router(
                "/",
                route_handlers=with_problems(MANAGEMENT_ROUTES, also=STATUSES_WITH_BODY),
                exception_handlers=dict.fromkeys(SERVER_UNAVAILABLE, answer_unavailable),
            ),
        ],
        checks={"log": log_answers, **({"otlp_grpc": grpc_listens} if settings.grpc_port else {})},
        background=background,
        lifespan=[parts],
        middleware=[DefineMiddleware(CorsMiddleware, origins=origins), AuthMiddleware()],
        dependencies={"access": Provide(provide_access)},
        state=State(),
    )
    return app
