"""The tree of a query. A column is the 1-based index of a character in the query."""

from msgspec import Struct


class QueryError(ValueError):
    """A query is not valid.

    Attributes:
        detail: A message for the author of the query.
        column: The column of the error, from 1.
        suggestion: A possible correction; null when there is none.
        code: Stable: ``query_syntax``, ``query_too_long``, ``query_too_complex``, ``unknown_field``, ``bad_value``.
    """

    def __init__(self, detail: str, *, column: int, code: str, suggestion: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.column = column
        self.suggestion = suggestion
        self.code = code


class Value(Struct, frozen=True):
    """A value of a clause. In an unquoted value, ``*`` matches any text."""

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
    """A free word, or a quoted phrase."""

    value: Value


class Not(Struct, frozen=True):
    """Matches when ``node`` does not match."""

    node: "Node"


class And(Struct, frozen=True):
    """Matches when all nodes match."""

    nodes: tuple["Node", ...]


class Or(Struct, frozen=True):
    """Matches when any node matches."""

    nodes: tuple["Node", ...]


Node = Clause | Words | Not | And | Or
