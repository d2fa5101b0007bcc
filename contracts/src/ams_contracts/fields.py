"""What a field of a step or a task is: one declaration, from which everything that stores, shows or searches it is derived.

``documents.STEP_FIELDS`` and ``documents.TASK_FIELDS`` are the two tables. From them come the SQLAlchemy tables (``tables``), the order of
COPY and the encoding and decoding of rows (trace-ingest ``store``), the public rows (``views``), the columns of a skeleton, the fields of the
query language and their reference page (trace-query), and the test of the migrated database.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import EnumMeta, StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

SqlType = Literal["text", "bigint", "integer", "smallint", "boolean", "date", "jsonb", "text[]"]
FilterKind = Literal["text", "enum", "id", "contains", "tag", "word_of", "count", "sum", "duration", "money", "present"]

FILTER_VALUES: dict[FilterKind, str] = {
    "text": "text",
    "enum": "one of",
    "id": "hex digits",
    "contains": "part of the text, in any case",
    "tag": "text",
    "word_of": "one of the words",
    "count": "count",
    "sum": "count",
    "duration": "duration",
    "money": "cost",
    "present": "`true` or `false`",
}
"""How a value of each kind is written, for people: an ``enum`` is followed by its members, an ``id`` follows its number of digits."""


class Filter(Struct, frozen=True, kw_only=True):
    """A field of the query language. Fields of one table may share a filter: it then looks in all their columns, or adds them up (``sum``).

    Attributes:
        name: As it is written in a query.
        kind: How a value is read and compared. Null: by the type and the unit of the column.
        digits: Of an id, hexadecimal.
        indexed: An index in the order of the list answers an equality.
        indexed_from: Rows with at least this number are in an index of their own (``outlier indexes``).
        known_by: A column that is above 0 where the value is known; null: the value is known where it is not null.
    """

    name: str
    kind: FilterKind | None = None
    digits: int = 0
    indexed: bool = False
    indexed_from: int | None = None
    known_by: str | None = None


class Skeleton(Struct, frozen=True, kw_only=True):
    """A column of a task's skeleton.

    Attributes:
        name: Of the column.
        values: Of the list of distinct values, when the column holds indexes into one. Text needs it, numbers have none.
        relative: The column holds microseconds since ``base_us``.
        or_else: A field whose value counts where this one has none.
        default: The number where neither has one; null: null.
    """

    name: str
    values: str | None = None
    relative: bool = False
    or_else: str | None = None
    default: int | None = None


class Field(Struct, frozen=True):
    """One field of a step or a task.

    Attributes:
        name: Of the column, and in public rows.
        type: In Python; ``| None`` when it may be unknown.
        path: Where its value comes from (``state.document.tool_name``); null when the projector computes it. On the way anything may be null.
        root: Of a task without a document of its own: where the value comes from in the state of its root step.
        about: What it means, for people: the description in published schemas.
        sql: Type of the column; null: by ``type``.
        key: Part of the primary key; other columns take the new value when a row is written again.
        nullable: The column is null where the value is empty. Null: by ``type``.
        absent: The value where the path ends early, such as the name of a step without a document.
        in_rest: Kept in the JSON column ``rest`` and not in a column of its own: never filtered, needs no migration.
        copy_default: The column's DEFAULT is ``absent``, so that COPY of new rows leaves it out where it is that.
        updated_apart: The projector writes it by an UPDATE of its own: COPY and upserts leave it out, and its DEFAULT is ``absent``.
        public: Shown in REST rows and in ``ams.tasks.v1``.
        filters: Names under which the query language knows it.
        searched: Free words of a query are looked for in it.
        sortable: A list is in its order (descending), by an index of (project_id, this, ...).
        skeleton: Its column in a skeleton.
    """

    name: str
    type: Any
    path: str | None = None
    about: str = ""
    sql: SqlType | None = None
    key: bool = False
    nullable: bool | None = None
    absent: Any = None
    in_rest: bool = False
    copy_default: bool = False
    updated_apart: bool = False
    public: bool = False
    filters: tuple[Filter, ...] = ()
    searched: bool = False
    sortable: bool = False
    skeleton: Skeleton | None = None
    root: str | None = None

    @property
    def value_type(self) -> Any:
        """The type without ``| None``."""
        if get_origin(self.type) not in {Union, UnionType}:
            return self.type
        inner = [part for part in get_args(self.type) if part is not type(None)]
        return inner[0] if len(inner) == 1 else Union[tuple(inner)]  # noqa: UP007  made of parts

    @property
    def sql_type(self) -> SqlType:
        """The type of the column."""
        if self.sql is not None:
            return self.sql
        kind = get_origin(self.value_type) or self.value_type
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return "text"
        return _SQL_TYPES.get(kind, "jsonb")

    @property
    def is_nullable(self) -> bool:
        """Whether the column may be null."""
        return self.value_type is not self.type if self.nullable is None else self.nullable

    @property
    def public_type(self) -> Any:
        """The type in a public row, with its description for schemas; an enum has a description of its own."""
        if not self.about or isinstance(self.value_type, EnumMeta):
            return self.type
        return Annotated[self.type, Meta(description=self.about)]


_SQL_TYPES: dict[Any, SqlType] = {str: "text", int: "bigint", bool: "boolean", date: "date", dict: "jsonb", list: "text[]"}


def filter_kind(field: Field, declared: Filter) -> FilterKind:
    """How the values of a field's filter are read and compared."""
    if declared.kind is not None:
        return declared.kind
    if isinstance(field.value_type, EnumMeta):
        return "enum"
    if field.sql_type in {"bigint", "integer", "smallint"}:
        return "duration" if field.name.endswith("_us") else "money" if field.name.endswith("_nusd") else "count"
    return _FILTER_KINDS.get(field.sql_type, "text")


_FILTER_KINDS: dict[SqlType, FilterKind] = {"text[]": "word_of", "jsonb": "tag"}


def columns(fields: Iterable[Field]) -> list[Field]:
    """The fields with a column of their own, in the order of COPY."""
    return [field for field in fields if not field.in_rest]


def by_name(fields: Iterable[Field]) -> dict[str, Field]:
    """The fields by their names."""
    return {field.name: field for field in fields}


def public_columns(fields: Sequence[Field]) -> Any:
    """A base class with the public fields, each required, for the class of a public row."""
    members = [(field.name, field.public_type) for field in fields if field.public]
    return msgspec.defstruct("PublicColumns", members, frozen=True, kw_only=True)


def row_columns(fields: Sequence[Field]) -> Any:
    """A base class with every column, for the class of a stored row. A column that may be null is null unless it is given."""
    members = [(field.name, Any, None) if field.is_nullable else (field.name, Any) for field in columns(fields)]
    return msgspec.defstruct("RowColumns", members, kw_only=True)
