"""Functions that encode rows, generated from a table of fields when this process starts. ``ams_contracts.step_rows`` decodes them.

They run once a step, more than ten thousand times a second, so a loop over the fields for each step is too slow. The generated function is
what one would write by hand: each object on the way to a value is fetched once, and the row is one tuple. ``encoder_source`` shows it.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import EnumMeta
from typing import Any, Literal, get_origin

from msgspec.structs import replace

from ams_contracts.codec import encode
from ams_contracts.fields import Field, columns
from ams_contracts.rows import REST_FIELDS, Rest
from ams_trace_ingest.store.columns import array_literal

DOCUMENT = "state.document"
PROGRESS = "state.progress"
_ALWAYS_THERE = {"step", "state", "counted"}  # every other object on a path may be null
_START = ("state = step.state", "counted = step.counted")
# what a state derives from its registers is the document's while no progress is known
_PLAIN_PATHS = {"state.status": f"{DOCUMENT}.status", "state.usage": f"{DOCUMENT}.usage"}

Kind = Literal["any", "new", "plain"]
"""Which rows an encoder is for: any; those that do not exist yet and have no flags; of these the ones with a document and without progress."""


def stored_columns(fields: Sequence[Field], kind: Kind) -> list[Field]:
    """The fields that a row is made with. A new row leaves out those whose column has a DEFAULT, a plain one also those of progress."""
    return [
        field
        for field in columns(fields)
        if not field.updated_apart
        and not (kind != "any" and field.copy_default)
        and not (kind == "plain" and (field.path or "").startswith(PROGRESS))
    ]


def compile_encoder(fields: Sequence[Field], kind: Kind) -> Callable[..., tuple[Any, ...]]:
    """A function of (project_id, task_id, day, step) that returns the values of ``stored_columns`` in order."""
    names: dict[str, Any] = {"encode": encode, "array_literal": array_literal, "Rest": Rest}
    absent = {f"absent_{field.name}": _encode_value(field) for field in fields if field.path is not None}
    return _compile(encoder_source(fields, kind), {**names, **absent})


def encoder_source(fields: Sequence[Field], kind: Kind) -> str:
    """The text of an encoder. Most columns are of the document, so a step without one has a tuple of its own."""
    stored = stored_columns(fields, kind)
    lines = ["def generated(project_id, task_id, day, step):"]
    if kind == "plain":
        stored = [_of_document(field) for field in stored]
    lines += [f"    {line}" for line in (*_START, *_fetch_objects(stored))]
    if kind != "plain":
        lines.append(f"    if {_local(DOCUMENT)} is None:")
        lines.append(f"        return ({''.join(f'{_expression(field, documented=False)}, ' for field in stored)})")
    lines.append(f"    return ({''.join(f'{_expression(field, documented=True)}, ' for field in stored)})")
    return "\n".join(lines)


def _of_document(field: Field) -> Field:
    """The same field, read from the document where the state would only pass it on."""
    for path, plain in _PLAIN_PATHS.items():
        if field.path is not None and f"{field.path}.".startswith(f"{path}."):
            return replace(field, path=plain + field.path.removeprefix(path))
    return field


def _compile(source: str, names: dict[str, Any]) -> Callable[..., Any]:
    namespace = dict(names)
    exec(source, namespace)  # noqa: S102  made of our own table of fields alone
    return namespace["generated"]


def _local(path: str) -> str:
    return path.replace(".", "_")


def _fetch_objects(fields: Sequence[Field]) -> Iterator[str]:
    """Assignments of every object on the way to a value, parents first."""
    paths = {field.path for field in (*fields, *REST_FIELDS) if field.path is not None}
    objects = {path.rsplit(".", depth)[0] for path in paths for depth in range(1, path.count(".") + 1)} - _ALWAYS_THERE
    for path in sorted(objects, key=lambda path: path.count(".")):
        parent, _, attribute = path.rpartition(".")
        fetched = f"{_local(parent)}.{attribute}"
        yield f"{_local(path)} = {fetched if parent in _ALWAYS_THERE else f'None if {_local(parent)} is None else {fetched}'}"


def _expression(field: Field, *, documented: bool) -> str:
    """The value of a column, encoded."""
    if field.name == "rest":
        members = ", ".join(f"{part.name}={_raw(part)}" for part in REST_FIELDS)
        return f"encode(Rest({members})).decode()" if documented else repr("{}")
    if field.path is None:
        raise ValueError(f"the field {field.name} says no path, so no row can be made")
    parent = field.path.rpartition(".")[0]
    if not documented and f"{parent}.".startswith(f"{DOCUMENT}."):
        return f"absent_{field.name}"
    value = _raw(field)
    sql_type = field.sql_type
    if sql_type == "jsonb":
        empty = "None" if field.is_nullable else f"absent_{field.name}"
        there = value if get_origin(field.value_type) is dict else f"{value} is not None"
        value = f"encode({value}).decode() if {there} else {empty}"
    elif sql_type == "text[]":
        value = f"array_literal({value})"
    if not parent or parent in _ALWAYS_THERE or parent == DOCUMENT:
        return f"({value})" if sql_type == "jsonb" else value
    return f"(absent_{field.name} if {_local(parent)} is None else {value})"


def _raw(field: Field) -> str:
    parent, _, attribute = (field.path or "").rpartition(".")
    return f"{_local(parent)}.{attribute}" if parent else attribute


def _encode_value(field: Field) -> Any:
    """What is stored for the absent value of a field."""
    if field.absent is None or (field.is_nullable and not field.absent):
        return None
    if field.sql_type == "jsonb":
        return encode(field.absent).decode()
    if field.sql_type == "text[]":
        return array_literal(field.absent)
    return field.absent.value if isinstance(type(field.absent), EnumMeta) else field.absent
