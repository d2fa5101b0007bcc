"""What the tables that serve were built with."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import select

from ams_contracts.claims import Access
from ams_contracts.tables import generations
from ams_trace_query.context import context_of
from ams_trace_query.openapi import PROBLEMS


class Generation(Struct, frozen=True, kw_only=True):
    """The tables that serve; the same for every project.

    Attributes:
        name: g1, g2 ...
        mapping_version: Of the mapping of spans to steps, when the tables were made.
        price_version: Of the list prices, and of the price file if there was one, when the tables were made.
        is_repriced: Costs were computed again with these prices; otherwise they are those that intake computed when each call arrived.
        serves_since_us: Null for the first generation.
    """

    name: str
    mapping_version: int
    price_version: str
    is_repriced: bool
    serves_since_us: int | None


@get("/generation", operation_id="getGeneration", responses=PROBLEMS)
async def get_generation(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Generation:
    """The versions of the mapping and of the prices that the current tables were made with."""
    table = generations.c
    async with context_of(request).database.read(access.project_id) as reader:
        (row,) = await reader.rows(
            select(
                table.name, table.mapper_version, table.price_version, table.prices.is_not(None).label("is_repriced"), table.current_since
            )
            .where(table.current)
            .limit(1)
        )
    since: datetime | None = row["current_since"]
    return Generation(
        name=row["name"],
        mapping_version=row["mapper_version"],
        price_version=row["price_version"],
        is_repriced=row["is_repriced"],
        serves_since_us=None if since is None else int(since.timestamp() * 1_000_000),
    )
