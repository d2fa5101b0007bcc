"""What prices would change of the costs that are stored, by model and day. Nothing is written."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from ams_contracts.claims import Access, Role
from ams_contracts.scores import person_author
from ams_contracts.views import usd
from ams_kit.auth import require_role
from ams_kit.errors import UnavailableError
from ams_kit.http.json_body import read_json, with_json_body
from ams_trace_ingest.intake.own_prices import BODY_BYTES_MAX, NewOwnPrice, event_of
from ams_trace_ingest.intake.publish import IntakeContext
from ams_trace_ingest.pricing.changes import Change, add_call, began_at_us, call_of
from ams_trace_ingest.pricing.own_prices import override_of, overrides_of, tried_for_all
from ams_trace_ingest.pricing.price import Override, Prices
from ams_trace_ingest.store import own_prices, priced_calls
from ams_trace_ingest.store.connections import set_generation

CALLS_MAX = 200_000
SECONDS_MAX = 10.0
DAYS_MAX = 366
PAGE_ROWS = 2_000
GROUPS_MAX = 1_000
WAIT_SECONDS = 2.0
DAY_US = 86_400_000_000
GroupKey = tuple[int, str, str]
"""Start of the UTC day, provider and model."""

AnyRequest = Request[Any, Any, Any]


class PreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to compute.

    Attributes:
        days: Tasks of the last UTC days, today included.
        price: A price to try, which is not set; only the calls that it would bill are compared, without ``from_us`` whenever they began.
            Null: compute all calls again with the prices that count now.
    """

    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] = 30
    price: NewOwnPrice | None = None


class PriceChange(Struct, frozen=True, kw_only=True):
    """The calls of one model and day whose cost would change.

    Attributes:
        day_us: Start of the UTC day on which the calls began, microseconds since the epoch.
        provider: Empty when the calls name none.
        model: The response model, else the requested one; empty when the calls name none.
        calls: Calls that count in their tasks' totals.
        reported: Of them, those whose cost an agent reported: it stays.
        unknown_before: Calls without a cost now.
        unknown_after: Calls without a cost then.
        before_usd: Sum of the known costs now, as a decimal string.
        after_usd: Sum of the known costs then.
    """

    day_us: int
    provider: str
    model: str
    calls: int
    reported: int
    unknown_before: int
    unknown_after: int
    before_usd: str
    after_usd: str


class PricePreview(Struct, frozen=True, kw_only=True):
    """What would change, the newest day first.

    Attributes:
        items: Groups that change, at most 1,000; further ones are in the sums.
        calls: Calls that were compared.
        before_usd: Sum of their known costs now.
        after_usd: Sum of their known costs then.
        unknown_before: Calls without a cost now.
        unknown_after: Calls without a cost then.
        complete: Whether all calls of the days were read. At most 200,000 are, in 10 seconds, the newest days first.
        from_us: Start of the first day that was read completely; null: of none.
    """

    items: list[PriceChange]
    calls: int
    before_usd: str
    after_usd: str
    unknown_before: int
    unknown_after: int
    complete: bool
    from_us: int | None


_request = msgspec.json.Decoder(PreviewRequest)


@post(
    "/api/ingest/{project:str}/own-prices/preview",
    status_code=200,
    operation_class=with_json_body(PreviewRequest),
    summary="Preview what prices would change",
)
async def preview_prices(request: AnyRequest, state: State, access: NamedDependency[Access]) -> PricePreview:
    """Compute past costs again without storing them, by model and day. Costs that agents reported stay. Requires the role member."""
    intake: IntakeContext = state.intake
    require_role(access, Role.MEMBER)
    given = await read_json(request, _request, bytes_max=BODY_BYTES_MAX)
    tried = None if given.price is None else event_of(given.price, person_author(access.user_id))
    async with intake.pool.acquire(timeout=WAIT_SECONDS) as connection:
        events = await own_prices.of_project(connection, access.project_id)
    if tried is not None and given.price is not None:
        events = [tried, *events] if given.price.from_us is not None else tried_for_all(events, tried)
        tried = events[0]
    prices = intake.prices.with_own(overrides_of(events))
    comparison = Comparison(prices, None if tried is None else override_of(tried))
    async with _slot(intake.previewing):
        complete, first_day = await _read(intake, access.project_id, given.days, comparison)
    return comparison.answer(complete=complete, first_day=first_day)


@asynccontextmanager
async def _slot(previewing: asyncio.Semaphore) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await previewing.acquire()
    except TimeoutError as error:
        raise UnavailableError("Another preview is being computed. Try again in a few seconds.", code="busy") from error
    try:
        yield
    finally:
        previewing.release()


async def _read(intake: IntakeContext, project_id: str, days: int, comparison: "Comparison") -> tuple[bool, date | None]:
    """Compare calls, the newest day first.

    Returns:
        Whether all days were read, and the oldest day that was read completely.
    """
    deadline = time.monotonic() + SECONDS_MAX
    since = datetime.fromtimestamp(time.time() // 86_400 * 86_400 - (days - 1) * 86_400, UTC).date()
    first_day = None
    async with intake.pool.acquire(timeout=WAIT_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        found = await priced_calls.days(connection, project_id, since, DAYS_MAX)
    read = 0
    for day in found:
        after = ("", "")
        while True:
            if read >= CALLS_MAX or time.monotonic() > deadline:
                return False, first_day
            # a transaction a page: a page is short, and the next one may be in the tables of another generation
            async with intake.pool.acquire(timeout=WAIT_SECONDS) as connection, connection.transaction():
                await set_generation(connection, may_sort=True)
                rows = await priced_calls.of_day(connection, project_id, day, after, PAGE_ROWS)
            await asyncio.to_thread(comparison.add, rows)
            read += len(rows)
            if len(rows) < PAGE_ROWS:
                break
            after = (rows[-1]["task_id"], rows[-1]["step_id"])
        first_day = day
    return True, first_day


class Comparison:
    """Sums of calls as they are and as they would be."""

    def __init__(self, prices: Prices, tried: Override | None) -> None:
        """With ``tried`` only the calls that this price bills are added."""
        self._prices = prices
        self._tried = tried
        self._groups: dict[GroupKey, Change] = {}
        self._further = Change()

    def add(self, rows: list[Any]) -> None:
        """Add stored calls."""
        for row in rows:
            began = began_at_us(row)
            if self._tried is not None and self._prices.override_of(call_of(row), began) != self._tried:
                continue
            key = (began - began % DAY_US, row["provider"] or "", row["model"] or row["model_requested"] or "")
            group = self._groups.get(key)
            if group is None:
                group = self._further
                if len(self._groups) < GROUPS_MAX:
                    group = self._groups[key] = Change()
            add_call(group, row, self._prices)

    def answer(self, *, complete: bool, first_day: date | None) -> PricePreview:
        """The sums as an answer."""
        groups = [*self._groups.values(), self._further]
        items = [
            PriceChange(
                day_us=day_us,
                provider=provider,
                model=model,
                calls=change.steps,
                reported=change.reported,
                unknown_before=change.unknown_before,
                unknown_after=change.unknown_after,
                before_usd=_usd(change.before_nusd),
                after_usd=_usd(change.after_nusd),
            )
            for (day_us, provider, model), change in sorted(self._groups.items(), key=lambda item: (-item[0][0], item[0][1:]))
            if (change.before_nusd, change.unknown_before) != (change.after_nusd, change.unknown_after)
        ]
        return PricePreview(
            items=items,
            calls=sum(one.steps for one in groups),
            before_usd=_usd(sum(one.before_nusd for one in groups)),
            after_usd=_usd(sum(one.after_nusd for one in groups)),
            unknown_before=sum(one.unknown_before for one in groups),
            unknown_after=sum(one.unknown_after for one in groups),
            complete=complete,
            from_us=None
            if first_day is None
            else int(datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC).timestamp()) * 1_000_000,
        )


def _usd(nusd: int) -> str:
    return usd(nusd) or "0"
