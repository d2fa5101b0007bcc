"""What a migration would do, read from the files of its versions: without Alembic, and without changing anything."""

import ast
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class PlannedVersion(Struct, frozen=True, kw_only=True):
    """A version that a database does not have yet.

    Attributes:
        revision: Its number, e.g. ``0023``.
        summary: The first line of its file.
        replay: Why rows that are there need a replay afterwards (its constant ``REPLAY``); empty when they do not.
    """

    revision: str
    summary: str
    replay: str


def read_versions(folder: Path) -> list[PlannedVersion]:
    """Return every version, the oldest first: files ``NNNN_name.py`` in one line."""
    found: list[PlannedVersion] = []
    for path in sorted(folder.glob("[0-9]*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in module.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        summary = (ast.get_docstring(module) or "").partition("\n")[0]
        found.append(PlannedVersion(revision=path.name.partition("_")[0], summary=summary, replay=constants.get("REPLAY", "")))
    return found


def plan_text(database: str, versions: Sequence[PlannedVersion], stored: str | None) -> str:
    """Return what people read: the versions that ``migrate`` would run, and whether a replay is needed.

    Args:
        database: Its name.
        versions: All that this release has.
        stored: The revision of the database, ``None`` for an empty one.
    """
    if stored is not None and versions and stored > versions[-1].revision:
        return f"{database}: at {stored}, which is newer than this release's {versions[-1].revision}; nothing would run\n"
    missing = [one for one in versions if stored is None or one.revision > stored]
    at = f"at {stored}" if stored else "empty"
    if not missing:
        return f"{database}: {at}, up to date\n"
    lines = [f"{database}: {at}; {len(missing)} {'version' if len(missing) == 1 else 'versions'} would run, in one transaction"]
    lines += [f"  {one.revision}  {one.summary}" for one in missing]
    replays = [one for one in missing if one.replay] if stored else []  # an empty database has no rows to correct
    lines += [f"  {one.revision} needs a replay afterwards (ams replay): {one.replay}" for one in replays]
    if stored and not replays:
        lines.append("  no replay is needed")
    return "\n".join(lines) + "\n"
