"""What each migration does to the tables of a generation: run for those that exist, and again for each one that is made later.

A version module names it ``GENERATION_SQL``, with ``{schema}`` in place of the generation's name: in the module itself when it is short, else
read from a file with ``read_sql``.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import text

FOLDER = Path(__file__).parent


def read_sql(name: str) -> str:
    """The text of a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def migrate_generations(sql: str) -> None:
    """Run SQL for every generation that exists, as part of an alembic migration.

    Args:
        sql: Statements with ``{schema}`` in place of the generation's name.
    """
    for name in op.get_bind().execute(text("SELECT name FROM public.generations ORDER BY name")).scalars().all():
        run_script(sql.replace("{schema}", name))


def run_script(sql: str) -> None:
    """Run several statements at once, which only the driver itself takes."""
    adapted: Any = op.get_bind().connection.dbapi_connection  # SQLAlchemy's adapter of asyncpg's connection
    adapted.run_async(lambda connection: connection.execute(sql))  # pyright: ignore[reportUnknownLambdaType]  the driver is untyped


def all_generation_sql() -> Iterator[str]:
    """What makes a generation's tables: the ``GENERATION_SQL`` of every migration, in order."""
    for path in sorted((FOLDER / "versions").glob("[0-9]*.py")):
        module = import_module(f"{__package__}.versions.{path.stem}")
        if hasattr(module, "GENERATION_SQL"):
            yield module.GENERATION_SQL
