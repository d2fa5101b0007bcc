"""``ams show TASK``: the tree of a task."""

import sys

import click
import msgspec
from rich.console import Console
from rich.text import Text

from ams.cli.platform import Platform, PlatformError, connection_options
from ams.cli.reading import as_json, find_task, headline, read_steps, reporting
from ams_contracts.task_tree import as_json as steps_of
from ams_contracts.task_tree import outline

CHARACTERS = 20_000  # some two hundred lines
ALL_CHARACTERS = 100_000_000


@click.command()
@click.argument("task")
@click.option("--under", help="Only what is below this step (16 hex digits).")
@click.option("--all", "everything", is_flag=True, help="Every step, however many.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object: the task and its steps.")
@connection_options
@reporting
def show(*, task: str, under: str | None, everything: bool, json_lines: bool, endpoint: str | None, api_key: str | None) -> None:
    """Show a task as a tree with times, tokens and cost. TASK is an id, the address of a page, or 'latest'."""
    platform = Platform.open(endpoint, api_key)
    row = find_task(platform, task)
    tree = read_steps(platform, row)
    if json_lines:
        sys.stdout.write(as_json({"task": msgspec.structs.asdict(row), "complete": tree.complete, "steps": steps_of(tree)}) + "\n")
        return
    index = None
    if under is not None:
        index = tree.index_of(under.lower())
        if index is None:
            raise PlatformError(f"The step {under!r} is not in this task.")
    many = len(tree.steps) + 1
    shown = outline(
        tree,
        characters_max=ALL_CHARACTERS if everything else CHARACTERS,
        under=index,
        depth_max=many,
        **({"children_max": many} if everything else {}),
    )
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(headline(row), style="b"))
    if row.error is not None:
        console.print(Text(": ".join(part for part in (row.error.type, row.error.message) if part), style="red"))
    for line in shown.lines:
        console.print(styled(line))
    if shown.shown < shown.total:
        console.print(Text(f"{shown.total - shown.shown} more steps: --under STEP opens one, --all shows them all", style="dim"))
    if not tree.complete:
        console.print(Text(f"These are the first {len(tree.steps)} of {row.steps} steps.", style="dim"))
    console.print(Text(platform.task_url(row.task_id), style="dim"))


def styled(line: str) -> Text:
    """A line of an outline, with its failure in red and its id dim."""
    text = Text(line)
    text.highlight_regex(r"\b(ERROR|LOST)\b", "b red")
    text.highlight_regex(r"\[[0-9a-f]{16}\]", "dim")
    text.highlight_regex(r"^\s*\w+(?= )", "cyan")
    return text
