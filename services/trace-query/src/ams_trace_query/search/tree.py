"""The tree of a query. Columns count characters of the query from 1."""

from msgspec import Struct


class QueryError(ValueError):
    """A query that cannot be understood.

    Attributes:
        detail: A sentence for the person who wrote it.
        column: Where, from 1.
        suggestion: What they may have meant; null when nobody can guess.
        code: Stable: ``query_syntax``, ``query_too_long``, ``query_too_complex``, ``unknown_field``, ``bad_value``.
    """

    def __init__(self, detail: str, *, column: int, code: str, suggestion: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.column = column
        self.suggestion = suggestion
        self.code = code


class Value(Struct, frozen=True):
    """One value of a clause. In one that was not quoted, ``*`` matches any text."""

    text: str
    column: int
    quoted: bool = False


class Clause(Struct, frozen=True):
    """``field:value``, ``field.key:value``, ``field:>value``, ``field:one,two`` (any of them)."""

    field: str
    key: str | None
    operator: str  # "=", ">", ">=", "<" or "<="
    values: tuple[Value, ...]
    column: int


class Words(Struct, frozen=True):
    """A free word, or quoted words in a row."""

    value: Value


class Not(Struct, frozen=True):
    """What this does not hold for."""

    node: "Node"


class And(Struct, frozen=True):
    """All of them."""

    nodes: tuple["Node", ...]


class Or(Struct, frozen=True):
    """Any of them."""

    nodes: tuple["Node", ...]


Node = Clause | Words | Not | And | Or
