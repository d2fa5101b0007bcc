"""Passkeys (WebAuthn): the options that a browser gets, and the verification of what it returns. Pure functions over the library.

The relying party is the host of the public URL. A passkey always verifies its user (PIN, fingerprint or face), so it alone is two factors.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import webauthn
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec import Struct
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

NAME = "AMS"
CREDENTIAL_ID_BYTES_MAX = 1_023  # of the specification
TIMEOUT_MS = 300_000
# what the library and its parsers raise for bytes that are no answer of an authenticator
_UNREADABLE = (
    WebAuthnException,
    InvalidSignature,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)


class PasskeyError(ValueError):
    """The answer of the browser is not one to this challenge by this passkey. The text has no details."""


class RelyingParty(Struct, frozen=True):
    """Who passkeys are for. ``origin`` is the scheme and host of the public URL, ``host`` its host alone."""

    host: str
    origin: str


class StoredPasskey(Struct, frozen=True, kw_only=True):
    """What verifying needs of a passkey."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: Sequence[str]


class NewPasskey(Struct, frozen=True, kw_only=True):
    """A passkey that an authenticator has just made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]


def relying_party_of(public_url: str) -> RelyingParty | None:
    """The relying party of an installation; ``None`` when its address has no host name: a passkey belongs to a name, not to an IP address."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        secure = parts.scheme == "https" or host == "localhost" or host.endswith(".localhost")
        return RelyingParty(host, f"{parts.scheme}://{parts.netloc}".lower()) if host and secure else None
    return None


def registration_options(
    party: RelyingParty, challenge: bytes, *, user_id: bytes, name: str, known: Sequence[StoredPasskey]
) -> dict[str, Any]:
    """The options of ``navigator.credentials.create``, as ``parseCreationOptionsFromJSON`` takes them. ``known`` passkeys are not made twice."""
    options = webauthn.generate_registration_options(
        rp_id=party.host,
        rp_name=NAME,
        user_id=user_id,
        user_name=name,
        user_display_name=name,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[_descriptor(item) for item in known],
    )
    return json.loads(webauthn.options_to_json(options))


def request_options(party: RelyingParty, challenge: bytes, known: Sequence[StoredPasskey] = ()) -> dict[str, Any]:
    """The options of ``navigator.credentials.get``, as ``parseRequestOptionsFromJSON`` takes them. Without ``known`` ones the person chooses the account."""
    options = webauthn.generate_authentication_options(
        rp_id=party.host,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=[_descriptor(item) for item in known],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return json.loads(webauthn.options_to_json(options))


def _descriptor(item: StoredPasskey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(id=item.credential_id, transports=[AuthenticatorTransport(name) for name in item.transports])


def credential_id_of(credential: Mapping[str, Any]) -> bytes:
    """The id of the passkey that made an answer.

    Raises:
        PasskeyError: The answer has none.
    """
    try:
        found = base64url_to_bytes(credential["rawId"])
    except _UNREADABLE as error:
        raise PasskeyError from error
    if not 0 < len(found) <= CREDENTIAL_ID_BYTES_MAX:
        raise PasskeyError
    return found


def read_registration(party: RelyingParty, challenge: bytes, credential: Mapping[str, Any]) -> NewPasskey:
    """Verify a new passkey: challenge, origin, relying party, presence and verification of the user.

    Raises:
        PasskeyError: It is not the answer to this challenge.
    """
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            require_user_verification=True,
        )
        named: Any = credential["response"].get("transports") or []
        known = {item.value for item in AuthenticatorTransport}
        transports = [name for name in dict.fromkeys(named) if isinstance(name, str) and name in known]
    except _UNREADABLE as error:
        raise PasskeyError from error
    if not 0 < len(verified.credential_id) <= CREDENTIAL_ID_BYTES_MAX:
        raise PasskeyError
    return NewPasskey(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=transports,
    )


def read_assertion(party: RelyingParty, challenge: bytes, credential: Mapping[str, Any], passkey: StoredPasskey) -> int:
    """Verify an answer of a passkey: challenge, origin, relying party, verification of the user, signature, and a counter that grows.

    Returns:
        The new value of the counter; 0 for passkeys without one.

    Raises:
        PasskeyError: It is not the answer of this passkey to this challenge, or the counter did not grow, as that of a copy.
    """
    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise PasskeyError from error
    return verified.new_sign_count
