"""The matches of queries."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from ams_contracts.tables import steps
from ams_trace_query.database import compile_statement
from ams_trace_query.search.compile import step_condition
from ams_trace_query.search.filters import STEP_FILTERS
from ams_trace_query.search.parse import parse
from ams_trace_query.search.reference import page_with_table
from ams_trace_query.search.tree import And, Clause, Not, Or, QueryError, Value, Words

T0 = 1_782_000_000_000_000


@pytest.fixture
async def found(ada, store):
    """Names of the steps that a query matches, sorted."""
    task_id = await store.task()
    common = {"started_at_us": T0}
    await store.step(
        task_id,
        name="alpha",
        type="llm",
        status="error",
        agent="planner",
        model="gpt-4o-2024-08-06",
        model_requested="gpt-4o",
        duration_us=2_000_000,
        cost_nusd=10_000_000,
        input_tokens=900,
        output_tokens=101,
        error_type="TimeoutError",
        error_message="no answer in 30 s",
        preview_input="Please refund the booking",
        tags={"env": "prod", "a b:c": "x,y"},
        flags=["clock_skew"],
        **common,
    )
    await store.step(
        task_id,
        name="beta",
        type="tool",
        agent="critic",
        tool_name="search",
        duration_us=1_999_999,
        cost_nusd=10_000_001,
        preview_output="100% of\\nothing_here",
        tags={"env": "dev"},
        environment="dev",
        **common,
    )
    await store.step(
        task_id, name="gamma", type="retrieval", agent="writer", ttft_us=300_000, duration_us=None, conversation_id="thread-9", **common
    )
    await store.step(
        task_id, name="GPT-notes 東京", type="llm", model_requested="gpt-4o", status="running", preview_input="ALPHA centauri", **common
    )

    async def names(query: str) -> list[str]:
        items = (await ada.get("steps", q=query))["items"]
        return sorted(item["name"] for item in items)

    return names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status:error", ["alpha"]),
        ("STATUS:ERROR", ["alpha"]),
        ("type:llm", ["GPT-notes 東京", "alpha"]),
        ("type:llm,tool", ["GPT-notes 東京", "alpha", "beta"]),
        ("-type:llm,tool", ["gamma"]),
        ("model:gpt-4o", ["GPT-notes 東京", "alpha"]),
        ("model:gpt-*-08-*", ["alpha"]),
        ("model:*", ["GPT-notes 東京", "alpha"]),
        ("-model:*", ["beta", "gamma"]),  # a null model is not "gpt-4o", so the negation matches it
        ('model:"gpt-*"', []),
        ("latency:>=2s", ["alpha"]),
        ("latency:<2000ms", ["beta"]),
        ("latency:2s", ["alpha"]),
        ("latency:>0.5m", []),
        ("ttft:<0.5s", ["gamma"]),
        ("cost:>0.01", ["beta"]),  # exact: 0.01 itself is not more
        ("cost:0.01", ["alpha"]),
        ("cost:<=0.010000001", ["alpha", "beta"]),
        ("cost:>$0", ["alpha", "beta"]),
        ("tokens:>1000", ["alpha"]),
        ("tokens:>=1k", ["alpha"]),
        ("tokens:<1m", ["alpha"]),
        ("tokens:0", []),  # an unknown cost is not zero
        ("agent:planner", ["alpha"]),
        ("(agent:planner OR agent:critic) -tool:search", ["alpha"]),
        ("agent:planner OR agent:critic status:error", ["alpha"]),
        ("NOT (agent:planner OR agent:critic)", ["GPT-notes 東京", "gamma"]),
        ("agent:planner AND status:error", ["alpha"]),
        ("tool:search", ["beta"]),
        ("tag.env:prod", ["alpha"]),
        ("tag.env:*", ["alpha", "beta"]),
        ('tag."a b:c":"x,y"', ["alpha"]),
        ("env:dev", ["beta"]),
        ("flag:clock_skew", ["alpha"]),
        ("error:timeout", ["alpha"]),
        ('error:"no answer"', ["alpha"]),
        ("error:*", ["alpha"]),
        ("-error:*", ["GPT-notes 東京", "beta", "gamma"]),
        ("conversation:thread-9", ["gamma"]),
        ("refund", ["alpha"]),
        ('"refund the"', ["alpha"]),
        ('"the refund"', []),
        ("alpha", ["GPT-notes 東京", "alpha"]),
        ("gpt-notes", ["GPT-notes 東京"]),
        ("東京", ["GPT-notes 東京"]),
        ("%", ["beta"]),
        ("_", ["beta"]),
        ("\\", ["beta"]),
        ("100%", ["beta"]),
        ("ple*refund", ["alpha"]),
        ('"ple*refund"', []),
        ("name:*a", ["alpha", "beta", "gamma"]),
        ("name:alp", []),
    ],
)
async def test_a_query_finds(found, query: str, expected: list[str]) -> None:
    assert await found(query) == expected


async def test_a_query_finds_tasks(ada, store) -> None:
    costly = await store.task(cost_nusd=100_000_000, priced_steps=1, tags={"env": "prod"}, errors=2, name="refund", started_at_us=T0 + 1)
    unknown = await store.task(cost_nusd=0, priced_steps=0, kind="chat", started_at_us=T0)

    async def ids(query: str) -> list[str]:
        return [item["task_id"] for item in (await ada.get("tasks", q=query))["items"]]

    assert await ids("cost:>0.099999999") == [costly]
    assert await ids("cost:<1") == [costly]  # an unknown cost matches no comparison
    assert await ids("cost:0") == []
    assert await ids("tag.env:prod errors:>1 refund") == [costly]
    assert await ids("kind:chat") == [unknown]
    assert await ids(f"task:{unknown.upper()},{costly}") == [costly, unknown]


def test_a_query_is_a_tree() -> None:
    tree = parse('status:error -(a OR "b c") tag."k 1":>x')

    assert tree == And(
        (
            Clause("status", None, "=", (Value("error", 8),), 1),
            Not(Or((Words(Value("a", 16)), Words(Value("b c", 21, quoted=True))))),
            Clause("tag", "k 1", ">", (Value("x", 39),), 28),
        )
    )


def test_values_are_bound_and_never_part_of_the_statement() -> None:
    condition = step_condition(parse("""name:"Robert'); DROP TABLE steps;--" tag."x');--":y "z');--" """))

    text, values = compile_statement(select(steps.c.step_id).where(condition))

    assert "--" not in text
    assert "'" not in text.replace("ESCAPE '\\'", "")
    assert "Robert'); DROP TABLE steps;--" in values


def mistake_in(text: str) -> QueryError | None:
    try:
        tree = parse(text)
        step_condition(tree)
    except QueryError as error:
        return error
    return None


@given(st.text(max_size=200) | st.text(alphabet=' ab:"()-,*.<>=ORANDT\\', max_size=60))
def test_any_text_is_parsed_or_gives_an_error_with_a_column(text: str) -> None:
    mistake = mistake_in(text)

    assert mistake is None or (1 <= mistake.column <= len(text) + 1 and mistake.detail)


@given(st.integers(0, 10**19))
def test_costs_are_compared_as_the_exact_number_that_was_written(nusd: int) -> None:
    written = f"{Decimal(nusd) / 10**9:f}"

    try:
        condition = STEP_FILTERS["cost"](Clause("cost", None, ">", (Value(written, 1),), 1))
    except QueryError:
        assert nusd >= 2**63
    else:
        assert condition.right.value == nusd


def test_the_reference_page_has_the_current_table_of_fields() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "queries.md").read_text(encoding="utf-8")

    assert page == page_with_table(page), "run: ./ams fmt"
