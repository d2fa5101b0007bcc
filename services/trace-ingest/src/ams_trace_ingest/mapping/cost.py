"""The cost that a span reports, in nano-USD. When it reports none, ``pricing`` computes it."""

from decimal import Decimal
from typing import Any

from ams_contracts.documents import Usage
from ams_trace_ingest.mapping import flags
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import decimal, json_map

NANO = 1_000_000_000
USD_END = Decimal(1_000_000_000)  # a larger cost is an error of the sender


def _of_gateway(value: Any) -> dict[str, Any] | None:
    """What a gateway behind the Vercel AI SDK charged: ``{"gateway": {"cost"}}``, ``{"openrouter": {"usage": {"cost"}}}``."""
    metadata = json_map(value)
    for path in (("gateway", "cost"), ("openrouter", "usage", "cost")):
        found: Any = metadata
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return {"total": found}
    return None


LADDERS = (
    Ladder(Field.COST_MAP, (("langfuse.observation.cost_details", json_map),)),
    Ladder(
        Field.COST_TOTAL,
        tuple(
            (key, decimal)
            for key in ("llm.cost.total", "gen_ai.cost.total_cost", "gen_ai.usage.total_cost", "gen_ai.cost.total", "llm.usage.total_cost")
        ),
    ),
    Ladder(
        Field.COST_PROMPT,
        tuple((key, decimal) for key in ("llm.cost.prompt", "gen_ai.cost.input_cost", "gen_ai.usage.input_cost", "gen_ai.cost.input")),
    ),
    Ladder(
        Field.COST_COMPLETION,
        tuple(
            (key, decimal) for key in ("llm.cost.completion", "gen_ai.cost.output_cost", "gen_ai.usage.output_cost", "gen_ai.cost.output")
        ),
    ),
    Ladder(Field.COST_LATER_MAP, (("mlflow.llm.cost", json_map), ("ai.response.providerMetadata", _of_gateway))),
    Ladder(
        Field.COST_PLAIN,
        tuple(
            (key, decimal)
            for key in (
                "gen_ai.usage.cost",
                "gen_ai.usage.cost_usd",
                "operation.cost",
                "gen_ai.cost",
                "llm.usage.cost",
                "llm.response.cost",
            )
        ),
    ),
)

_FIELDS = (Field.COST_MAP, Field.COST_TOTAL, Field.COST_PROMPT, Field.COST_COMPLETION, Field.COST_LATER_MAP, Field.COST_PLAIN)


def reported_cost(found: Found, usage: Usage | None, marks: list[str]) -> int | None:
    """The reported cost in nano-USD, or ``None``; one out of range is marked.

    A cost of zero is ignored when tokens were used: Langfuse's SDK sends it for unknown models and failed calls.
    """
    values = found.values
    for field in _FIELDS:
        if values[field] is not None:
            break
    else:
        return None
    usd = _first(values)
    if usd is None or (usd == 0 and (usage is None or bool(usage.input or usage.output))):
        return None
    if not 0 <= usd < USD_END:
        marks.append(flags.BAD_COST)
        return None
    return int((usd * NANO).to_integral_value())


def _first(values: list[Any]) -> Decimal | None:
    total = _from_map(values[Field.COST_MAP])
    if total is None:
        total = values[Field.COST_TOTAL]
    if total is None and (values[Field.COST_PROMPT] is not None or values[Field.COST_COMPLETION] is not None):
        total = (values[Field.COST_PROMPT] or Decimal(0)) + (values[Field.COST_COMPLETION] or Decimal(0))
    if total is None:
        total = _from_map(values[Field.COST_LATER_MAP])
    return values[Field.COST_PLAIN] if total is None else total


def _from_map(costs: dict[str, Any] | None) -> Decimal | None:
    if costs is None:
        return None
    for key in ("total", "total_cost"):
        total = decimal(costs.get(key))
        if total is not None:
            return total
    parts = [part for part in map(decimal, costs.values()) if part is not None]
    return sum(parts, Decimal(0)) if parts else None
