"""The group ``ams``: the SDK's own commands, and those of installed packages (entry-point group ``ams.commands``)."""

import sys
from importlib.metadata import EntryPoint, entry_points

import click

from ams.cli.check import check as run_check
from ams.settings import ENDPOINT_DEFAULT
from ams.version import __version__

GROUP = "ams.commands"
OWN_SECTION = "Your agent"
PLATFORM_SECTION = "The platform on this machine"
DEVELOPMENT_SECTION = "Development"
SECTIONS = (OWN_SECTION, PLATFORM_SECTION, DEVELOPMENT_SECTION)


class Commands(click.Group):
    """A group whose commands come from entry points; each is imported when it is called, so that a slow one slows only itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _offered().get(cmd_name)
        return _loaded(entry) if entry is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        offered = _offered()
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows[_section(offered.get(name))].append((name, command.get_short_help_str(limit=90)))
        for section, lines in rows.items():
            if lines:
                with formatter.section(section):
                    formatter.write_dl(lines)


def _offered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _section(entry: EntryPoint | None) -> str:
    if entry is None:
        return OWN_SECTION
    return DEVELOPMENT_SECTION if entry.module.endswith(".development") else PLATFORM_SECTION


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:  # noqa: BLE001 - a broken package must not take the other commands with it
        return _broken(entry.name, f"{type(error).__name__}: {error}")
    return command if isinstance(command, click.Command) else _broken(entry.name, f"{entry.value} is no click command")


def _broken(name: str, reason: str) -> click.Command:
    def report() -> None:
        click.echo(f"ams {name} cannot be loaded: {reason}", err=True)
        sys.exit(1)

    return click.Command(name, callback=report, help=f"(cannot be loaded: {reason})")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "-V", "--version", prog_name="ams")
def ams() -> None:
    """AMS shows what AI agents do while they do it."""


@ams.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@ams.command()
@click.option(
    "--endpoint", envvar="AMS_ENDPOINT", default=ENDPOINT_DEFAULT, show_default=True, show_envvar=True, help="The address of AMS."
)
@click.option("--api-key", envvar="AMS_API_KEY", show_envvar=True, help="A project's API key.")
def check(endpoint: str, api_key: str | None) -> None:
    """Send one test task and say what happened."""
    sys.exit(run_check(endpoint, api_key))
