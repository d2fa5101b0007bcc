"""An OAuth 2.0 server with one grant: tokens for a client that proves its secret, and the keys that verify them."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER, AUDIENCE, KEY_ID = "https://id.example.com", "kafka", "k1"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class TokenServer:
    """Answers while the block runs.

    Attributes:
        subject: Whom tokens name.
        lifetime_seconds: Of tokens.
        requests: The forms that were posted with the right secret.
        status: Of answers to them.
    """

    def __init__(self, client: str = "ams", secret: str = "of the client") -> None:
        self.client, self.secret = client, secret
        self.subject, self.lifetime_seconds, self.status = client, 300, 200
        self.requests: list[dict[str, list[str]]] = []
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def write_keys(self, path: Path) -> None:
        """The public key as a set of JSON Web Keys."""
        public = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": KEY_ID, "alg": "RS256", "use": "sig", "n": number(public.n), "e": number(public.e)}
        path.write_text(json.dumps({"keys": [key]}))

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.subject,
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "jti": f"{len(self.requests)}",
        }
        signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}, claims))
        return f"{signed}.{encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                known = base64.b64encode(f"{server.client}:{server.secret}".encode()).decode()
                status, answer = 401, {"error": "invalid_client"}
                if self.headers["Authorization"] == f"Basic {known}" and form["grant_type"] == ["client_credentials"]:
                    server.requests.append(form)
                    status, answer = (
                        server.status,
                        {"access_token": server.token(), "expires_in": server.lifetime_seconds, "token_type": "Bearer"},
                    )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
