"""The messages of the live websocket, subprotocol ``ams.v1``: JSON in text messages, tag ``op``.

A client's message is one object. A server's message is always an *array* of objects: frames that are ready at the same time are sent together.

``sub`` names a subscription and is the same for every socket (``task:<task_id>`` or ``list``), so that one frame's bytes are
shared by all sockets that subscribed to it.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from ams_contracts.ids import TaskId

SUBPROTOCOL = "ams.v1"
TICKET_PREFIX = "ticket."

CLOSE_BAD_MESSAGE = 4400
CLOSE_UNAUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_NOT_FOUND = 4404
CLOSE_SLOW = 4409
CLOSE_TOO_MANY = 4429

RequestId = Annotated[str, Meta(min_length=1, max_length=64)]


class Subscribe(Struct, frozen=True, kw_only=True, tag_field="op", tag="subscribe"):
    """Follow one task, or the project's task list. ``after`` is a position as text: frames start there; null means now."""

    id: RequestId
    task_id: TaskId | None = None
    list: bool = False
    after: Annotated[str, Meta(max_length=64)] | None = None


class Unsubscribe(Struct, frozen=True, kw_only=True, tag_field="op", tag="unsubscribe"):
    """Stop following. An unknown ``sub`` is not an error."""

    id: RequestId
    sub: Annotated[str, Meta(max_length=64)]


class Renew(Struct, frozen=True, kw_only=True, tag_field="op", tag="renew"):
    """Authenticate again, with a new ticket, before the old token expires."""

    id: RequestId
    ticket: Annotated[str, Meta(max_length=128)]


ClientMessage = Subscribe | Unsubscribe | Renew


class Subscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="subscribed"):
    """The response to ``subscribe``: later frames of ``sub`` follow ``position`` (null for the list).

    Subscribing twice gives one stream: the second response changes nothing, whatever its ``after``.
    """

    id: str
    sub: str
    position: str | None = None


class Unsubscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="unsubscribed"):
    """The response to ``unsubscribe``."""

    id: str
    sub: str


class Renewed(Struct, frozen=True, kw_only=True, tag_field="op", tag="renewed"):
    """The response to ``renew``. ``expires_at_us`` is when the socket is closed unless it is renewed again."""

    id: str
    expires_at_us: int


class Frame(Struct, frozen=True, kw_only=True, tag_field="op", tag="frame"):
    """A record of a task, unchanged: ``batch`` is an ``ams_contracts.events.Batch``.

    ``position`` is after this record. ``prev`` is the position of the same task's frame before it, null for the first that the
    gateway knows: a client whose last position is older than ``prev`` missed a frame.
    """

    sub: str
    prev: str | None
    position: str
    batch: Raw


class TaskFrame(Struct, frozen=True, kw_only=True, tag_field="op", tag="task"):
    """A task of the list changed: ``change`` is an ``ams_contracts.views.TaskChanged``; null when it was deleted."""

    sub: Literal["list"] = "list"
    task_id: str
    change: Raw | None


class Reset(Struct, frozen=True, kw_only=True, tag_field="op", tag="reset"):
    """Frames are missing: fetch the task again over REST.

    Either the requested position is too old (or no longer in the log), and the subscription has ended: subscribe after the fetched position.
    Or, within a stream, one record was too large to be sent (over 256 KiB): the stream continues after ``position``, and subscribing again is
    harmless.
    """

    sub: str
    position: str | None = None


class Stale(Struct, frozen=True, kw_only=True, tag_field="op", tag="stale"):
    """The gateway cannot read the log (``stale`` true), or can again (false). The socket stays open."""

    stale: bool


class Refused(Struct, frozen=True, kw_only=True, tag_field="op", tag="error"):
    """A request was refused. ``id`` is the request's, null when it had none.

    ``code``: ``bad_cursor`` (``after`` is no position of this task: fetch again), ``duplicate_id``, ``unknown_op``, ``invalid``,
    ``too_many_subscriptions``, ``unavailable`` (try again), ``not_shared`` (a public link shows one task and no list).
    """

    code: str
    id: str | None = None
    detail: str = ""


ServerMessage = Subscribed | Unsubscribed | Renewed | Frame | TaskFrame | Reset | Stale | Refused
