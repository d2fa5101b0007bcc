"""API keys: create, list, change, rotate, revoke. ``token_exchange`` has what a key is exchanged for."""

from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from ams_contracts.claims import Access, IdentityChanged, Role, Scope
from ams_contracts.identity_events import KeyCreated, KeyRevoked
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.ids import random_text
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.projects import lock_project
from ams_identity.sessions import NO_STORE
from ams_identity.store import Executor, api_keys, members, users
from ams_identity.store.api_keys import KEY_ID_PATTERN, ApiKey, secret_hash
from ams_kit.auth import require_role
from ams_kit.auth.api_keys import ID_CHARS, SECRET_CHARS, format_key
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name

KEYS_MAX = 200  # of one project; as many more may be valid that others have replaced
Addresses = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=50)]


class KeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new key.

    Attributes:
        expires_at: ``None``: it is valid until it is revoked.
        addresses: Addresses and networks (``192.0.2.7``, ``10.0.0.0/8``) from which it may be used; ``None``: from everywhere.
        service_account: The id of the service account that it belongs to; ``None``: to the caller.
    """

    name: str
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=8)] = msgspec.field(default_factory=lambda: [Scope.INGEST])
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    addresses: Addresses | None = None
    service_account: str | None = None


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret.

    Attributes:
        prefix: The beginning of the key, for recognition in a list.
        last_used_at: To the minute.
        last_used_program: The ``User-Agent`` of the last use, such as ``ams-tracing/1.2.0``.
        owner: The id of the account that it belongs to; ``None``: an operator created it.
        replaced_by: The id of the key that replaces it.
    """

    key_id: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str | None
    last_used_program: str | None
    addresses: list[str] | None
    owner: str | None
    replaced_by: str | None
    scopes: list[Scope]


class CreatedKey(KeyView, frozen=True, kw_only=True):
    """A new key. Only this response contains ``key``."""

    key: str


class KeyList(Struct, frozen=True):
    """The keys that are not revoked."""

    items: list[KeyView]
    next_cursor: str | None


class KeyChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a key; absent fields keep their value. ``addresses``: ``null``: it may be used from everywhere."""

    name: str | UnsetType = UNSET
    addresses: Addresses | UnsetType | None = UNSET


class RotationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many hours the replaced key stays valid, 0 to 168."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = 24


_key = msgspec.json.Decoder(KeyBody)
_changes = msgspec.json.Decoder(KeyChanges)
_rotation = msgspec.json.Decoder(RotationBody)


def key_fields(key: ApiKey) -> dict[str, Any]:
    """The fields of ``KeyView``."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "prefix": f"ams_{key.key_id}",
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "last_used_address": key.last_used_address,
        "last_used_program": key.last_used_program,
        "addresses": key.addresses,
        "owner": key.created_by,
        "replaced_by": key.replaced_by,
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
        InvalidError: The name, an address or the service account is not valid, or the expiry is in the past.
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
        secret_hash=secret_hash(secret),
        scopes=list(dict.fromkeys(body.scopes)),
        created_by=body.service_account or user_id,
        created_at=at,
        expires_at=body.expires_at,
        addresses=checked_addresses(body.addresses),
    )
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, project_id)
        if body.service_account is not None and body.service_account not in await members.service_accounts(connection, project_id):
            raise InvalidError("This project has no such service account.", code="unknown_service_account")
        await insert_key(connection, request, key, user_id)
    context.outbox.wake()
    return CreatedKey(**key_fields(key), key=format_key(key_id, secret))


async def insert_key(connection: Executor, request: Request[Any, Any, Any], key: ApiKey, user_id: str | None) -> None:
    """Add a key with its event and audit entry, inside a transaction that has locked the project.

    Raises:
        ConflictError: The project has ``KEYS_MAX`` keys.
    """
    current, valid = await api_keys.count(connection, key.project_id, key.created_at)
    if current >= KEYS_MAX or valid >= 2 * KEYS_MAX:
        raise ConflictError(f"A project has at most {KEYS_MAX} keys. Revoke one first.", code="too_many_keys")
    await api_keys.insert(connection, key)
    event = KeyCreated(
        event_id=new_event_id(),
        at_us=microseconds(key.created_at),
        project_id=key.project_id,
        key_id=key.key_id,
        scopes=key.scopes,
        user_id=user_id,
    )
    await put(connection, key.key_id, event, key.created_at)
    await record(connection, request, Action.KEY_CREATED, key.created_at, user_id=user_id, project_id=key.project_id, subject=key.key_id)


def checked_addresses(addresses: list[str] | None) -> list[str] | None:
    """Addresses and networks in their canonical form.

    Raises:
        InvalidError: invalid_address.
    """
    if addresses is None:
        return None
    try:
        return list(dict.fromkeys(str(ip_network(address.strip())) for address in addresses))
    except ValueError as error:
        raise InvalidError(
            "An entry is no address or network. Write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32; the bits after the prefix must be 0.",
            code="invalid_address",
        ) from error


@get("/api/projects/{project:str}/keys", operation_class=PagedOperation)
async def list_keys(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> KeyList:
    """List the keys of a project (``limit``, ``cursor``). Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    page = page_of(request, KEY_ID_PATTERN)
    found = await api_keys.of_project(context_of(request).pool, access.project_id, after=page.after, limit=page.limit + 1)
    return KeyList([KeyView(**key_fields(key)) for key in found[: page.limit]], cursor_after([key.key_id for key in found], page.limit))


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


@patch("/api/projects/{project:str}/keys/{key:str}", operation_class=with_json_body(KeyChanges))
async def change_key(request: Request[Any, Any, Any], key: FromPath[str], access: NamedDependency[Access]) -> KeyView:
    """Rename a key, or change from where it may be used; that takes effect within 30 s. Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    context = context_of(request)
    body = await read_json(request, _changes, bytes_max=BODY_BYTES_MAX)
    async with context.pool.acquire() as connection, connection.transaction():
        found = await lock_key(connection, access.project_id, key)
        name = found.name if body.name is UNSET else check_name(body.name, "key")
        addresses = found.addresses if body.addresses is UNSET else checked_addresses(body.addresses)
        await api_keys.update(connection, found, name=name, addresses=addresses)
        await record(
            connection,
            request,
            Action.KEY_CHANGED,
            context.now(),
            user_id=access.user_id,
            project_id=access.project_id,
            subject=key,
        )
    return KeyView(**key_fields(replace(found, name=name, addresses=addresses)))


@post("/api/projects/{project:str}/keys/{key:str}/rotate", operation_class=with_json_body(RotationBody))
async def rotate_key(request: Request[Any, Any, Any], key: FromPath[str], access: NamedDependency[Access]) -> Response[CreatedKey]:
    """Create a key in place of another one, with the same name, scopes, addresses and owner. Both are valid for some hours. Requires the role member or owner."""
    require_role(access, Role.MEMBER)
    context = context_of(request)
    body = await read_json(request, _rotation, bytes_max=BODY_BYTES_MAX)
    at = context.now()
    key_id, secret = random_text(ID_CHARS), random_text(SECRET_CHARS)
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, access.project_id)
        old = await lock_key(connection, access.project_id, key)
        if old.replaced_by is not None:
            raise ConflictError("This key was replaced already. Rotate the key that replaced it.", code="already_rotated")
        new = replace(
            old,
            key_id=key_id,
            secret_hash=secret_hash(secret),
            created_at=at,
            created_by=old.created_by if await users.is_service(connection, old.created_by or access.user_id) else access.user_id,
            expires_at=None if old.expires_at is None else at + (old.expires_at - old.created_at),
            last_used_at=None,
            last_used_address=None,
            last_used_program=None,
        )
        ends_at = at + timedelta(hours=body.overlap_hours)
        await api_keys.replace(connection, old, by=key_id, expires_at=ends_at if old.expires_at is None else min(ends_at, old.expires_at))
        await insert_key(connection, request, new, access.user_id)  # after it: a project that has all its keys can rotate them
        await record(connection, request, Action.KEY_ROTATED, at, user_id=access.user_id, project_id=access.project_id, subject=key)
    context.outbox.wake()
    return Response(CreatedKey(**key_fields(new), key=format_key(key_id, secret)), headers=NO_STORE)


async def lock_key(connection: Executor, project_id: str, key_id: str) -> ApiKey:
    """Lock a key of a project.

    Raises:
        NotFoundError: key_not_found.
    """
    found = None if "\0" in key_id else await api_keys.lock(connection, project_id, key_id)
    if found is None:
        raise NotFoundError("This project has no such key.", code="key_not_found")
    return found


ROUTES = [create_key, list_keys, change_key, rotate_key, revoke_key]
