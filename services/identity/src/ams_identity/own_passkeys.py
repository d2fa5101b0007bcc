"""The passkeys of the caller's account: add several, name them, remove them."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, patch, post
from litestar.params import FromPath
from msgspec import Struct

from ams_identity import challenges, second_factor
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.ids import uuid7
from ams_identity.own_factors import (
    PasskeyView,
    after_adding,
    after_removing,
    announce_factors,
    before_adding,
    person_with_proof,
    view_of_passkey,
)
from ams_identity.relying_party import PasskeyError, RelyingParty, read_registration, registration_options
from ams_identity.second_factor import PASSKEY_BODY_BYTES_MAX, PASSKEYS_MAX, PasskeyRequest, handle_of, stored
from ams_identity.sessions import NO_STORE
from ams_identity.store import factors, passkeys, users
from ams_identity.store.passkeys import Passkey
from ams_identity.ways_in import require_way_in
from ams_kit.auth import is_uuid, principal_of
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name


class NewPasskeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of the authenticator, the token of the request for it, and a name for people."""

    token: str
    name: str
    credential: dict[str, Any]


class PasskeyName(Struct, frozen=True, forbid_unknown_fields=True):
    """A new name."""

    name: str


class AddedPasskey(Struct, frozen=True, kw_only=True):
    """A new passkey. ``recovery_codes``: each valid once, and only in this response; empty unless it is the first factor of the account."""

    passkey: PasskeyView
    recovery_codes: list[str]


_new = msgspec.json.Decoder(NewPasskeyBody)
_name = msgspec.json.Decoder(PasskeyName)


def _party(request: Request[Any, Any, Any]) -> RelyingParty:
    party = context_of(request).policy.relying_party
    if party is None:
        raise ConflictError("Passkeys require an https address with a host name, or localhost.", code="no_passkeys")
    return party


@post("/api/users/me/passkeys/options", status_code=200)
async def registration_request(request: Request[Any, Any, Any]) -> Response[PasskeyRequest]:
    """Begin to add a passkey. Requires a recent proof."""
    context, user, party = context_of(request), await person_with_proof(request), _party(request)
    known = await passkeys.of_user(context.pool, user.user_id, PASSKEYS_MAX)
    if len(known) >= PASSKEYS_MAX:
        raise ConflictError(f"An account has at most {PASSKEYS_MAX} passkeys. Remove one first.", code="too_many_passkeys")
    token = second_factor.issue(context, "passkey-registration", user.user_id, principal_of(request).session_id.encode())
    options = registration_options(
        party,
        challenges.digest_of(token),
        user_id=handle_of(user.user_id),
        name=user.username,
        known=[stored(item) for item in known],
    )
    return Response(PasskeyRequest(token=token, options=options), headers=NO_STORE)


@post("/api/users/me/passkeys", operation_class=with_json_body(NewPasskeyBody))
async def add_passkey(request: Request[Any, Any, Any]) -> Response[AddedPasskey]:
    """Add a passkey. The first factor of an account brings recovery codes and ends its other sessions."""
    context, user, party = context_of(request), await person_with_proof(request), _party(request)
    body = await read_json(request, _new, bytes_max=PASSKEY_BODY_BYTES_MAX)
    name = check_name(body.name, "passkey")
    challenge = second_factor.read(context, "passkey-registration", body.token, principal_of(request).session_id.encode())
    refused = InvalidError("The passkey was not added: the answer is not valid, or took too long. Try again.", code="invalid_passkey")
    if challenge is None:
        raise refused
    try:
        new = read_registration(party, challenge.digest, body.credential)
    except PasskeyError as error:
        raise refused from error
    at = context.now()
    item = Passkey(
        user_id=user.user_id,
        passkey_id=uuid7(context.now_s()),
        credential_id=new.credential_id,
        public_key=new.public_key,
        sign_count=new.sign_count,
        transports=new.transports,
        name=name,
        created_at=at,
    )
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        codes, revoked = await before_adding(connection, request, user.user_id, at)
        if len(await passkeys.of_user(connection, user.user_id, PASSKEYS_MAX)) >= PASSKEYS_MAX:
            raise ConflictError(f"An account has at most {PASSKEYS_MAX} passkeys. Remove one first.", code="too_many_passkeys")
        if not await factors.spend(connection, challenge.digest, context.at(challenge.expires_s)):
            raise refused
        if not await passkeys.insert(connection, item):
            raise ConflictError("This passkey was added already.", code="passkey_exists")
        await record(connection, request, Action.PASSKEY_ADDED, at, user_id=user.user_id, subject=item.passkey_id)
    await after_adding(context, revoked)
    return Response(AddedPasskey(passkey=view_of_passkey(item), recovery_codes=codes), headers=NO_STORE)


@patch("/api/users/me/passkeys/{passkey:str}", status_code=204, operation_class=with_json_body(PasskeyName))
async def rename_passkey(request: Request[Any, Any, Any], passkey: FromPath[str]) -> None:
    """Rename a passkey."""
    context, user_id = context_of(request), principal_of(request).user_id
    body = await read_json(request, _name, bytes_max=BODY_BYTES_MAX)
    name = check_name(body.name, "passkey")
    if not is_uuid(passkey) or not await passkeys.rename(context.pool, user_id, passkey, name):
        raise _not_found()


@delete("/api/users/me/passkeys/{passkey:str}")
async def remove_passkey(request: Request[Any, Any, Any], passkey: FromPath[str]) -> None:
    """Remove a passkey. Requires a recent proof, and another way to sign in."""
    context, user = context_of(request), await person_with_proof(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        if not is_uuid(passkey) or not await passkeys.delete(connection, user.user_id, passkey):
            raise _not_found()
        await require_way_in(context, connection, user.user_id)
        await record(connection, request, Action.PASSKEY_REMOVED, at, user_id=user.user_id, subject=passkey)
        await after_removing(connection, user.user_id, at)
    await announce_factors(context, user.user_id)


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such passkey.", code="passkey_not_found")


ROUTES = [registration_request, add_passkey, rename_passkey, remove_passkey]
