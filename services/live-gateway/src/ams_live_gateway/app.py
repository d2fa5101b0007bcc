"""The composition root of the live gateway: the tail of the log, the ring, the subscriptions, the websocket route and its tickets."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from litestar import Litestar, Request, asgi, post
from litestar.datastructures import State
from litestar.types import Receive, Scope, Send
from msgspec import Meta, Struct

from ams_contracts.claims import Scope as KeyScope
from ams_contracts.topics import STEPS, TASKS, Topic
from ams_kit.auth import (
    SHARED,
    AuthKit,
    AuthMiddleware,
    KeyPrincipal,
    Shared,
    SharePrincipal,
    access_of,
    any_principal_of,
    bearer_of,
)
from ams_kit.background import Background
from ams_kit.bus import BacklogReader, Tail
from ams_kit.errors import NotFoundError
from ams_kit.http.app import make_application
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.http.openapi import with_problems
from ams_live_gateway.access_watcher import AccessWatcher
from ams_live_gateway.endpoint import Endpoint
from ams_live_gateway.ring import Ring
from ams_live_gateway.settings import Settings
from ams_live_gateway.subscriptions import Hub
from ams_live_gateway.tickets import TICKET_SECONDS, Grant, Tickets

BODY_BYTES_MAX = 4_096

OpenAuth = Callable[[Settings], AuthKit]


class TicketRequest(Struct, frozen=True, kw_only=True):
    """The project that the ticket is for."""

    project_id: Annotated[str, Meta(min_length=1, max_length=64)]


class Ticket(Struct, frozen=True, kw_only=True):
    """A ticket, valid for one handshake (or one ``renew``) within ``expires_in`` seconds."""

    ticket: str
    expires_in: int


def open_auth(settings: Settings) -> AuthKit:
    """Open the auth kit that uses identity and Redis."""
    return AuthKit.open(
        settings.identity_url,
        settings.redis_url,
        settings.service_secret,
        settings.public_url,
        service="live-gateway",
        kafka=settings.kafka,
        trusted_proxies=settings.trusted_proxies,
    )


_ticket_request = msgspec.json.Decoder(TicketRequest)


@post(
    "/api/live/tickets",
    summary="Get a ticket for the websocket",
    operation_class=with_json_body(TicketRequest),
    opt={SHARED: Shared.CHECKED},
)
async def issue_ticket(request: Request[None, None, State]) -> Ticket:
    """Issue a ticket for a project, bound to the access token or API key (scope ``read``) of the request. For a public link, it opens its task alone.

    A project without access of the caller is not found.
    """
    data = await read_json(request, _ticket_request, bytes_max=BODY_BYTES_MAX)
    if await access_of(request, data.project_id) is None:
        raise NotFoundError
    principal = any_principal_of(request)
    auth: AuthKit = request.app.state.auth
    if isinstance(principal, KeyPrincipal):
        grant = Grant(data.project_id, key=principal)
    elif isinstance(principal, SharePrincipal):
        grant = Grant(data.project_id, share=await auth.verifier.share_claims(bearer_of(request.scope)))
    else:
        grant = Grant(data.project_id, claims=await auth.verifier.claims(bearer_of(request.scope)))  # the middleware has verified the token
    tickets: Tickets = request.app.state.tickets
    return Ticket(ticket=await tickets.issue(grant), expires_in=TICKET_SECONDS)


@asgi("/api/live", opt={"public": True}, copy_scope=False)
async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """The websocket. Public for the middleware, because the endpoint itself checks the ticket."""
    endpoint: Endpoint = scope["litestar_app"].state.endpoint
    await endpoint(scope, receive, send)


def make_app(settings: Settings, *, make_auth: OpenAuth = open_auth, steps: Topic = STEPS, tasks: Topic = TASKS) -> Litestar:
    """Build the application. It opens connections when its lifespan starts, and starts while servers are unavailable.

    Args:
        settings: Settings of the process.
        make_auth: Opens the auth kit.
        steps: The topic of batches.
        tasks: The topic of task rows.
    """
    parts = State()
    background = Background()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        auth = make_auth(settings)
        ring = Ring(settings.live_ring_bytes, settings.live_ring_seconds)
        backlog = BacklogReader(settings.kafka, steps, background)
        tail = Tail(settings.kafka, (steps, tasks), back_seconds=settings.live_ring_seconds)
        hub = Hub(ring, tail, backlog, background, steps=steps, tasks=tasks, catch_up_records_max=settings.live_catch_up_records)
        watcher = AccessWatcher(hub, auth)
        tickets = Tickets(auth.redis)
        app.state.auth, app.state.tickets, parts.tail = auth, tickets, tail
        app.state.hub = hub
        app.state.endpoint = Endpoint(
            hub,
            tickets,
            auth,
            public_url=settings.public_url,
            sockets_per_user=settings.live_sockets_per_user,
            is_ready=lambda: tail.is_ready,
            is_stale=lambda: not tail.is_caught_up,
        )
        await auth.start(background)
        watcher.start(background)
        await tail.start(hub.on_records, background=background, on_reset=hub.on_reset, on_connectivity=hub.on_connectivity)
        try:
            yield
        finally:
            await background.close()
            await auth.close()

    async def log_is_read() -> None:
        await parts.tail.check()

    return make_application(
        title="AMS live gateway",
        openapi_path="/api/live/openapi",
        route_handlers=[*with_problems([issue_ticket], also=(404, 408, 413, 415, 422)), live],
        checks={"log": log_is_read},
        background=background,
        middleware=[AuthMiddleware(key_scope=KeyScope.READ)],
        lifespan=[lifespan],
    )
