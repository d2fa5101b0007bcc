"""Parses query text to a tree, with ``grammar.lark``. Independent of fields and tables."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from msgspec import Struct

from ams_trace_query.search.tree import And, Clause, Node, Not, Or, QueryError, Value, Words

QUERY_BYTES_MAX = 4_096
CLAUSES_MAX = 32
DEPTH_MAX = 5
VALUES_MAX = 200

# "latency>2s" is an error instead of a word, because its author meant a condition
_LIKE_A_CLAUSE = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(>=|<=|=|>|<)(.*)", re.DOTALL)
_TOO_COMPLEX = "query_too_complex"
_SYNTAX = "query_syntax"


def parse(text: str) -> Node | None:
    """Parse a query.

    Args:
        text: At most 4 KiB of UTF-8.

    Returns:
        Its tree, with at most 32 clauses, and brackets or negations nested at most 5 deep; null when the text is blank.

    Raises:
        QueryError: The text is not a valid query, or exceeds a limit.
    """
    if len(text.encode()) > QUERY_BYTES_MAX:
        raise QueryError(f"The query is too long. Use at most {QUERY_BYTES_MAX} bytes.", column=QUERY_BYTES_MAX, code="query_too_long")
    if "\0" in text:
        raise QueryError("The query contains a NUL character. Remove it.", column=text.index("\0") + 1, code=_SYNTAX)
    if not text.strip():
        return None
    try:
        part: _Part = _parser().parse(text)  # type: ignore[assignment]  # lark does not know what its transformer returns
    except UnexpectedInput as error:
        raise _explained(error, text) from None
    return part.node


class _Part(Struct):
    """A part of the tree with its number of clauses and its depth."""

    node: Node
    clauses: int = 1
    depth: int = 0
    column: int = 1


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Builds the tree at each reduction of the parser, so that deeply nested input causes no recursion."""

    def start(self, part: _Part) -> _Part:
        return part

    def word(self, token: Token) -> _Part:
        if written := _LIKE_A_CLAUSE.match(token):
            field, operator, value = written.groups()
            suggestion = f'{field}:{"" if operator == "=" else operator}{value}, or "{token}" for the words themselves'
            raise QueryError(
                "The condition has no colon. Write a colon after the field.",
                column=_column(token) + len(field),
                code=_SYNTAX,
                suggestion=suggestion,
            )
        return _Part(Words(Value(str(token), _column(token))), column=_column(token))

    def quoted_word(self, token: Token) -> _Part:
        return _Part(Words(_quoted(token)), column=_column(token))

    def value(self, token: Token) -> Token:
        return token

    def clause(self, field: Token, *rest: Token) -> _Part:
        value = rest[-1]
        name, key = _name_and_key(field)
        operator = str(rest[0]) if len(rest) > 1 else "="
        return _Part(Clause(name, key, operator, _values(value), _column(field)), column=_column(field))

    def group(self, part: _Part) -> _Part:
        return _deeper(part, part.node)

    def negated(self, *parts: Any) -> _Part:
        return _deeper(parts[-1], Not(parts[-1].node))

    def conjunction(self, *parts: _Part) -> _Part:
        if len(parts) == 1:
            return parts[0]
        first = parts[0].node
        # the grammar passes the conjunction so far and one more item; a bracketed conjunction may be flattened as well
        nodes = (*first.nodes, parts[1].node) if isinstance(first, And) else (first, parts[1].node)
        return _joined(And(nodes), parts)

    def disjunction(self, *parts: _Part) -> _Part:
        return parts[0] if len(parts) == 1 else _joined(Or(tuple(part.node for part in parts)), parts)


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=False)


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _deeper(part: _Part, node: Node) -> _Part:
    if part.depth + 1 > DEPTH_MAX:
        raise QueryError(
            f"The query is nested too deeply. Nest brackets and negations at most {DEPTH_MAX} deep.", column=part.column, code=_TOO_COMPLEX
        )
    return _Part(node, part.clauses, part.depth + 1, part.column)


def _joined(node: Node, parts: tuple[_Part, ...]) -> _Part:
    clauses = sum(part.clauses for part in parts)
    if clauses > CLAUSES_MAX:
        raise QueryError(f"The query has too many conditions. Use at most {CLAUSES_MAX}.", column=parts[-1].column, code=_TOO_COMPLEX)
    return _Part(node, clauses, max(part.depth for part in parts), parts[0].column)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _quoted(token: Token) -> Value:
    text = _unescaped(str(token)[1:-1])
    if not text:
        raise QueryError("The text between the quotation marks is empty.", column=_column(token), code="bad_value")
    return Value(text, _column(token), quoted=True)


def _name_and_key(field: Token) -> tuple[str, str | None]:
    name, dot, key = str(field)[:-1].partition(".")
    if not dot:
        return name.lower(), None
    if key.startswith('"'):
        key = _unescaped(key[1:-1])
    elif ".." in f".{key}." and key:
        raise QueryError(
            "A part of the key is empty. Put the key in quotation marks if that is intended.", column=_column(field), code=_SYNTAX
        )
    if not key:
        raise QueryError(
            "A key is missing after the dot.", column=_column(field) + len(name) + 1, code=_SYNTAX, suggestion=f"{name}.key:value"
        )
    return name.lower(), key


def _values(token: Token) -> tuple[Value, ...]:
    if token.type == "QUOTED":
        return (_quoted(token),)
    values: list[Value] = []
    column = _column(token)
    for text in str(token).split(","):
        if not text:
            raise QueryError(
                "A value is missing beside the comma.",
                column=column,
                code="bad_value",
                suggestion="put a value with commas in quotation marks",
            )
        values.append(Value(text, column))
        column += len(text) + 1
    if len(values) > VALUES_MAX:
        raise QueryError(f"The list is too long. Use at most {VALUES_MAX} values.", column=values[VALUES_MAX].column, code=_TOO_COMPLEX)
    return tuple(values)


def _explained(error: UnexpectedInput, text: str) -> QueryError:
    if isinstance(error, UnexpectedCharacters):
        column = error.pos_in_stream + 1
        if text[error.pos_in_stream] == '"':
            return QueryError("The quotation mark is not closed.", column=column, code=_SYNTAX, suggestion='close it with "')
        return QueryError("This is not allowed here.", column=column, code=_SYNTAX, suggestion="put it in quotation marks")
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        return _explained_token(error.token, error.accepts or error.expected)
    accepted: set[str] = (
        set(error.accepts or error.expected)
        if isinstance(error, UnexpectedToken)
        else set(error.expected)
        if isinstance(error, UnexpectedEOF)
        else set()
    )
    column = len(text) + 1
    if "VALUE" in accepted:
        return QueryError("A value is missing after the colon.", column=column, code=_SYNTAX, suggestion="field:value")
    if "_CLOSE" in accepted:
        return QueryError("The bracket is not closed.", column=column, code=_SYNTAX, suggestion="close it with )")
    return QueryError(
        "A condition is missing at the end.", column=column, code=_SYNTAX, suggestion="write a condition, or leave out the last word"
    )


def _explained_token(token: Token, accepted: Any) -> QueryError:
    column = _column(token)
    if token.type == "_CLOSE":
        if "WORD" in set(accepted) and "$END" not in set(accepted) and "_CLOSE" not in set(accepted):
            return QueryError(
                "A condition is missing before this bracket.",
                column=column,
                code=_SYNTAX,
                suggestion="write one, or leave out the brackets",
            )
        return QueryError("The bracket has no opening bracket.", column=column, code=_SYNTAX, suggestion="leave out )")
    if token.type in {"_OR", "_AND"}:
        word = str(token)
        return QueryError(
            f"{word} needs a condition on both sides.", column=column, code=_SYNTAX, suggestion=f'search for the word as "{word}"'
        )
    if "VALUE" in set(accepted):
        return QueryError(
            "A value is missing after the colon.", column=column, code=_SYNTAX, suggestion="put a value with brackets in quotation marks"
        )
    return QueryError("This is not allowed here.", column=column, code=_SYNTAX)
