"""API keys: create, list, revoke, and exchange a key for an access token."""

import hashlib
import hmac
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from ams_contracts.claims import INBOUND_AUDIENCE, Access, IdentityChanged, InboundGrant, KeyGrant, Role, Scope
from ams_contracts.identity_events import KeyCreated, KeyRevoked
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.ids import random_text
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.projects import lock_project
from ams_identity.sessions import NO_STORE
from ams_identity.store import api_keys
from ams_identity.store.api_keys import KEY_ID_PATTERN, ApiKey, is_usable
from ams_identity.token_exchange import inbound_grant, seconds_left
from ams_identity.tokens import ACCESS_SECONDS, INGEST_AUDIENCE
from ams_kit.auth import require_role
from ams_kit.auth.api_keys import ID_CHARS, SECRET_CHARS, format_key, parse_key
from ams_kit.errors import ConflictError, InvalidError, NotFoundError, UnauthenticatedError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name

KEYS_MAX = 200  # of one project
JTI_CHARS = 22


class KeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new key. Without ``expires_at`` it is valid until it is revoked."""

    name: str
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=8)] = msgspec.field(default_factory=lambda: [Scope.INGEST])
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class TokenBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The key to exchange. With the audience ``ams-inbound`` the token signs records of Kafka, and the response names the broker."""

    api_key: str
    audience: Literal["ams-ingest", "ams-inbound"] = "ams-ingest"


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret. ``prefix`` is the beginning of the key, for recognition in a list."""

    key_id: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    scopes: list[Scope]


class CreatedKey(KeyView, frozen=True, kw_only=True):
    """A new key. Only this response contains ``key``."""

    key: str


class KeyList(Struct, frozen=True):
    """The keys that are not revoked."""

    items: list[KeyView]
    next_cursor: str | None


_key = msgspec.json.Decoder(KeyBody)
_token = msgspec.json.Decoder(TokenBody)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "prefix": f"ams_{key.key_id}",
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "scopes": key.scopes,
    }


@post("/api/projects/{project:str}/keys", operation_class=with_json_body(KeyBody))
async def create_key(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[CreatedKey]:
    """Create an API key of a project. Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    body = await read_json(request, _key, bytes_max=BODY_BYTES_MAX)
    created = await add_key(context_of(request), request, access.project_id, access.user_id, body)
    return Response(created, headers=NO_STORE)


async def add_key(
    context: IdentityContext, request: Request[Any, Any, Any], project_id: str, user_id: str | None, body: KeyBody
) -> CreatedKey:
    """Create an API key.

    Raises:
        InvalidError: The name is not valid, or the expiry is in the past.
        NotFoundError: The project was deleted.
        ConflictError: The project has ``KEYS_MAX`` keys.
    """
    name, at = check_name(body.name, "key"), context.now()
    if body.expires_at is not None and body.expires_at <= at:
        raise InvalidError("expires_at is in the past. Choose a later time.", code="expired")
    key_id, secret = random_text(ID_CHARS), random_text(SECRET_CHARS)
    key = ApiKey(
        project_id=project_id,
        key_id=key_id,
        name=name,
        secret_hash=_hash(secret),
        scopes=list(dict.fromkeys(body.scopes)),
        created_by=user_id,
        created_at=at,
        expires_at=body.expires_at,
    )
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, project_id)
        if await api_keys.count(connection, project_id) >= KEYS_MAX:
            raise ConflictError(f"A project has at most {KEYS_MAX} keys. Revoke one first.", code="too_many_keys")
        await api_keys.insert(connection, key)
        event = KeyCreated(
            event_id=new_event_id(), at_us=microseconds(at), project_id=project_id, key_id=key_id, scopes=key.scopes, user_id=user_id
        )
        await put(connection, key_id, event, at)
        await record(connection, request, Action.KEY_CREATED, at, user_id=user_id, project_id=project_id, subject=key_id)
    context.outbox.wake()
    return CreatedKey(**_fields(key), key=format_key(key_id, secret))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


@get("/api/projects/{project:str}/keys", operation_class=PagedOperation)
async def list_keys(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> KeyList:
    """List the keys of a project (``limit``, ``cursor``). Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    page = page_of(request, KEY_ID_PATTERN)
    found = await api_keys.of_project(context_of(request).pool, access.project_id, after=page.after, limit=page.limit + 1)
    return KeyList([KeyView(**_fields(key)) for key in found[: page.limit]], cursor_after([key.key_id for key in found], page.limit))


@delete("/api/projects/{project:str}/keys/{key:str}")
async def revoke_key(request: Request[Any, Any, Any], key: FromPath[str], access: NamedDependency[Access]) -> None:
    """Revoke a key, with immediate effect. Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    context = context_of(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        if "\0" in key or not await api_keys.revoke(connection, access.project_id, key, at):
            raise NotFoundError("This project has no such key.", code="key_not_found")
        event = KeyRevoked(
            event_id=new_event_id(), at_us=microseconds(at), project_id=access.project_id, key_id=key, user_id=access.user_id
        )
        await put(connection, key, event, at)
        await record(connection, request, Action.KEY_REVOKED, at, user_id=access.user_id, project_id=access.project_id, subject=key)
    context.outbox.wake()
    await context.revoker.announce(IdentityChanged(kind="key.revoked", key_id=key, project_id=access.project_id))


@post("/api/auth/token", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(TokenBody))
async def exchange_key(request: Request[Any, Any, Any]) -> Response[KeyGrant | InboundGrant]:
    """Exchange an API key for an access token that is valid for ten minutes, or one for Kafka that is valid for an hour."""
    context = context_of(request)
    body = await read_json(request, _token, bytes_max=BODY_BYTES_MAX)
    refused = UnauthenticatedError("This API key is not valid.", code="invalid_api_key")
    parsed = parse_key(body.api_key)
    if parsed is None:
        raise refused
    key_id, secret = parsed
    at = context.now()
    key = await api_keys.by_id(context.pool, key_id)
    if key is None or not hmac.compare_digest(key.secret_hash, _hash(secret)) or not is_usable(key, at):
        raise refused
    await api_keys.touch(context.pool, key.project_id, key_id, at)
    if body.audience == INBOUND_AUDIENCE:
        return Response(inbound_grant(context, key, at), headers=NO_STORE)
    return Response(_grant(context, key, seconds_left(key, at, ACCESS_SECONDS)), headers=NO_STORE)


def _grant(context: IdentityContext, key: ApiKey, seconds: int) -> KeyGrant:
    now = int(context.now_s())
    token = context.signing.sign(
        {
            "iss": context.policy.issuer,
            "aud": INGEST_AUDIENCE,
            "sub": key.key_id,
            "project_id": key.project_id,
            "scope": " ".join(key.scopes),
            "jti": random_text(JTI_CHARS),
            "iat": now,
            "exp": now + seconds,
        }
    )
    return KeyGrant(
        access_token=token,
        expires_in=seconds,
        project_id=key.project_id,
        key_id=key.key_id,
        scopes=key.scopes,
        expires_at_us=(now + seconds) * 1_000_000,
        masking=key.masking,
    )


ROUTES = [create_key, list_keys, revoke_key, exchange_key]
