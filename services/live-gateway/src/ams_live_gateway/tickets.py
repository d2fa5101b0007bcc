"""Tickets authenticate websockets, because a browser cannot send headers with one. Valid once, for 30 s, for one project and credential."""

import hashlib
import secrets

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from ams_contracts.claims import SHARE_SUBJECT_PREFIX, AccessClaims, ShareClaims
from ams_kit.auth import KeyPrincipal
from ams_kit.errors import UnavailableError
from ams_kit.retriable import UNAVAILABLE

TICKET_SECONDS = 30
TICKET_CHARS_MAX = 128
KEY_PREFIX = "ams:live:ticket:"


class Grant(Struct, frozen=True):
    """What a ticket grants until its credential expires: access to one project or, for a visitor of a public link, to one task of it.

    Attributes:
        claims: The claims of the access token of a person; otherwise ``None``.
        key: The API key; otherwise ``None``.
        share: The claims of the token of a public link; otherwise ``None``.
    """

    project_id: str
    claims: AccessClaims | None = None
    key: KeyPrincipal | None = None
    share: ShareClaims | None = None

    @property
    def revocable(self) -> AccessClaims | None:
        """The claims that the revocation list is checked for; ``None`` for an API key, whose end is announced by itself."""
        return self.claims if self.share is None else self.share

    @property
    def subject(self) -> str:
        """The user id, ``key:<key_id>`` or ``share:<link_id>``."""
        if self.share is not None:
            return f"{SHARE_SUBJECT_PREFIX}{self.share.sub}"
        if self.claims is not None:
            return self.claims.sub
        return "" if self.key is None else self.key.subject

    @property
    def expires_at_s(self) -> int:
        """When the credential expires, in seconds since the epoch."""
        if self.revocable is not None:
            return self.revocable.exp
        return 0 if self.key is None else self.key.expires_at_s


_grant = msgspec.json.Decoder(Grant)


class Tickets:
    """Tickets in Redis. Only their hashes are stored, so that a reader of Redis cannot use them."""

    def __init__(self, redis: Redis, *, key_prefix: str = KEY_PREFIX) -> None:
        self._redis = redis
        self._key_prefix = key_prefix

    async def issue(self, grant: Grant) -> str:
        """Issue a ticket.

        Raises:
            UnavailableError: Redis is unavailable.
        """
        ticket = secrets.token_urlsafe(24)
        try:
            await self._redis.set(self._key(ticket), msgspec.json.encode(grant), ex=TICKET_SECONDS)
        except UNAVAILABLE as error:
            raise UnavailableError("No ticket can be issued right now. Try again.") from error
        return ticket

    async def redeem(self, ticket: str) -> Grant | None:
        """Redeem a ticket, which works once. ``None`` when it is unknown, used or expired.

        Raises:
            UnavailableError: Redis is unavailable.
        """
        if not ticket or len(ticket) > TICKET_CHARS_MAX or not ticket.isascii():
            return None
        try:
            value = await self._redis.getdel(self._key(ticket))
        except UNAVAILABLE as error:
            raise UnavailableError("No ticket can be checked right now. Try again.") from error
        if value is None:
            return None
        try:
            return _grant.decode(value)
        except msgspec.MsgspecError:
            return None

    def _key(self, ticket: str) -> str:
        return self._key_prefix + hashlib.sha256(ticket.encode()).hexdigest()
