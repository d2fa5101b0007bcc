"""The roll-up rules: what counts, and that order, chunks and cycles change nothing."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams_contracts.documents import Status, StepDocument, StepType, Usage
from ams_trace_ingest import rollup
from ams_trace_ingest.repeated_calls import RESPONSE_STEPS_MAX, Claim, overlapping_claims
from ams_trace_ingest.rollup import (
    ALONE_STEPS_MAX,
    DEPTH_MAX,
    METERED_TYPES,
    NOTHING,
    UNMETERED,
    Counted,
    Node,
    Tree,
    count,
    node_of,
    shadowed_in_tree,
    shadowed_steps,
    to_reexamine,
    wrappers_among,
)

SILENT = -1  # a model call that ended and reported no tokens


def node(step_id: str, parent: str | None, step_type: str = "llm", tokens: int | None = 10, response_id: str | None = None) -> Node:
    kind = StepType(step_type)
    if tokens == SILENT:
        return Node(step_id=step_id, parent_step_id=parent, type=kind, response_id=response_id, unmetered=kind in METERED_TYPES)
    return Node(step_id=step_id, parent_step_id=parent, type=kind, input_tokens=tokens, response_id=response_id)


def shadowed(*nodes: Node) -> set[str]:
    tree = Tree(nodes)
    found = shadowed_steps(tree)
    assert found == {item.step_id for item in tree if shadowed_in_tree(tree, item.step_id)}
    return found


def claim(step_id: str, start: int | None, end: int | None, **fields: Any) -> Claim:
    return Claim(
        **{"task_id": "t", "step_id": step_id, "response_id": "r", "model": "m", "started_at_us": start, "ended_at_us": end, **fields}
    )


@pytest.mark.parametrize("step_type", ["agent", "tool", "workflow", "handoff", "retrieval", "span", "guardrail"])
def test_only_billable_types_count(step_type: str) -> None:
    assert count(node("a", None, step_type), shadowed=False) == NOTHING


@pytest.mark.parametrize("step_type", ["llm", "embedding", "rerank"])
def test_billable_steps_count_unless_shadowed(step_type: str) -> None:
    assert count(node("a", None, step_type), shadowed=False) == Counted(10, 0, None, unpriced=True)
    assert count(node("a", None, step_type), shadowed=True) == NOTHING


def test_a_wrapper_is_shadowed_by_the_call_below_it() -> None:
    assert shadowed(node("a", None), node("b", "a")) == {"a"}


def silent(step_id: str, parent: str | None, step_type: str = "llm", response_id: str | None = None) -> Node:
    return Node(step_id=step_id, parent_step_id=parent, type=StepType(step_type), response_id=response_id, unmetered=True)


@pytest.mark.parametrize(
    ("document", "unmetered"),
    [
        (StepDocument(type=StepType.LLM, name="n", status=Status.OK), True),
        (StepDocument(type=StepType.EMBEDDING, name="n", status=Status.OK), True),
        (StepDocument(type=StepType.LLM, name="n", status=Status.OK, usage=Usage()), True),
        (StepDocument(type=StepType.LLM, name="n", status=Status.OK, usage=Usage(input=0)), False),
        (StepDocument(type=StepType.LLM, name="n", status=Status.OK, usage=Usage(output=5)), False),
        (StepDocument(type=StepType.LLM, name="n", status=Status.ERROR), False),
        (StepDocument(type=StepType.LLM, name="n", status=Status.ERROR, preview_output="Once upon"), True),
        (StepDocument(type=StepType.LLM, name="n", status=Status.ERROR, response_id="r"), True),
        (StepDocument(type=StepType.LLM, name="n", status=Status.RUNNING), False),
        (StepDocument(type=StepType.LLM, name="n", status=Status.LOST), False),
        (StepDocument(type=StepType.LLM, name="n", status=Status.CANCELLED), False),
        (StepDocument(type=StepType.RERANK, name="n", status=Status.OK), False),
        (StepDocument(type=StepType.AGENT, name="n", status=Status.OK), False),
    ],
)
def test_an_answered_call_without_tokens_is_unmetered(document: StepDocument, unmetered: bool) -> None:
    assert count(node_of("a", document), shadowed=False).unmetered is unmetered
    assert count(node_of("a", document), shadowed=True) == NOTHING


def test_a_cost_without_tokens_counts_and_is_unmetered() -> None:
    document = StepDocument(type=StepType.LLM, name="n", status=Status.OK, cost_nusd=7)
    assert count(node_of("a", document), shadowed=False) == Counted(0, 0, 7, unpriced=False, unmetered=True)


def test_an_unmetered_wrapper_is_shadowed_by_any_call_below_it() -> None:
    assert shadowed(silent("a", None), node("b", "a")) == {"a"}
    assert shadowed(silent("a", None), node("s", "a", "span"), silent("b", "s")) == {"a"}
    assert count(silent("b", "s"), shadowed=False) == UNMETERED
    assert shadowed(silent("a", None), node("s", "a", "agent"), silent("b", "s")) == set()
    assert shadowed(silent("a", None, response_id="r1"), node("b", "a", response_id="r2")) == set()


def test_an_unmetered_call_hides_no_tokens_above_it_and_is_a_view_of_them() -> None:
    assert shadowed(node("a", None), silent("b", "a")) == {"b"}
    assert shadowed(node("a", None), node("s", "a", "span", None), silent("b", "s"), silent("c", "b")) == {"b", "c"}
    assert shadowed(node("a", None), node("s", "a", "tool", None), silent("b", "s")) == set()
    assert shadowed(node("a", None, response_id="r1"), silent("b", "a", response_id="r2")) == set()


def test_an_unmetered_call_is_examined_again_when_a_report_above_it_arrives() -> None:
    tree = Tree([silent("c", "b"), node("b", "a", "span", None)])
    assert shadowed_steps(tree) == set()

    tree.put(node("a", None))

    assert to_reexamine(tree, ["a"]) == {"a", "c"}
    assert shadowed_in_tree(tree, "c")


@pytest.mark.parametrize("between", ["span", "guardrail", "memory", "llm"])
def test_steps_that_are_no_work_of_their_own_do_not_separate(between: str) -> None:
    assert shadowed(node("a", None), node("b", "a", between, None), node("c", "b")) == {"a"}


@pytest.mark.parametrize("between", ["agent", "tool", "workflow", "handoff", "retrieval"])
def test_work_of_its_own_separates(between: str) -> None:
    assert shadowed(node("a", None), node("b", "a", between, None), node("c", "b")) == set()


def test_another_response_id_is_another_call() -> None:
    assert shadowed(node("a", None, response_id="1"), node("b", "a", response_id="2")) == set()
    assert shadowed(node("a", None, response_id="1"), node("b", "a", response_id="1")) == {"a"}
    assert shadowed(node("a", None, response_id="1"), node("b", "a")) == {"a"}
    assert shadowed(node("a", None, response_id="1"), node("b", "a", response_id="2"), node("c", "b", response_id="1")) == {"a"}


def test_a_call_without_usage_shadows_nothing() -> None:
    assert shadowed(node("a", None), node("b", "a", tokens=None), node("c", "a", tokens=0)) == set()


def test_cycles_and_missing_parents_end() -> None:
    assert shadowed(node("a", "b"), node("b", "a")) == {"a", "b"}
    assert shadowed(node("a", "a")) == set()
    assert shadowed(node("a", "missing")) == set()


def test_a_chain_of_ten_thousand_ends() -> None:
    nodes = [node("0", None), *(node(str(index), str(index - 1), "span", None) for index in range(1, 10_000))]

    assert shadowed(*nodes, node("last", "9999")) == set()


def test_what_a_late_parent_links_is_examined_again() -> None:
    tree = Tree([node("a", None), node("c", "b")])
    assert shadowed_steps(tree) == set()

    tree.put(node("b", "a", "span", None))

    assert to_reexamine(tree, ["b"]) == {"a"}
    assert shadowed_in_tree(tree, "a")


TYPES = ["llm", "embedding", "span", "agent", "tool", "guardrail"]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(TYPES), st.sampled_from([None, 5, SILENT]), st.sampled_from([None, "1", "2"])),
        max_size=10,
    ),
    st.randoms(use_true_random=False),
)
def test_step_by_step_in_any_order_gives_the_same(rows: list[tuple[int, str, int | None, str | None]], random: Any) -> None:
    nodes = [node(str(index), str(parent), kind, tokens, response) for index, (parent, kind, tokens, response) in enumerate(rows)]
    whole = shadowed_steps(Tree(nodes))
    assert shadowed_steps(Tree.upwards(nodes)) == whole
    random.shuffle(nodes)

    tree = Tree()
    known: set[str] = set()
    for item in nodes:
        tree.put(item)
        for step_id in to_reexamine(tree, [item.step_id]):
            known = known | {step_id} if shadowed_in_tree(tree, step_id) else known - {step_id}

    assert known == whole


@given(
    st.lists(
        st.tuples(st.integers(0, 14), st.sampled_from(TYPES), st.sampled_from([None, 5, SILENT]), st.sampled_from([None, "1", "2", "3"])),
        max_size=14,
    ),
    st.integers(0, 3),
    st.integers(1, 64),
    st.sets(st.integers(0, 14)),
)
def test_one_search_for_many_steps_finds_what_a_search_for_each_finds(
    rows: list[tuple[int, str, int | None, str | None]], alone_max: int, depth_max: int, asked: set[int]
) -> None:
    tree = Tree(node(str(index), str(parent), kind, tokens, response) for index, (parent, kind, tokens, response) in enumerate(rows))
    steps = {str(number) for number in asked}

    with patch.object(rollup, "ALONE_STEPS_MAX", alone_max), patch.object(rollup, "DEPTH_MAX", depth_max):
        assert wrappers_among(tree, steps) == {step for step in steps if shadowed_in_tree(tree, step)}


class CountingNodes(dict[str, Node]):
    """Counts how often a step is looked at."""

    looks = 0

    def __getitem__(self, step_id: str) -> Node:
        self.looks += 1
        return super().__getitem__(step_id)

    def get(self, step_id: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(step_id, default)


class CountingTree(Tree):
    def count(self) -> CountingNodes:
        self._nodes = CountingNodes(self._nodes)
        return self._nodes


@pytest.mark.parametrize("below", [("span", None), ("agent", None), ("llm", 10)])
def test_the_work_for_nested_wrappers_above_many_steps_does_not_grow_with_their_depth(below: tuple[str, int | None]) -> None:
    wrappers = [node(f"w{depth}", f"w{depth - 1}", response_id=f"r{depth}") for depth in range(DEPTH_MAX)]
    leaves = [node(f"l{index}", f"w{DEPTH_MAX - 1}", *below, response_id=f"other{index}") for index in range(20_000)]
    tree = CountingTree([*wrappers, *leaves])
    nodes = tree.count()

    assert wrappers_among(tree, to_reexamine(tree, ["l7", *(item.step_id for item in wrappers)])) == set()

    assert nodes.looks < DEPTH_MAX * (ALONE_STEPS_MAX + DEPTH_MAX) * 2 + 5 * len(leaves)  # a search for each would be 64 * 20,000


def test_of_overlapping_calls_with_one_response_the_first_counts() -> None:
    assert overlapping_claims([claim("b", 5, 15), claim("a", 0, 10)]).keys() == {("t", "b")}
    assert overlapping_claims([claim("a", 0, 10), claim("b", 0, 10, task_id="s")]).keys() == {("t", "a")}


def test_calls_that_do_not_overlap_count_both() -> None:
    assert overlapping_claims([claim("a", 0, 10), claim("b", 11, 15)]).keys() == set()


@pytest.mark.parametrize("fields", [{"response_id": "other"}, {"model": "other"}, {"model": None}])
def test_other_responses_or_models_count_both(fields: dict[str, Any]) -> None:
    assert overlapping_claims([claim("a", 0, 10), claim("b", 5, 15, **fields)]).keys() == set()


def test_missing_times() -> None:
    assert overlapping_claims([claim("a", None, None), claim("b", None, None)]).keys() == set()
    assert overlapping_claims([claim("a", 5, None), claim("b", 5, 6), claim("c", 7, 8)]).keys() == {("t", "b")}


def overlapping_by_definition(claims: list[Claim]) -> set[tuple[str, str]]:
    """R3 as the rule is worded: each claim is compared with every counted one that started before."""
    found: set[tuple[str, str]] = set()
    counted: list[Claim] = []
    timed = [one for one in claims if one.started_at_us is not None]
    for later in sorted(timed, key=lambda one: (one.started_at_us or 0, one.task_id, one.step_id)):
        start = later.started_at_us or 0
        same = [one for one in counted if (one.response_id, one.model) == (later.response_id, later.model)]
        ends = [one.ended_at_us if one.ended_at_us is not None else one.started_at_us for one in same]
        if any(end is not None and start <= end for end in ends):
            found.add((later.task_id, later.step_id))
        else:
            counted.append(later)
    return found


MOMENTS = st.none() | st.integers(-3, 20)
CLAIMS = st.lists(
    st.tuples(MOMENTS, MOMENTS, st.sampled_from(["r", "s"]), st.sampled_from(["m", "n", None]), st.sampled_from(["t", "u"])), max_size=30
)


@given(CLAIMS, st.randoms(use_true_random=False))
def test_one_pass_finds_what_the_definition_says_in_any_order(rows: list[Any], random: Any) -> None:
    claims = [
        claim(str(index), start, end, response_id=response, model=model, task_id=task)
        for index, (start, end, response, model, task) in enumerate(rows)
    ]
    expected = overlapping_by_definition(claims)
    random.shuffle(claims)

    assert overlapping_claims(claims).keys() == expected


@given(CLAIMS, st.integers(0, 20))
def test_a_response_id_of_too_many_steps_is_left_alone_and_the_others_are_not(rows: list[Any], steps_max: int) -> None:
    claims = [
        claim(str(index), start, end, response_id=response, model=model) for index, (start, end, response, model, _) in enumerate(rows)
    ]
    few = [one for one in claims if sum(other.response_id == one.response_id for other in claims) <= steps_max]

    assert overlapping_claims(claims, steps_max).keys() == overlapping_by_definition(few)


def test_a_response_id_that_a_thousand_steps_claim_is_compared_and_one_more_is_not() -> None:
    claims = [claim(f"{index:04}", 0, 10) for index in range(RESPONSE_STEPS_MAX)]

    assert len(overlapping_claims(claims)) == RESPONSE_STEPS_MAX - 1
    assert overlapping_claims([*claims, claim("more", 0, 10)]).keys() == set()
