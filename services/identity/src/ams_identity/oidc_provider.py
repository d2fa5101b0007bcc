"""A client of one OpenID provider: discovery, keys, the exchange of a code for tokens, userinfo. Each answer is bounded in time and size; redirects are not followed."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec
import structlog
from joserfc.jwk import KeySet
from msgspec import Struct

from ams_identity.oidc_settings import Issuer, is_secure_address
from ams_identity.oidc_tokens import Expected, IdTokenError, Person, key_id_of, read_id_token, read_keys, read_person
from ams_kit.auth.encoding import encode_base64url
from ams_kit.errors import ConflictError, UnauthenticatedError, UnavailableError

REQUEST_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 524_288
SIGN_OUT_SECONDS_MAX = 2.0  # that signing out waits for the configuration, when it is not known
CONFIGURATION_SECONDS = 3_600.0  # how long the discovered configuration and the keys are used
KEYS_AGAIN_SECONDS = 10.0  # an unknown key is looked for at most once in this time
FAILURE_SECONDS = 3.0  # a provider that does not answer is asked again after this time
END_SESSION_CHARS_MAX = 8_000  # of an address, which servers limit
DISCOVERY_PATH = "/.well-known/openid-configuration"

logger = structlog.get_logger(__name__)


class Metadata(Struct, frozen=True, kw_only=True):
    """What a provider says about itself (OpenID Connect Discovery, RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: ["client_secret_basic"])


class _Tokens(Struct, frozen=True, kw_only=True):
    id_token: str
    access_token: str | None = None


class _Refusal(Struct, frozen=True):
    error: str = ""


class SignedInPerson(Struct, frozen=True, kw_only=True):
    """A person whom a provider has signed in, and the ID token that says so."""

    person: Person
    id_token: str


_metadata = msgspec.json.Decoder(Metadata)
_tokens = msgspec.json.Decoder(_Tokens)
_refusal = msgspec.json.Decoder(_Refusal)
_claims = msgspec.json.Decoder(dict[str, Any])


class _AnswerError(Exception):
    """An answer that cannot be used. The text is for the log."""


class Provider:
    """One provider.

    Args:
        issuer: Its settings.
        redirect_uri: The one address to which it sends people back.
        http: Does not follow redirects.
        now_s: The clock that tokens are judged by.
        monotonic: The clock of the caches.
    """

    def __init__(
        self,
        issuer: Issuer,
        redirect_uri: str,
        http: httpx.AsyncClient,
        now_s: Callable[[], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = issuer
        self._redirect_uri = redirect_uri
        self._http = http
        self._now_s = now_s
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._found: tuple[Metadata, KeySet] | None = None
        self._found_at = 0.0
        self._failed_at: float | None = None

    async def authorization_url(self, *, state: str, nonce: str, verifier: str, more: Mapping[str, str]) -> str:
        """The address at which a person signs in.

        Raises:
            UnavailableError: provider_unavailable.
        """
        endpoint = (await self.configuration())[0].authorization_endpoint
        challenge = encode_base64url(hashlib.sha256(verifier.encode()).digest())
        values = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **more,
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(values)}"

    async def is_sender(self, iss: str | None) -> bool:
        """Whether an answer in the browser comes from this provider (RFC 9207). Providers that announce ``iss`` always send it."""
        if iss is not None:
            return iss == self.settings.issuer
        return not (await self.configuration())[0].authorization_response_iss_parameter_supported

    async def exchange(self, *, code: str, verifier: str, nonce: str) -> SignedInPerson:
        """Exchange a code for the verified statements about a person.

        Raises:
            UnauthenticatedError: The code was used, has expired or is another's; or the token is not acceptable.
            ConflictError: clock_skew.
            UnavailableError: provider_unavailable | provider_refused.
        """
        metadata, _ = await self.configuration()
        tokens = await self._tokens(metadata, code, verifier)
        keys = await self._keys_for(tokens.id_token)
        expected = Expected(
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
            access_token=tokens.access_token,
            now_s=self._now_s(),
        )
        try:
            claims = read_id_token(tokens.id_token, keys, expected)
        except IdTokenError as error:
            raise self._refused(error) from error
        complete = await self._completed(metadata, claims, tokens.access_token)
        return SignedInPerson(person=read_person(complete, self.settings.groups_claim), id_token=tokens.id_token)

    async def end_session_url(self, id_token: str | None, back: str) -> str | None:
        """The address at which the session at the provider ends (RP-initiated logout); ``None`` where it has none, or does not say so in time."""
        if not self.settings.sign_out:
            return None
        try:
            async with asyncio.timeout(SIGN_OUT_SECONDS_MAX):
                endpoint = (await self.configuration())[0].end_session_endpoint
        except (UnavailableError, TimeoutError):
            return None
        if endpoint is None:
            return None
        values = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        start = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}"
        hinted = start + urlencode({**values, **({"id_token_hint": id_token} if id_token else {})})
        return hinted if len(hinted) <= END_SESSION_CHARS_MAX else start + urlencode(values)

    async def configuration(self, *, older_than_seconds: float = CONFIGURATION_SECONDS) -> tuple[Metadata, KeySet]:
        """Metadata and keys: those of the last hour, or new ones. Requests at the same time share one look-up.

        Raises:
            UnavailableError: provider_unavailable.
        """
        async with self._lock:
            now = self._monotonic()
            if self._found is not None and now - self._found_at < older_than_seconds:
                return self._found
            if self._failed_at is not None and now - self._failed_at < FAILURE_SECONDS:
                raise self._unavailable()
            try:
                metadata = await self._discover()
                keys = read_keys(await self._get(metadata.jwks_uri))
            except (_AnswerError, IdTokenError) as error:
                self._failed_at = self._monotonic()
                raise self._failed("its configuration cannot be read", error) from error
            self._found, self._found_at, self._failed_at = (metadata, keys), self._monotonic(), None
            return self._found

    async def _discover(self) -> Metadata:
        document = await self._get(self.settings.issuer.rstrip("/") + DISCOVERY_PATH)
        try:
            found = _metadata.decode(document)
        except msgspec.DecodeError as error:
            raise _AnswerError("the configuration is not what OpenID Connect Discovery describes") from error
        if found.issuer != self.settings.issuer:
            raise _AnswerError("the configuration names another issuer")
        plain = self.settings.issuer.startswith("http:")
        addresses = [
            found.authorization_endpoint,
            found.token_endpoint,
            found.jwks_uri,
            found.userinfo_endpoint,
            found.end_session_endpoint,
        ]
        for address in addresses:
            if address is not None and not (is_secure_address(address, query=True) and (plain or address.startswith("https:"))):
                raise _AnswerError("the configuration names an address without https")
        return found

    async def _keys_for(self, token: str) -> KeySet:
        """The keys, looked up again when the token names one that is not among them: the provider rotated them."""
        try:
            kid = key_id_of(token)
        except IdTokenError as error:
            raise self._refused(error) from error
        _, keys = await self.configuration()
        if kid is None or any(key.kid == kid for key in keys):
            return keys
        return (await self.configuration(older_than_seconds=KEYS_AGAIN_SECONDS))[1]

    async def _tokens(self, metadata: Metadata, code: str, verifier: str) -> _Tokens:
        values = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri, "code_verifier": verifier}
        headers: dict[str, str] = {}
        client_id, secret = self.settings.client_id, self.settings.client_secret
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            values |= {"client_id": client_id, **({"client_secret": secret} if secret else {})}
        try:
            status, body = await self._ask("POST", metadata.token_endpoint, data=values, headers=headers)
            if status == HTTPStatus.OK:
                return _tokens.decode(body)
        except (_AnswerError, msgspec.DecodeError) as error:
            raise self._failed("the code was not exchanged", error) from error
        raise self._refusal(status, body)

    def _refusal(self, status: int, body: bytes) -> Exception:
        try:
            error = _refusal.decode(body).error
        except msgspec.DecodeError:
            error = ""
        known = error if error.isascii() and error.replace("_", "").isalpha() else ""
        logger.warning("an OpenID provider refused a code", provider=self.settings.id, status=status, error=known[:60])
        if known == "invalid_grant":
            return UnauthenticatedError("This sign-in took too long, or was completed already. Sign in again.", code="sign_in_expired")
        return UnavailableError(
            f"{self.settings.name} does not accept this installation as its client. Ask the administrator to check the client's id and secret.",
            retry_after_seconds=60,
            code="provider_refused",
        )

    async def _completed(self, metadata: Metadata, claims: dict[str, Any], access_token: str | None) -> dict[str, Any]:
        """The claims, with what only the userinfo has: some providers keep the ID token small."""
        wanted = {"email", self.settings.groups_claim} if self.settings.roles else {"email"}
        if wanted <= claims.keys() or metadata.userinfo_endpoint is None or access_token is None:
            return claims
        try:
            body = await self._get(metadata.userinfo_endpoint, Authorization=f"Bearer {access_token}")
            more = _claims.decode(body)
        except (_AnswerError, msgspec.DecodeError) as error:
            raise self._failed("the userinfo cannot be read", error) from error
        if more.get("sub") != claims["sub"]:
            raise self._refused(IdTokenError("the userinfo is about another person"))
        return {**more, **claims}

    async def _get(self, address: str, **headers: str) -> bytes:
        status, body = await self._ask("GET", address, headers=headers)
        if status != HTTPStatus.OK:
            raise _AnswerError(f"status {status}")
        return body

    async def _ask(
        self, method: Literal["GET", "POST"], address: str, *, headers: Mapping[str, str], data: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        body = bytearray()
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX), self._http.stream(method, address, headers=sent, data=data) as answer:
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise _AnswerError("the answer is too large")
                return answer.status_code, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise _AnswerError(type(error).__name__) from error

    def _failed(self, what: str, error: Exception) -> UnavailableError:
        logger.warning("an OpenID provider failed", provider=self.settings.id, what=what, reason=str(error)[:200])
        return self._unavailable()

    def _unavailable(self) -> UnavailableError:
        return UnavailableError(
            f"{self.settings.name} does not answer as it should. Try again in a minute, or sign in another way.",
            retry_after_seconds=10,
            code="provider_unavailable",
        )

    def _refused(self, error: IdTokenError) -> UnauthenticatedError | ConflictError:
        logger.warning("an ID token was refused", provider=self.settings.id, reason=error.detail)
        if error.reason == "clock":
            return ConflictError(
                f"The clocks of {self.settings.name} and of this installation differ, or the answer is too old. Sign in again; if that does not help, ask the administrator to check the time.",
                code="clock_skew",
            )
        return UnauthenticatedError(
            f"The answer of {self.settings.name} is not valid for this sign-in. Sign in again.", code="invalid_provider_answer"
        )
