"""``/api/live``: the handshake, and the messages of a client. A rejected handshake is an HTTP response, so that a browser's log shows the reason."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import structlog
from litestar.types import Receive, Scope, Send

from ams_contracts.codec import MalformedError, decode
from ams_contracts.frames import (
    CLOSE_BAD_MESSAGE,
    CLOSE_FORBIDDEN,
    CLOSE_TOO_MANY,
    CLOSE_UNAUTHENTICATED,
    SUBPROTOCOL,
    TICKET_PREFIX,
    ClientMessage,
    Refused,
    Renew,
    Renewed,
    Stale,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
)
from ams_kit.auth import AuthKit
from ams_kit.errors import AmsError, BadRequestError, ForbiddenError, InvalidTokenError, UnauthenticatedError, UnavailableError
from ams_kit.http.problems import PROBLEM_MEDIA_TYPE, MethodNotAllowedError, MisdirectedError, headers_of, problem_of
from ams_kit.telemetry.metrics import LIVE_SOCKETS
from ams_live_gateway.protocol import WRITER_EXTENSION, SocketWriter
from ams_live_gateway.sockets import Socket
from ams_live_gateway.subscriptions import BadCursorError, Hub
from ams_live_gateway.tickets import Grant, Tickets

SUBSCRIPTIONS_MAX = 50
MESSAGE_BYTES_MAX = 16 * 1024
DEPTH_MAX = 32
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
UNSUPPORTED_DATA, POLICY_VIOLATION = 1003, 1008
END = "websocket.disconnect"

logger = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(Any)


def same_authority(authority: str, public_authority: str) -> bool:
    """Whether two ``host[:port]`` are equal. The names of loopback count as equal when the ports are."""
    if authority == public_authority:
        return True
    (host, _, port), (public_host, _, public_port) = authority.rpartition(":"), public_authority.rpartition(":")
    return port == public_port and host in LOOPBACK and public_host in LOOPBACK


class Endpoint:
    """The websocket route of one process."""

    def __init__(
        self,
        hub: Hub,
        tickets: Tickets,
        auth: AuthKit,
        *,
        public_url: str,
        sockets_per_user: int,
        is_ready: Callable[[], bool],
        is_stale: Callable[[], bool],
    ) -> None:
        self._hub = hub
        self._tickets = tickets
        self._auth = auth
        self._public = urlsplit(public_url)
        self._sockets_per_user = sockets_per_user
        self._is_ready = is_ready
        self._is_stale = is_stale
        self._per_subject: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        scope["query_string"] = b""  # a client that puts a token into the query by mistake does not leak it into logs
        writer = (scope.get("extensions") or {}).get(WRITER_EXTENSION)
        try:
            if not isinstance(writer, SocketWriter):
                raise MethodNotAllowedError("This route is a websocket. Send an upgrade request.", allow="GET", upgrade="websocket")
            grant = await self._admit(scope)
        except AmsError as error:
            await _refuse(scope["type"], send, error)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})
        subject = grant.subject
        if self._per_subject[subject] >= self._sockets_per_user:
            writer.close(CLOSE_TOO_MANY, "too many sockets")
            return
        await self._serve_socket(Socket(writer, grant), receive)

    # -- handshake -------------------------------------------------------------------------------------------------

    async def _admit(self, scope: Scope) -> Grant:
        headers = scope["headers"]
        self._check_origin(headers)
        protocols: list[str] = list(scope.get("subprotocols", ()))  # type: ignore[call-overload]
        tickets = [name.removeprefix(TICKET_PREFIX) for name in protocols if name.startswith(TICKET_PREFIX)]
        if len(tickets) != 1:
            raise UnauthenticatedError("Offer the subprotocols ams.v1 and ticket.<ticket>.")
        if SUBPROTOCOL not in protocols:
            raise BadRequestError("Offer the subprotocol ams.v1.", code="unknown_subprotocol")
        if not self._is_ready():
            raise UnavailableError("The gateway has not read the recent log yet. Try again in a few seconds.")
        grant = await self._tickets.redeem(tickets[0])
        if grant is None:
            raise UnauthenticatedError("The ticket is unknown, used or expired. Get another ticket.", code="bad_ticket")
        await self._check_grant(grant)
        return grant

    def _check_origin(self, headers: Any) -> None:
        """Check ``Host`` and ``Origin``. Only browsers send ``Origin``; other clients need a ticket all the same."""
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not (same_authority(hosts[0], self._public.netloc) or hosts[0].rpartition(":")[0] in LOOPBACK):
            raise MisdirectedError("The host is not the one of the public URL.")
        for origin in origins:
            scheme, separator, authority = origin.partition("://")
            if len(origins) != 1 or not separator or scheme != self._public.scheme or not same_authority(authority, self._public.netloc):
                raise ForbiddenError("The origin is not the one of the public URL.", code="foreign_origin")

    async def _check_grant(self, grant: Grant) -> None:
        if grant.expires_at_s <= time.time():
            raise UnauthenticatedError("The access token or API key of this ticket has expired. Get another ticket.", code="token_expired")
        if grant.revocable is not None:
            await self._auth.revocations.check(grant.revocable)
        if await self._auth.access(grant.subject, grant.project_id) is None:
            raise ForbiddenError("You no longer have access to this project.")

    # -- open ------------------------------------------------------------------------------------------------------

    async def _serve_socket(self, socket: Socket, receive: Receive) -> None:
        subject = socket.grant.subject
        self._per_subject[subject] += 1
        self._hub.sockets.add(socket)
        LIVE_SOCKETS.inc()
        if self._is_stale():
            socket.send(Stale(stale=True))
        try:
            await self._check_access_again(socket)
            while (event := await receive())["type"] != END:
                text = event.get("text")
                if not isinstance(text, str):
                    socket.close(UNSUPPORTED_DATA, "text only")
                elif not socket.within_rate_limit(time.monotonic()):
                    socket.close(POLICY_VIOLATION, "too many messages")
                else:
                    await self._handle(socket, text.encode())
        finally:
            self._per_subject[subject] -= 1
            if not self._per_subject[subject]:
                del self._per_subject[subject]
            LIVE_SOCKETS.dec()
            self._hub.remove_socket(socket)

    async def _check_access_again(self, socket: Socket) -> None:
        """Close a socket whose access ended during the handshake: the event arrived before the socket was registered."""
        try:
            if await self._auth.access(socket.grant.subject, socket.grant.project_id) is None:
                socket.close(CLOSE_FORBIDDEN, "access to the project has ended")
        except ForbiddenError:
            socket.close(CLOSE_FORBIDDEN, "access to the project has ended")
        except UnavailableError:
            logger.info("access could not be checked again")

    async def _handle(self, socket: Socket, data: bytes) -> None:
        try:
            decoded = decode(_decoder, data, bytes_max=MESSAGE_BYTES_MAX)
        except MalformedError:
            socket.close(CLOSE_BAD_MESSAGE, "not JSON")
            return
        if _depth(decoded) > DEPTH_MAX:
            socket.close(CLOSE_BAD_MESSAGE, "too deep")
            return
        request_id = decoded.get("id") if isinstance(decoded, dict) else None
        if not isinstance(request_id, str):
            request_id = None
        try:
            message: ClientMessage = msgspec.convert(decoded, ClientMessage)  # pyright: ignore[reportAssignmentType,reportUnknownVariableType]  a union is no type to it
        except msgspec.ValidationError as error:
            socket.send(Refused(code=_code_of(str(error)), id=request_id, detail=str(error)[:200]))
            return
        if not socket.is_new_request_id(message.id):
            socket.send(Refused(code="duplicate_id", id=message.id))
            return
        match message:
            case Subscribe():
                await self._subscribe(socket, message)
            case Unsubscribe():
                self._hub.unfollow(socket, message.sub)
                socket.send(Unsubscribed(id=message.id, sub=message.sub))
            case Renew():
                await self._renew(socket, message)

    async def _subscribe(self, socket: Socket, message: Subscribe) -> None:
        if (message.task_id is None) != message.list:
            socket.send(Refused(code="invalid", id=message.id, detail="name a task_id, or list"))
        elif socket.grant.share is not None and message.task_id != socket.grant.share.task_id:
            socket.send(Refused(code="not_shared", id=message.id, detail="the link shows one task"))
        elif len(socket.subs) >= SUBSCRIPTIONS_MAX:
            socket.send(Refused(code="too_many_subscriptions", id=message.id, detail=f"at most {SUBSCRIPTIONS_MAX}"))
        elif message.task_id is None:
            self._hub.follow_list(socket, message.id)
        else:
            try:
                await self._hub.follow(socket, message.id, message.task_id, message.after)
            except BadCursorError:
                socket.send(Refused(code="bad_cursor", id=message.id, detail="fetch the task again and subscribe after its position"))

    async def _renew(self, socket: Socket, message: Renew) -> None:
        try:
            grant = await self._tickets.redeem(message.ticket)
            revoked = grant is not None and await self._is_revoked(grant)
        except UnavailableError:
            socket.send(Refused(code="unavailable", id=message.id))
            return
        if grant is None or grant.expires_at_s <= time.time() or revoked:
            socket.close(CLOSE_UNAUTHENTICATED, "bad ticket")
        elif grant.subject != socket.grant.subject or grant.project_id != socket.grant.project_id:
            socket.close(CLOSE_FORBIDDEN, "the ticket belongs to another user or project")
        else:
            socket.grant = grant
            socket.send(Renewed(id=message.id, expires_at_us=grant.expires_at_s * 1_000_000))

    async def _is_revoked(self, grant: Grant) -> bool:
        try:
            if grant.revocable is not None:
                await self._auth.revocations.check(grant.revocable)
        except InvalidTokenError:
            return True
        return False


def _depth(value: object) -> int:
    """How deep lists and dicts are nested, without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner for outer in level if isinstance(outer, (dict, list)) for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def _code_of(reason: str) -> Literal["bad_cursor", "unknown_op", "invalid"]:
    if reason.endswith("$.after`"):
        return "bad_cursor"
    if reason.endswith("$.op`"):
        return "unknown_op"
    return "invalid"


async def _refuse(kind: str, send: Send, error: AmsError) -> None:
    problem = problem_of(error)
    headers = [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        *((name.lower().encode(), value.encode()) for name, value in headers_of(error).items()),
    ]
    prefix = "websocket.http" if kind == "websocket" else "http"
    logger.info("handshake refused", status=problem.status, code=error.code)
    await send({"type": f"{prefix}.response.start", "status": problem.status, "headers": headers})  # type: ignore[typeddict-item]
    await send({"type": f"{prefix}.response.body", "body": msgspec.json.encode(problem), "more_body": False})  # type: ignore[typeddict-item]
