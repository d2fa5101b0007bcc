"""A new column of steps or tasks takes two edits on the server, in the contracts and a migration: the rest follows.

The test makes them in a copy of the two packages, on a field that does not exist, and uses it from the log to REST.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import step_id, task_id
from tests.databases import temporary_database

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("made_up_column.py")
CONTRACT = (
    ("    tool_name: Word | None = None\n", "    region: Word | None = None\n"),
    (
        "    # no column of their own\n",
        """    Field(
        *("region", str | None, "state.document.region", "Where the model ran."),
        public=True, searched=True, filters=(Filter(name="region"),), skeleton=Skeleton(name="region", values="regions"),
    ),
""",
    ),
    ("    parent_task_id: TaskId | None = None\n", "    region: Word | None = None\n"),
    (
        "    # totals, kept by difference\n",
        """    Field(
        *("region", str | None, "document.region", "Where it ran."), root="document.region",
        public=True, searched=True, filters=(Filter(name="region"),),
    ),
""",
    ),
)
"""Lines of ``documents.py``, and what is written above each of them."""

MIGRATION = '''"""The region of a step, and of a task."""

from ams_trace_ingest.migrations.generation_sql import migrate_generations

revision = "{revision}"
down_revision = "{down_revision}"
branch_labels = None
depends_on = None

GENERATION_SQL = """
ALTER TABLE {{schema}}.steps ADD COLUMN region text;
ALTER TABLE {{schema}}.tasks ADD COLUMN region text;
"""


def upgrade() -> None:
    migrate_generations(GENERATION_SQL)
'''


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A folder with the contracts and trace-ingest, edited as a developer would."""
    for package in (ROOT / "contracts" / "src" / "ams_contracts", ROOT / "services" / "trace-ingest" / "src" / "ams_trace_ingest"):
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    contract = tmp_path / "ams_contracts" / "documents.py"
    text = contract.read_text(encoding="utf-8")
    for line, added in CONTRACT:
        assert text.count(line) == 1, line
        text = text.replace(line, added + line)
    contract.write_text(text, encoding="utf-8")
    versions = tmp_path / "ams_trace_ingest" / "migrations" / "versions"
    newest = max(path.name for path in versions.glob("[0-9]*.py")).split("_")[0]
    revision = f"{int(newest) + 1:04d}"
    (versions / f"{revision}_region.py").write_text(MIGRATION.format(revision=revision, down_revision=newest), encoding="utf-8")
    return tmp_path


@pytest.fixture
def database(postgres_admin_url: str) -> Iterator[str]:
    with temporary_database(postgres_admin_url, "column") as url:
        yield url


def run(edited: Path, *arguments: str, **environment: str) -> str:
    path = os.pathsep.join([str(edited), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_column_takes_a_contract_and_a_migration_and_everything_else_follows(edited: Path, database: str) -> None:
    run(edited, "-m", "ams_trace_ingest", "migrate", AMS_DATABASE_URL=database)

    shown: dict[str, Any] = json.loads(run(edited, str(SCRIPT), database))

    regions = {step_id(2): "eu", step_id(3): "asia", step_id(4): None}
    assert shown == {
        "documents": regions,
        "rows": regions,
        "skeleton": regions,
        "filtered": [step_id(3)],
        "searched": [step_id(3)],
        "tasks": {task_id(1): "eu", task_id(5): "mars", task_id(6): None},
        "filtered_tasks": [task_id(5)],
        "searched_tasks": [task_id(1)],
        "openapi": {"Step": True, "Task": True, "Columns": True},
        "reference": True,
    }
