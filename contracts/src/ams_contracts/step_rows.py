"""A row of ``steps`` as the document and the registers that it was folded from.

The decoder is generated from ``STEP_FIELDS`` when this process starts: it runs once a step, and a loop over the fields is too slow.
"""

from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

from ams_contracts.documents import STEP_FIELDS, Status, StepDocument
from ams_contracts.fields import Field, by_name
from ams_contracts.fold import Progress, Stamp, StepState
from ams_contracts.rows import converter, decode_rest, reader

DOCUMENT = "state.document"


def compile_document_decoder(fields: Sequence[Field], document: type[Any]) -> Callable[[Any], Any]:
    """A function of a row that returns its document; the row has one."""
    names: dict[str, Any] = {"document": document, "decode_rest": decode_rest}
    by_attribute: dict[str, list[tuple[str, Field]]] = {}
    for field in fields:
        attribute, _, inner = (field.path or "").removeprefix(f"{DOCUMENT}.").partition(".")
        if (field.path or "").startswith(f"{DOCUMENT}."):
            by_attribute.setdefault(attribute, []).append((inner, field))
            names[f"convert_{field.name}"] = converter(field)
    arguments: list[str] = []
    for attribute, parts in by_attribute.items():
        inner, field = parts[0]
        if not inner:
            arguments.append(f"{attribute}={_decoded(field)}")
            continue
        # an object of its own, such as the error: null when all its columns are
        names[f"struct_{attribute}"] = _struct_of(document, attribute)
        known = " or ".join(f"row[{field.name!r}] is not None" for _, field in parts)
        members = ", ".join(f"{inner}={_decoded(field)}" for inner, field in parts)
        arguments.append(f"{attribute}=struct_{attribute}({members}) if {known} else None")
    source = f"def generated(row):\n    rest = decode_rest(row['rest'])\n    return document({', '.join(arguments)})"
    namespace = dict(names)
    exec(source, namespace)  # noqa: S102  made of our own table of fields alone
    return namespace["generated"]


def _decoded(field: Field) -> str:
    if field.in_rest:
        return f"rest.{field.name}"
    value = f"row[{field.name!r}]"
    convert = converter(field)
    if convert is None:
        return f"list({value})" if field.sql_type == "text[]" else value
    if not field.is_nullable:
        return f"convert_{field.name}({value})"
    empty = repr(field.absent) if field.value_type is field.type else "None"
    return f"convert_{field.name}({value}) if {value} is not None else {empty}"


def _struct_of(document: type[Any], attribute: str) -> Any:
    """The class of an attribute that may be null."""
    hint = get_type_hints(document)[attribute]
    return next(part for part in hint.__args__ if part is not type(None))


decode_document: Callable[[Any], StepDocument] = compile_document_decoder(STEP_FIELDS, StepDocument)
"""The document of a row that has one."""

_read_progress_usage = reader(by_name(STEP_FIELDS)["progress_usage"])


def step_state(row: Any, *, with_document: bool = True) -> StepState:
    """The registers of a row with all columns. Without its document where another one has outranked it already."""
    phase = row["stamp_phase"]
    stamp = None if phase is None else Stamp(phase, row["stamp_at_us"], row["stamp_seq"], row["stamp_event_id"])
    document = decode_document(row) if with_document and stamp is not None else None
    phase = row["progress_phase"]
    if phase is None:
        return StepState(document=document, stamp=stamp)
    return StepState(
        document=document,
        stamp=stamp,
        progress=Progress(status=Status(row["progress_status"]), at_us=row["last_beat_us"], usage=_read_progress_usage(row)),
        progress_stamp=Stamp(phase, row["progress_at_us"], row["progress_seq"], row["progress_event_id"]),
    )
