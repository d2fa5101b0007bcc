"""Second factors of test accounts: an authenticator app, and an authenticator for passkeys in software."""

import hashlib
import json
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct, field
from services.identity.tests.clients import Person, Server

from ams_identity import totp
from ams_kit.auth.encoding import decode_base64url, encode_base64url

ORIGIN = "http://localhost:8080"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def code_of(server: Server, secret: str) -> str:
    """The code that an authenticator app shows now."""
    return pyotp.TOTP(secret).at(int(server.clock()))


def add_app(server: Server, person: Person) -> tuple[str, list[str]]:
    """Add an authenticator app by the previous code, so that the current one is still unused. Returns its secret and the recovery codes."""
    secret = person.post("/api/users/me/factors/app").raise_for_status().json()["secret"]
    code = pyotp.TOTP(secret).at(int(server.clock()) - totp.STEP_SECONDS)
    return secret, person.post("/api/users/me/factors/app/confirm", {"code": code}).raise_for_status().json()["codes"]


class Authenticator(Struct):
    """A passkey of one account, which answers as a browser does (ES256, attestation ``none``)."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = b""
    user_handle: str = ""
    count: int = 0
    origin: str = ORIGIN
    flags: int = PRESENT | VERIFIED

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``."""
        self.credential_id = hashlib.sha256(options["challenge"].encode()).digest()
        self.user_handle = options["user"]["id"]
        point = self.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cose
        data = self._data(options["rp"]["id"], self.flags | ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client_data("webauthn.create", options["challenge"])
        return self._answer(
            {"clientDataJSON": encode_base64url(client), "attestationObject": encode_base64url(attestation), "transports": ["internal"]}
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``."""
        self.count += 1
        data = self._data(options["rpId"], self.flags)
        client = self._client_data("webauthn.get", options["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": encode_base64url(client),
                "authenticatorData": encode_base64url(data),
                "signature": encode_base64url(signature),
                "userHandle": self.user_handle,
            }
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        shown = encode_base64url(self.credential_id)
        return {
            "id": shown,
            "rawId": shown,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }


def add_passkey(person: Person, name: str = "laptop") -> Authenticator:
    """Add a passkey to an account."""
    authenticator = Authenticator()
    asked = person.post("/api/users/me/passkeys/options").raise_for_status().json()
    body = {"token": asked["token"], "name": name, "credential": authenticator.create(asked["options"])}
    person.post("/api/users/me/passkeys", body).raise_for_status()
    return authenticator


def handle_as_text(authenticator: Authenticator) -> str:
    """The account that an authenticator stores with its passkey."""
    return decode_base64url(authenticator.user_handle).decode()
