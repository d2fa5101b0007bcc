"""Names and types of columns, as the shared table definitions have them, for COPY and upserts."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

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


def staging_ddl(table: Table) -> str:
    """A temporary table of the same columns, emptied at every commit, made once per connection."""
    columns = ", ".join(f"{quoted(column.name)} {column.type.compile(dialect=_DIALECT)}" for column in table.columns)
    return f"CREATE TEMPORARY TABLE IF NOT EXISTS {table.name}_staging ({columns}) ON COMMIT DELETE ROWS"


def upsert(table: Table, *, where: str = "") -> str:
    """Everything in the staging table into the table; a row that is there takes all values of the new one (if ``where`` holds)."""
    keys = {column.name for column in table.primary_key.columns}
    changes = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in names(table) if name not in keys)
    return (
        f"INSERT INTO {table.name} ({name_list(table)}) SELECT {name_list(table)} FROM {table.name}_staging "  # noqa: S608  names of our own tables
        f"ON CONFLICT ({key_list(table)}) DO UPDATE SET {changes}{f' WHERE {where}' if where else ''}"
    )
