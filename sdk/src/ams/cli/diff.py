"""``ams diff A B``: what differs between two tasks."""

import sys
from functools import partial

import click
import msgspec
from rich.console import Console
from rich.text import Text

from ams.cli.platform import WRONG_USAGE, Platform, connection_options
from ams.cli.reading import as_json, find_task, headline, read_steps, reporting
from ams_contracts.human import plural
from ams_contracts.task_diff import Difference, compare
from ams_contracts.task_tree import facts_of

DIFFER = 1


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object.")
@connection_options
@partial(reporting, code=WRONG_USAGE)
def diff(*, a: str, b: str, json_lines: bool, endpoint: str | None, api_key: str | None) -> None:
    """Compare two tasks step by step. The exit code is 0 when their steps are the same, 1 when they differ, 2 when there is trouble."""
    platform = Platform.open(endpoint, api_key)
    rows = [find_task(platform, name) for name in (a, b)]
    found = compare(*(read_steps(platform, row) for row in rows))
    if json_lines:
        tasks = {name: msgspec.structs.asdict(row) for name, row in zip("ab", rows, strict=True)}
        sys.stdout.write(as_json({**tasks, "matched": found.matched, "differences": found.differences}) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        for sign, row in zip("-+", rows, strict=True):
            console.print(Text(f"{sign} {headline(row)}", style="b"))
        for difference in found.differences:
            for line, style in _lines(difference):
                console.print(Text(line, style=style))
        console.print(Text(f"{plural(found.matched, 'matching step')}, {plural(len(found.differences), 'difference')}", style="dim"))
    sys.exit(DIFFER if found.differences else 0)


def _lines(one: Difference) -> list[tuple[str, str]]:
    below = f" (+{one.below} below)" if one.below else ""
    if one.a is not None and one.b is not None:
        return [
            (f"- {one.path}: {', '.join(facts_of(one.a)) or 'ok'}", "red"),
            (f"+ {one.path}: {', '.join(facts_of(one.b)) or 'ok'}", "green"),
        ]
    step, sign, style = (one.a, "-", "red") if one.a is not None else (one.b, "+", "green")
    facts = ", ".join(facts_of(step)) if step is not None else ""
    return [(f"{sign} {one.path}{f': {facts}' if facts else ''}{below}", style)]
