"""What other prices would change of calls that are stored. Pure."""

from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.documents import CostSource, Usage
from ams_trace_ingest.pricing.price import Call, Prices


class Change(Struct):
    """What other prices mean for a group of calls. Costs in nano-USD of the steps that count in their tasks' totals.

    Attributes:
        steps: Calls that count.
        reported: Of them, those whose cost was reported and stays.
        unknown_before: Calls without a known price now.
        unknown_after: Calls without a known price then.
    """

    steps: int = 0
    reported: int = 0
    unknown_before: int = 0
    unknown_after: int = 0
    before_nusd: int = 0
    after_nusd: int = 0


class _Rest(Struct, frozen=True):
    usage: Usage | None = None


_rest = msgspec.json.Decoder(_Rest)


def began_at_us(row: Any) -> int:
    """When a call began, by its row; of one without a start when it was recorded."""
    return row["started_at_us"] or row["stamp_at_us"] or 0


def call_of(row: Any) -> Call:
    """The call of a row: provider, response model and requested model."""
    return row["provider"], row["model"], row["model_requested"]


def add_call(change: Change, row: Any, prices: Prices) -> None:
    """Add a stored call to what the prices of its project change.

    Args:
        change: Of its group.
        row: With ``provider``, ``model``, ``model_requested``, ``started_at_us``, ``stamp_at_us``, ``cost_nusd``, ``cost_source``,
            ``usage_shadowed`` and ``rest``.
        prices: The other ones.
    """
    usage = _rest.decode(row["rest"]).usage
    if row["usage_shadowed"] or usage is None:
        return
    before = after = row["cost_nusd"]
    reported = row["cost_source"] == CostSource.REPORTED or (row["cost_source"] == CostSource.UNKNOWN and before is not None)
    if not reported:
        provider, model, requested = call_of(row)
        after = prices.price(provider=provider, model=model, requested=requested, at_us=began_at_us(row), usage=usage)
    change.steps += 1
    change.reported += reported
    change.unknown_before += before is None
    change.unknown_after += after is None
    change.before_nusd += before or 0
    change.after_nusd += after or 0
