"""Computes costs again, with today's catalog or with prices from a file, and with projects' own prices. Reported costs are kept."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.documents import BILLABLE_TYPES, CostSource, StepDocument
from ams_contracts.events import Batch, StepEnded, StepRecorded, StepStarted
from ams_kit.bus import LogRecord
from ams_trace_ingest.pricing.changes import Change, add_call
from ams_trace_ingest.pricing.price import Override, Prices, UnitPrice, UnitPrices
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.decode import Rejected, StepsDecoder
from ams_trace_ingest.replay.generations import Generation, ReplayError
from ams_trace_ingest.store import priced_calls

PICO_PER_USD_MTOK = 1_000_000  # 1 USD a million tokens = 1,000,000 pico-USD a token
ROWS_MAX = 5_000
MODELS_MAX = 1_000  # that a preview lists; the name of a model is any text that a program sends
OTHER_MODELS = ("-", "(other models)")
UNITS = tuple(field.name for field in msgspec.structs.fields(UnitPrices) if field.name != "request_pico")


class ModelPrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's prices in a file, in USD a million tokens; one that is not given is billed as what it is part of."""

    provider: str | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    input_image: Decimal | None = None
    input_video: Decimal | None = None
    cache_audio_read: Decimal | None = None
    output_audio: Decimal | None = None
    output_image: Decimal | None = None
    output_reasoning: Decimal | None = None


_prices = msgspec.json.Decoder(dict[str, ModelPrice])


def read_prices(data: bytes) -> list[Override]:
    """Overrides from a price file: ``{"gpt-4o*": {"input": 2.5, "output": 10, "provider": "openai"}}``.

    Raises:
        ReplayError: It is not one.
    """
    try:
        return [_override(model, price) for model, price in _prices.decode(data).items()]
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ReplayError(
            f'the price file cannot be read: {error}; it looks like {{"gpt-4o*": {{"input": 2.5, "output": 10}}}}, in USD a million tokens'
        ) from error


def _override(model: str, price: ModelPrice) -> Override:
    units: dict[str, UnitPrice] = {}
    for name in UNITS:
        usd = getattr(price, name)
        if usd is None:
            continue
        if not 0 <= usd <= 1_000_000:  # noqa: PLR2004  a dollar a token
            raise ReplayError(f"the price of {model} for {name} is out of range: it is in USD a million tokens")
        units[name] = UnitPrice(int((usd * PICO_PER_USD_MTOK).to_integral_value()))
    if "input" not in units and "output" not in units:
        raise ReplayError(f"the price file gives {model} no price for input or output")
    return Override(model, msgspec.structs.replace(UnitPrices(), **units), price.provider)


def repriced(document: StepDocument, prices: Prices, at_us: int, *, ended: bool) -> StepDocument:
    """The document with the cost that intake would compute with these prices.

    Args:
        document: Of an event.
        prices: To compute with.
        at_us: Of the event: when the step has no start.
        ended: Intake prices what has ended; a start only when a span says what it used so far.
    """
    computed = document.cost_source == CostSource.COMPUTED
    unknown = ended and document.cost_nusd is None and document.cost_source == CostSource.UNKNOWN
    if not (computed or unknown) or document.usage is None or document.type not in BILLABLE_TYPES:
        return document
    nusd = prices.price(
        provider=document.provider,
        model=document.model,
        requested=document.model_requested,
        at_us=document.started_at_us or at_us,
        usage=document.usage,
    )
    source = CostSource.UNKNOWN if nusd is None else CostSource.COMPUTED
    return document if nusd == document.cost_nusd else replace(document, cost_nusd=nusd, cost_source=source)


class RepricingDecoder(StepsDecoder):
    """Decodes events as if they had been priced now."""

    def __init__(self, *args: Any, prices: Prices, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prices = prices

    def add_record(self, record: LogRecord, batch: Batch) -> bool:
        return super().add_record(record, replace(batch, events=[self._repriced(batch, event) for event in batch.events]))

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        return super().add_event(record, batch, self._repriced(batch, event), replaced=replaced)

    def _repriced(self, batch: Batch, event: Any) -> Any:
        if not isinstance(event, StepStarted | StepEnded | StepRecorded):
            return event
        prices = self._prices.of(batch.project_id)
        document = repriced(event.step, prices, event.at_us, ended=not isinstance(event, StepStarted))
        return event if document is event.step else replace(event, step=document)


class RepricingProjection(StepsProjection):
    """The steps projection with other prices."""

    def __init__(self, *args: Any, prices: Prices, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prices = prices

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> StepsDecoder:
        return RepricingDecoder(self.projection, self._now_us(), rejected=rejected, events_max=events_max, prices=self._prices)


async def preview(
    connection: asyncpg.Connection, generation: Generation, prices: Prices, *, on_rows: Callable[[int], None], models_max: int = MODELS_MAX
) -> dict[tuple[str, str], Change]:
    """What would change, by provider and model; nothing is written.

    Args:
        connection: As ``ams_writer``.
        generation: Serves.
        prices: The other ones.
        on_rows: Called with the number of calls that were read.
        models_max: Further ones are added up as ``OTHER_MODELS``.
    """
    changes: defaultdict[tuple[str, str], Change] = defaultdict(Change)
    after: priced_calls.Place = priced_calls.FIRST
    seen = 0
    while rows := await priced_calls.of_all(connection, generation.name, after, ROWS_MAX):
        for row in rows:
            model = row["provider"] or "-", row["model"] or row["model_requested"] or "-"
            group = model if model in changes or len(changes) < models_max else OTHER_MODELS
            add_call(changes[group], row, prices.of(row["project_id"]))
        seen += len(rows)
        on_rows(seen)
        after = tuple(rows[-1])[:4]
    return dict(changes)
