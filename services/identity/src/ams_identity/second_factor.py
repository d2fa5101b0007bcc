"""The second factors of an account: which it has, and whether a code or a passkey's answer is right. Each code and each challenge is accepted once."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from ams_identity import challenges, recovery_codes, totp
from ams_identity.challenges import Challenge, Purpose
from ams_identity.context import IdentityContext
from ams_identity.ids import random_text
from ams_identity.relying_party import PasskeyError, StoredPasskey, credential_id_of, read_assertion, request_options
from ams_identity.store import factors, passkeys
from ams_identity.store.passkeys import Passkey
from ams_kit.auth.encoding import encode_base64url
from ams_kit.sealing import unseal

Method = Literal["totp", "recovery_code", "passkey"]
PASSKEYS_MAX = 20  # of one account
CHALLENGE_SECONDS = 300
NONCE_CHARS = 22
PASSKEY_BODY_BYTES_MAX = 16_384  # an authenticator's answer has 1 to 8 kB


class PasskeyRequest(Struct, frozen=True, kw_only=True):
    """What a browser needs to ask for a passkey.

    Attributes:
        token: Sent back with the answer; valid once, for ``expires_in`` seconds.
        options: For ``PublicKeyCredential.parseRequestOptionsFromJSON`` (or ``parseCreationOptionsFromJSON``).
    """

    token: str
    options: dict[str, Any]
    expires_in: int = CHALLENGE_SECONDS


async def methods_of(context: IdentityContext, user_id: str) -> list[Method]:
    """The ways in which an account proves its second factor; none when it has no factor."""
    found: list[Method] = []
    app = await factors.totp_of(context.pool, user_id)
    if app is not None and app.confirmed_at is not None:
        found.append("totp")
    if await passkeys.of_user(context.pool, user_id, 1):
        found.append("passkey")
    if found and await factors.recovery_codes_left(context.pool, user_id):
        found.append("recovery_code")
    return found


def issue(context: IdentityContext, purpose: Purpose, subject: str, binding: bytes = b"") -> str:
    """Make a challenge that is valid for five minutes."""
    expires_s = int(context.now_s()) + CHALLENGE_SECONDS
    return challenges.issue(context.challenge_key, purpose, subject, expires_s=expires_s, nonce=random_text(NONCE_CHARS), binding=binding)


def read(context: IdentityContext, purpose: Purpose, token: str, binding: bytes = b"") -> Challenge | None:
    """Verify a challenge that a client sends back. ``None`` when it is not valid."""
    return challenges.read(context.challenge_key, purpose, token, now_s=context.now_s(), binding=binding)


async def passkey_request(context: IdentityContext, token: str, user_id: str | None = None) -> PasskeyRequest | None:
    """Ask for a passkey, of an account or of any. ``None`` when the installation has no host name, or the account has no passkey."""
    party = context.policy.relying_party
    known = [] if user_id is None else await passkeys.of_user(context.pool, user_id, PASSKEYS_MAX)
    if party is None or (user_id is not None and not known):
        return None
    options = request_options(party, challenges.digest_of(token), [stored(item) for item in known])
    return PasskeyRequest(token=token, options=options)


async def accept_code(context: IdentityContext, user_id: str, typed: str) -> Literal["totp", "recovery_code"] | None:
    """Use up a code of the authenticator app, or a recovery code. ``None`` when it is wrong or was used."""
    plain = "".join(typed.split())
    if not totp.is_code(plain):
        hashed = recovery_codes.hash_of(user_id, typed)
        used = hashed is not None and await factors.use_recovery_code(context.pool, user_id, hashed, context.now())
        return "recovery_code" if used else None
    app = await factors.totp_of(context.pool, user_id)
    if app is None or app.confirmed_at is None:
        return None
    secret = unseal(context.factor_key, app.sealed_secret, user_id).decode()
    step = totp.step_of(secret, plain, now_s=context.now_s(), after=app.last_step)
    return "totp" if step is not None and await factors.use_step(context.pool, user_id, step) else None


async def accept_passkey(
    context: IdentityContext, challenge: Challenge, credential: Mapping[str, Any], user_id: str | None = None
) -> Passkey | None:
    """Verify the answer of a passkey to a challenge, and use the challenge up. ``None`` when it is not one of the account, or of any."""
    party = context.policy.relying_party
    if party is None:
        return None
    try:
        passkey = await passkeys.by_credential(context.pool, credential_id_of(credential))
        if passkey is None or user_id not in {None, passkey.user_id} or not _is_handle_of(credential, passkey.user_id):
            return None
        sign_count = read_assertion(party, challenge.digest, credential, stored(passkey))
    except PasskeyError:
        return None
    if not await passkeys.use(context.pool, passkey, sign_count, context.now()):
        return None
    return passkey if await spend(context, challenge) else None


async def spend(context: IdentityContext, challenge: Challenge) -> bool:
    """Use up a challenge. False when it was answered before."""
    return await factors.spend(context.pool, challenge.digest, context.at(challenge.expires_s))


def handle_of(user_id: str) -> bytes:
    """What an authenticator stores as the account: its id, which is not personal."""
    return user_id.encode()


def _is_handle_of(credential: Mapping[str, Any], user_id: str) -> bool:
    response: Any = credential.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    return handle is None or handle == encode_base64url(handle_of(user_id))


def stored(item: Passkey) -> StoredPasskey:
    """What verifying needs of a passkey."""
    return StoredPasskey(
        credential_id=item.credential_id, public_key=item.public_key, sign_count=item.sign_count, transports=item.transports
    )
