"""``ams login``: get a key with the scope ``read`` and keep it."""

import socket
import sys
from typing import Any

import click
import httpx
import msgspec

from ams.cli.credentials import Login, credentials_path, read_credentials, write_credentials
from ams.cli.platform import WRONG_USAGE, Platform, PlatformError, checked, endpoint_of, make_client
from ams.cli.reading import reporting


@click.command()
@click.option("--endpoint", help="The address of AMS. By default AMS_ENDPOINT, else that of the last login.")
@click.option("--user", help="Name or e-mail of the account. Asked for by default.")
@click.option("--project", help="Name or id of the project; needed when the account has several and nobody can be asked.")
@click.option("--with-key", is_flag=True, help="Read a key with the scope read from stdin instead of signing in.")
@reporting
def login(*, endpoint: str | None, user: str | None, project: str | None, with_key: bool) -> None:
    """Sign in once, and keep a key that may read one project for the other commands."""
    address = endpoint_of(endpoint)
    if with_key:
        key = click.prompt("API key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
        kept = Login(api_key=key, project_id=Platform(address, key).project_id)
    else:
        kept = _signed_in(address, user or click.prompt("Name or e-mail"), project)
    credentials = read_credentials()
    credentials.endpoint = address
    credentials.logins[address] = kept
    try:
        path = write_credentials(credentials)
    except OSError as error:
        raise PlatformError(f"{credentials_path()} cannot be written: {error.strerror}.") from error
    click.echo(f"The key for {kept.project_name or kept.project_id} at {address} is in {path}. Try: ams show latest")


def _signed_in(address: str, user: str, project: str | None) -> Login:
    """Make a key with a session that ends at once."""
    password = click.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with make_client(address) as http:
        http.headers["Content-Type"] = "application/json"

        def ask(method: str, path: str, body: Any = None) -> Any:
            content = None if body is None else msgspec.json.encode(body)
            answer: httpx.Response = checked(lambda: http.request(method, path, content=content), address)
            return answer.json() if answer.content else None

        session = ask("POST", "/api/auth/login", {"login": user, "password": password})
        if "access_token" not in session:
            session = ask("POST", "/api/auth/second-factor", {"token": session["second_factor_token"], "code": _code(session["methods"])})
        http.headers["Authorization"] = f"Bearer {session['access_token']}"
        chosen = _chosen(ask("GET", "/api/projects")["items"], project)
        name = f"ams login on {socket.gethostname()}"[:60]
        key = ask("POST", f"/api/projects/{chosen['project_id']}/keys", {"name": name, "scopes": ["read"]})["key"]
        checked(lambda: http.post("/api/auth/logout"), address)
    return Login(api_key=key, project_id=chosen["project_id"], project_name=chosen["name"])


def _code(methods: list[str]) -> str:
    """A code of the authenticator app, or a recovery code: a passkey needs a browser."""
    if not {"totp", "recovery_code"} & set(methods):
        raise PlatformError(
            "This account signs in with a passkey, which needs a browser. Create a key in the explorer and use: ams login --with-key"
        )
    return click.prompt("Code of the authenticator app, or a recovery code") if sys.stdin.isatty() else sys.stdin.readline().strip()


def _chosen(projects: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    if wanted is not None:
        found = [one for one in projects if wanted in {one["name"], one["project_id"]}]
        if len(found) != 1:
            raise PlatformError(f"There is no single project {wanted!r}. There are: {', '.join(one['name'] for one in projects)}.")
        return found[0]
    if not projects:
        raise PlatformError("This account has no project. Create one in the explorer.")
    if len(projects) == 1:
        return projects[0]
    if not sys.stdin.isatty():
        names = ", ".join(one["name"] for one in projects)
        sys.stderr.write(f"ams: The account has several projects ({names}). Choose one by --project.\n")
        raise SystemExit(WRONG_USAGE)
    return projects[int(click.prompt(_menu(projects), type=click.IntRange(1, len(projects)))) - 1]


def _menu(projects: list[dict[str, Any]]) -> str:
    return "\n".join(f"{number} {one['name']}" for number, one in enumerate(projects, 1)) + "\nProject"
