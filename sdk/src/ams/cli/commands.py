"""The group ``ams``: the SDK's own commands, and those of installed packages (entry-point group ``ams.commands``).

A command is imported when it is called, so that a slow one slows only itself, and one that needs a package which is not installed says which.
"""

import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import click
from click.shell_completion import get_completion_class

from ams.cli.check import check as run_check
from ams.settings import ENDPOINT_DEFAULT
from ams.version import __version__

GROUP = "ams.commands"
OWN_SECTION = "Your agent"
PLATFORM_SECTION = "The platform on this machine"
DEVELOPMENT_SECTION = "Development"
OWN_COMMANDS = {
    "flush": ("ams.cli.spool:flush", "Send the events that programs left in the spool."),
    "spool": ("ams.cli.spool:spool", "List the events that wait on disk."),
    "cassette": ("ams.cli.cassette:cassette", "Write the model and tool calls of a task to a file for tests."),
    "diff": ("ams.cli.diff:diff", "Compare two tasks step by step."),
    "doctor": ("ams.cli.doctor:doctor", "Check address, key, clock, versions, instrumentations and spool, and say what to do."),
    "export": ("ams.cli.transfer:export_task", "Write a task to a file."),
    "import": ("ams.cli.transfer:import_file", "Import an archive or a file of OTLP/JSON lines."),
    "login": ("ams.cli.login:login", "Sign in once, and keep a key that may read one project."),
    "run": ("ams.cli.run:run", "Run a program with every installed instrumentation: ams run -- python agent.py"),
    "show": ("ams.cli.show:show", "Show a task as a tree with times, tokens and cost."),
    "tail": ("ams.cli.tail:tail", "Print steps as they end, live, filtered by a query."),
    "mcp": ("ams.cli.mcp:mcp", "Serve the platform's tools to a coding agent, over stdin and stdout."),
}
"""The SDK's commands with a module of their own: where each is, and what the list of commands says of it."""

EXTRAS = {"mcp": "mcp", "mcp_types": "mcp", "httpx2": "mcp", "rich": "cli", "websockets": "cli"}
"""Packages that a command may lack, and the extra that brings each."""

SECTIONS = (OWN_SECTION, PLATFORM_SECTION, DEVELOPMENT_SECTION)


class Commands(click.Group):
    """A group of commands in modules and entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*sorted([*super().list_commands(ctx), *OWN_COMMANDS]), *sorted(_offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        if cmd_name in OWN_COMMANDS:
            return _own(cmd_name)
        entry = _offered().get(cmd_name)
        return _loaded(entry) if entry is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        offered = _offered()
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for name in self.list_commands(ctx):
            if name in OWN_COMMANDS:
                rows[OWN_SECTION].append((name, OWN_COMMANDS[name][1]))
                continue
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


def _own(name: str) -> click.Command:
    try:
        module, _, attribute = OWN_COMMANDS[name][0].partition(":")
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        return _broken(name, f"it needs {package}. Install it with: pip install 'ams-tracing[{EXTRAS[package]}]'")


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:  # noqa: BLE001 - a broken package must not take the other commands with it
        return _broken(entry.name, f"{type(error).__name__}: {error}")
    return command if isinstance(command, click.Command) else _broken(entry.name, f"{entry.value} is no click command")


def _broken(name: str, reason: str) -> click.Command:
    def report(arguments: tuple[str, ...]) -> None:
        del arguments
        click.echo(f"ams {name} cannot be loaded: {reason}", err=True)
        sys.exit(1)

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    options = {"ignore_unknown_options": True}  # the reason matters more than what was asked for
    return click.Command(name, callback=report, params=[anything], context_settings=options, help=f"(cannot be loaded: {reason})")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "-V", "--version", prog_name="ams")
def ams() -> None:
    """AMS shows what AI agents do while they do it."""


@ams.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@ams.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, such as: eval "$(ams completion bash)"."""
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(ams, {}, "ams", "_AMS_COMPLETE").source())


@ams.command()
@click.option(
    "--endpoint", envvar="AMS_ENDPOINT", default=ENDPOINT_DEFAULT, show_default=True, show_envvar=True, help="The address of AMS."
)
@click.option("--api-key", envvar="AMS_API_KEY", show_envvar=True, help="A project's API key.")
def check(endpoint: str, api_key: str | None) -> None:
    """Send one test task and say what happened."""
    sys.exit(run_check(endpoint, api_key))
