"""Faults of a form: all of them at once, each with its field, a stable code and what would pass."""

from collections.abc import Sequence

from msgspec import Struct

from ams_kit.errors import InvalidError


class Fault(Struct, frozen=True):
    """What is wrong with one field. The message does not contain the value."""

    field: str
    code: str
    message: str


def refuse_faults(faults: Sequence[Fault]) -> None:
    """Reject a form that has faults.

    Raises:
        InvalidError: 422; its code is that of the first fault, and ``errors`` has all of them.
    """
    if faults:
        raise InvalidError(
            " ".join(dict.fromkeys(fault.message for fault in faults)),
            code=faults[0].code,
            errors=[{"key": fault.field, "code": fault.code, "message": fault.message} for fault in faults],
        )
