"""The group ``ams``: the SDK's own commands, and those of installed packages (entry-point group ``ams.commands``)."""

import logging
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from time import perf_counter

import click

import ams as sdk
from ams.settings import ENDPOINT_DEFAULT
from ams.version import __version__

GROUP = "ams.commands"
OWN_SECTION = "Your agent"
PLATFORM_SECTION = "The platform on this machine"
DEVELOPMENT_SECTION = "Development"
SECTIONS = (OWN_SECTION, PLATFORM_SECTION, DEVELOPMENT_SECTION)
CHECK_SECONDS = 10.0


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
    def tell() -> None:
        click.echo(f"ams {name} cannot be loaded: {reason}", err=True)
        sys.exit(1)

    return click.Command(name, callback=tell, help=f"(cannot be loaded: {reason})")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "-V", "--version", prog_name="ams")
def ams() -> None:
    """AMS shows what AI agents do while they do it."""


@ams.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@ams.command()
@click.option("--endpoint", envvar="AMS_ENDPOINT", default=ENDPOINT_DEFAULT, show_default=True, show_envvar=True, help="Where AMS is.")
@click.option("--api-key", envvar="AMS_API_KEY", show_envvar=True, help="A project's API key.")
def check(endpoint: str, api_key: str | None) -> None:
    """Send one test task and say what happened."""
    if not api_key:
        click.echo(f"No API key. Make one in the explorer ({endpoint}) under API keys, then: export AMS_API_KEY=ams_...", err=True)
        sys.exit(2)
    if not sdk.init(api_key, endpoint=endpoint, announce=False):
        sys.exit(2)
    logging.getLogger("ams").disabled = True  # what it would say is said below, once
    started = perf_counter()
    with sdk.task("ams check", kind="check", tags={"from": "ams check"}) as task:
        with sdk.step("hello", type="tool") as step:
            step.input = {"python": sys.version.split()[0], "pid": os.getpid()}
            step.output = "AMS can hear this machine."
        task.output = "All is well."
    result = sdk.flush(CHECK_SECONDS)
    milliseconds = round((perf_counter() - started) * 1000)
    if result.complete:
        click.echo(f"AMS took all {result.sent} events in {milliseconds} ms. Look: {endpoint.rstrip('/')}/t/{task.task_id}")
        return
    if result.rejected:
        click.echo(
            f"AMS refused {result.rejected} of {result.rejected + result.sent} events. Do the SDK ({__version__}) and the platform fit?",
            err=True,
        )
    else:
        click.echo(f"Nothing arrived: {result.reason or 'no answer within ' + str(CHECK_SECONDS) + ' s'}", err=True)
    sdk.shutdown(timeout_seconds=0)
    sys.exit(1)
