"""``ams key``."""

import sys
from pathlib import Path

import click

from ams_contracts.claims import Scope
from ams_local.commands.options import data_option
from ams_local.commands.running import running_identity
from ams_local.internal import InternalError

USERNAME = "local"


@click.command()
@click.option("--name", default="made by ams key", show_default=True, help="What the key is called in the explorer.")
@click.option("--user", default=USERNAME, show_default=True, help="The local account that it belongs to; made when there is none.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=[Scope.INGEST.value],
    show_default=True,
    help="What the key may do: send steps (ingest), read tasks (read). Repeat it for both.",
)
@click.option("--link", is_flag=True, help="Print a link that signs in as that account, once, instead.")
@data_option
def key(name: str, user: str, scopes: tuple[str, ...], link: bool, data: Path) -> None:
    """Make an API key without a browser. The key is the only thing that goes to stdout."""
    client, known = running_identity(data)
    try:
        account = client.account(user)
        if link:
            click.echo(f"{known.public_url}/signin?code={client.signin_code(account.user_id)}")
            return
        click.echo(client.key(account.project_id, name, scopes))
    except InternalError as error:
        click.echo(f"no key could be made: {error}", err=True)
        sys.exit(1)
    click.echo(f"key of {user}'s project {account.project_id}; use it with AMS_ENDPOINT={known.public_url} AMS_API_KEY=...", err=True)
