"""API keys: their format, and their exchange for a grant at identity.

A key is ``ams_<id>_<secret><crc>``: 16 characters of id, 32 of secret, 6 of checksum (CRC-32 of everything before it, base 62). The checksum
detects a typing error or a truncated copy without a request to identity.
"""

import asyncio
import hashlib
import re
import time
import zlib
from collections.abc import Callable, Sequence
from http import HTTPStatus
from ipaddress import ip_network

import httpx
import msgspec
import structlog
from msgspec import Struct

from ams_contracts.claims import IdentityChanged, KeyGrant
from ams_kit.auth.service_tokens import service_token
from ams_kit.errors import BearerRequiredError, ForbiddenError, UnavailableError
from ams_kit.http.client_address import Address, is_in, parse_address

ID_CHARS = 16
SECRET_CHARS = 32
CRC_CHARS = 6
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

TOKEN_PATH = "/api/auth/token"  # noqa: S105  a path
GRANT_SECONDS = 30
REFUSAL_SECONDS = 1
STALE_SECONDS = 600
ASK_AGAIN_SECONDS = 1
ENTRIES_MAX = 10_000
PROGRAM_CHARS_MAX = 200
IDENTITY = "identity"
REVOKED_MAX = 10_000
"""Revocations that are kept, so that a response of identity that is older than a revocation is not used."""

_FORM = re.compile(rf"ams_([0-9A-Za-z]{{{ID_CHARS}}})_([0-9A-Za-z]{{{SECRET_CHARS}}})([0-9A-Za-z]{{{CRC_CHARS}}})")
_grant = msgspec.json.Decoder(KeyGrant)
logger = structlog.get_logger(__name__)


def checksum(text: str) -> str:
    """Compute the CRC-32 of ASCII text in base 62, six characters."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CRC_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def format_key(key_id: str, secret: str) -> str:
    """Build the complete key, which identity shows once."""
    body = f"ams_{key_id}_{secret}"
    return body + checksum(body)


def parse_key(api_key: str) -> tuple[str, str] | None:
    """Return the id and the secret of a key, or ``None`` when it does not have the format of a key."""
    match = _FORM.fullmatch(api_key)
    if match is None or checksum(api_key[:-CRC_CHARS]) != match[3]:
        return None
    return match[1], match[2]


def _refusal() -> BearerRequiredError:
    return BearerRequiredError("This API key is not valid.", code="invalid_api_key")


class KeyUse(Struct, frozen=True):
    """Who uses a key: the client's address, and its ``User-Agent``; empty when unknown."""

    address: str = ""
    program: str = ""


NO_USE = KeyUse()


def check_address(networks: Sequence[str] | None, address: Address | None) -> None:
    """Check that a key may be used from an address.

    Args:
        networks: Of the key; ``None``: it may be used from everywhere.
        address: The client's; ``None`` when it is unknown.

    Raises:
        ForbiddenError: address_not_allowed.
    """
    if networks is None or (address is not None and is_in(address, [ip_network(network) for network in networks])):
        return
    where = "this address" if address is None else str(address)
    raise ForbiddenError(
        f"This API key may not be used from {where}. Add the address under Settings > API keys, or use another key.",
        code="address_not_allowed",
    )


class _Known(Struct):
    grant: KeyGrant | None
    asked_at: float
    fresh_until: float


class KeyClient:
    """Exchanges API keys for grants at identity.

    Caches a grant for 30 s and a refusal for 1 s. ``key.revoked`` evicts a grant at once. While identity does not answer, a grant that identity
    confirmed in the last 10 minutes stays valid. The cache identifies keys by their hash.

    Args:
        http: Of identity.
        service_secret: Signs the requests, so that identity believes who uses a key; empty: it takes this process for the user.
        service: The name of this service.
        monotonic: The clock of the cache.
    """

    def __init__(
        self, http: httpx.AsyncClient, *, service_secret: str = "", service: str = "", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._secret = service_secret
        self._service = service
        self._monotonic = monotonic
        self._known: dict[bytes, _Known] = {}
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._revoked: dict[str, float] = {}
        self._failed_at = -1e9

    async def grant(self, api_key: str, use: KeyUse = NO_USE) -> KeyGrant:
        """Return the grant of a key.

        Raises:
            UnauthenticatedError: The key is unknown, revoked or expired.
            ForbiddenError: ``address_not_allowed``: the key may not be used from this address.
            UnavailableError: Identity does not answer and has not confirmed the key in the last 10 minutes.
        """
        if parse_key(api_key) is None:
            raise _refusal()
        digest = hashlib.sha256(api_key.encode()).digest()
        known = self._known.get(digest)
        if known is None or known.fresh_until <= self._monotonic():
            known = await self._ask_once(digest, api_key, use)
        if known.grant is None:
            raise _refusal()
        check_address(known.grant.addresses, parse_address(use.address))
        return known.grant

    def on_event(self, changed: IdentityChanged) -> None:
        """Evict the grants of a revoked key or a deleted project after a message of identity's channel."""
        now = self._monotonic()
        if changed.kind == "key.revoked" and changed.key_id:
            self._remember_revoked(changed.key_id, now)
            self._drop(lambda grant: grant.key_id == changed.key_id)
        if changed.kind == "project.deleted" and changed.project_id:
            self._remember_revoked(changed.project_id, now)
            self._drop(lambda grant: grant.project_id == changed.project_id)

    def expire_all(self) -> None:
        """Mark every grant as stale, because messages may have been missed. The grants are kept in case identity is unavailable."""
        for known in self._known.values():
            known.fresh_until = -1e9

    def _remember_revoked(self, key_or_project_id: str, at: float) -> None:
        """Record a revocation, so that a response in flight does not restore the grant. Entries older than any request are removed."""
        self._revoked.pop(key_or_project_id, None)
        self._revoked[key_or_project_id] = at
        while len(self._revoked) > REVOKED_MAX or at - next(iter(self._revoked.values())) >= STALE_SECONDS:
            self._revoked.pop(next(iter(self._revoked)))

    def _drop(self, concerned: Callable[[KeyGrant], bool]) -> None:
        self._known = {digest: known for digest, known in self._known.items() if known.grant is None or not concerned(known.grant)}

    async def _ask_once(self, digest: bytes, api_key: str, use: KeyUse) -> _Known:
        lock = self._locks.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(digest)
                if known is not None and known.fresh_until > self._monotonic():
                    return known
                return await self._refresh(digest, api_key, known, use)
        finally:
            if not lock.locked():
                self._locks.pop(digest, None)

    async def _refresh(self, digest: bytes, api_key: str, known: _Known | None, use: KeyUse) -> _Known:
        asked_at = self._monotonic()
        try:
            grant = await self._exchange(api_key, use)
        except UnavailableError:
            if known is None or known.grant is None or asked_at - known.asked_at > STALE_SECONDS:
                raise UnavailableError("Identity does not answer, so the API key cannot be checked. Try again.") from None
            return known
        if grant is not None and max(self._revoked.get(grant.key_id, -1e9), self._revoked.get(grant.project_id, -1e9)) >= asked_at:
            grant = None  # revoked during the request
        known = _Known(grant, asked_at, asked_at + (REFUSAL_SECONDS if grant is None else min(GRANT_SECONDS, grant.expires_in)))
        self._known.pop(digest, None)
        if len(self._known) >= ENTRIES_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = known
        return known

    async def _exchange(self, api_key: str, use: KeyUse) -> KeyGrant | None:
        if self._monotonic() - self._failed_at < ASK_AGAIN_SECONDS:
            raise UnavailableError
        try:
            response = await self._http.post(TOKEN_PATH, content=self._request(api_key, use), headers=self._headers())
            if response.status_code == HTTPStatus.UNAUTHORIZED:
                return None
            response.raise_for_status()
            return _grant.decode(response.content)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            self._failed_at = self._monotonic()
            logger.warning("exchanging an API key at identity failed", error_type=type(error).__name__)
            raise UnavailableError from error

    def _request(self, api_key: str, use: KeyUse) -> bytes:
        known = {"address": use.address, "program": use.program[:PROGRAM_CHARS_MAX]} if self._secret else {}
        return msgspec.json.encode({"api_key": api_key, **{name: value for name, value in known.items() if value}})

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["Authorization"] = f"Bearer {service_token(self._secret, IDENTITY, self._service)}"
        return headers
