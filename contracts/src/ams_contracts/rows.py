"""Reads Python values from database rows, by the tables of fields. Independent of a driver: a row is anything with ``row["column"]``.

JSON columns arrive as text, which is how asyncpg delivers them.
"""

from collections.abc import Callable
from enum import EnumMeta
from operator import itemgetter
from typing import Any

import msgspec

from ams_contracts.documents import STEP_FIELDS
from ams_contracts.fields import Field

REST_FIELDS = [field for field in STEP_FIELDS if field.in_rest]

Rest: Any = msgspec.defstruct(
    "Rest",
    [(field.name, field.type, field.absent) for field in REST_FIELDS],
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
)
"""Column ``rest`` of ``steps``: the fields that have no column of their own."""

decode_rest: Callable[[str], Any] = msgspec.json.Decoder(Rest).decode


def converter(field: Field) -> Callable[[Any], Any] | None:
    """The function from a column's value to its field's; null when they are the same."""
    kind = field.value_type
    if field.sql_type == "jsonb" and kind is not str:
        return msgspec.json.Decoder(kind).decode
    if isinstance(kind, EnumMeta):
        return kind
    return None


def reader(field: Field) -> Callable[[Any], Any]:
    """A function that reads the field from a row. A null column gives null, or an empty value when the field is never null."""
    convert, name = converter(field), field.name
    if convert is None:
        return itemgetter(name)
    empty = type(field.absent) if field.is_nullable and field.value_type is field.type else None

    def read(row: Any) -> Any:
        value = row[name]
        if value is None:
            return None if empty is None else empty()
        return convert(value)

    return read
