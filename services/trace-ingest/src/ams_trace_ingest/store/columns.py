"""Names and types of columns, as the shared table definitions have them, for COPY and upserts."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects' constructors untyped


def names(table: Table) -> list[str]:
    """The columns in order."""
    return [column.name for column in table.columns]


def quoted(name: str) -> str:
    """A column's name as SQL; some are reserved words."""
    return f'"{name}"' if name in {"partition", "offset", "index"} else name


def name_list(table: Table) -> str:
    """All columns for an INSERT or SELECT."""
    return ", ".join(quoted(name) for name in names(table))


def key_list(table: Table) -> str:
    """The primary key."""
    return ", ".join(quoted(column.name) for column in table.primary_key.columns)


def array_literal(words: Sequence[str]) -> str:
    """A list as Postgres writes it, for a parameter that the statement casts.

    The driver looks at each element of an array for more arrays in it: 1 us an element, and 3 for the array, however empty.
    """
    if not words:
        return "{}"
    joined = '","'.join(words)
    if "\\" in joined or joined.count('"') != 2 * (len(words) - 1):
        lines = "\n".join(words)
        if lines.count("\n") == len(words) - 1:  # JSON: three passes over all words, not two over each
            joined = lines.replace("\\", "\\\\").replace('"', '\\"').replace("\n", '","')
        else:
            joined = '","'.join(word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return f'{{"{joined}"}}'


def array_literals(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of words, not none, as one array per column: ``[(a, b), (c, d)] -> {a,c}, {b,d}``."""
    return [array_literal(column) for column in zip(*rows, strict=True)]


def staging_ddl(table: Table) -> str:
    """A temporary table of the same columns (arrays as text), emptied at every commit, made once per connection."""
    columns = ", ".join(f"{quoted(column.name)} {'text' if _is_array(column) else _type(column)}" for column in table.columns)
    return f"CREATE TEMPORARY TABLE IF NOT EXISTS {table.name}_staging ({columns}) ON COMMIT DELETE ROWS"


def _type(column: Column[Any]) -> str:
    return column.type.compile(dialect=_DIALECT)


def _is_array(column: Column[Any]) -> bool:
    return isinstance(column.type, ARRAY)


def upsert(table: Table, *, where: str = "", only: Sequence[str] | None = None) -> str:
    """Everything in the staging table into the table; a row that is there takes all values of the new one (if ``where`` holds).

    Args:
        table: Has a staging table.
        where: Of the rows that are there.
        only: The columns; the others keep their value or take their DEFAULT.
    """
    chosen = [column for column in table.columns if only is None or column.name in only]
    keys = {column.name for column in table.primary_key.columns}
    changes = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in (column.name for column in chosen) if name not in keys)
    values = ", ".join(f"{quoted(column.name)}{f'::{_type(column)}' if _is_array(column) else ''}" for column in chosen)
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted(column.name) for column in chosen)}) SELECT {values} FROM {table.name}_staging "
        f"ON CONFLICT ({key_list(table)}) DO UPDATE SET {changes}{f' WHERE {where}' if where else ''}"
    )
