"""Outlines of trees within a budget, and what differs between two trees."""

import pytest

from ams_contracts.human import cost_text, count_text, cut, duration_text, plural
from ams_contracts.task_diff import ALIGNED_CHILDREN_MAX, compare
from ams_contracts.task_tree import TaskTree, TreeStep, make_tree, outline

EVERYTHING = 1_000_000


def tree_of(*steps: tuple[int, str] | tuple[int, str, str]) -> TaskTree:
    """A tree of tools: parent and name, and a status other than ok."""
    made = [
        TreeStep(step_id=f"{index:016x}", parent=parent, type="tool", name=name, status=(*rest, "ok")[0])
        for index, (parent, name, *rest) in enumerate(steps)
    ]
    return make_tree("a" * 32, made)


def names(lines: list[str]) -> list[str]:
    return [line.split(",")[0].rstrip().removesuffix(f" [{line[-17:-1]}]") for line in lines]


def test_an_outline_shows_a_small_tree_completely() -> None:
    tree = tree_of((-1, "trip"), (0, "search"), (1, "fetch"), (0, "book", "error"))

    shown = outline(tree, characters_max=EVERYTHING)

    assert shown.lines == [
        "tool trip [0000000000000000]",
        "  tool search [0000000000000001]",
        "    tool fetch [0000000000000002]",
        "  tool book, ERROR [0000000000000003]",
    ]
    assert (shown.shown, shown.total, shown.next_offset, shown.closed) == (4, 4, None, [])


def test_an_outline_that_does_not_fit_has_fewer_levels_and_names_what_it_closed() -> None:
    tree = tree_of((-1, "trip"), (0, "plan"), (0, "search"), *((1, f"thought {n}") for n in range(9)), (2, "fetch", "error"))

    shown = outline(tree, characters_max=160)

    assert shown.lines == [
        "tool trip [0000000000000000]",
        "  tool plan [0000000000000001] (+9 below)",
        "  tool search [0000000000000002] (+1 below, 1 failed)",
    ]
    assert shown.closed == ["0000000000000002", "0000000000000001"]


def test_an_outline_continues_where_it_was_closed() -> None:
    tree = tree_of((-1, "trip"), *((0, f"call {n}", "error" if n == 90 else "ok") for n in range(100)))

    first = outline(tree, characters_max=EVERYTHING, children_max=10)
    more = outline(tree, characters_max=EVERYTHING, children_max=10, under=0, offset=10)

    assert len(first.lines) == 1 + 10 + 1 + 1
    assert first.lines[-2].strip().startswith("tool call 90, ERROR")
    assert first.lines[-1] == "  ... 89 more here (under 0000000000000000 from offset 10)"
    assert more.lines[0].startswith("tool call 10 ")
    assert more.next_offset == 20


def test_an_outline_shows_a_line_even_without_a_budget() -> None:
    shown = outline(tree_of((-1, "a"), (-1, "b")), characters_max=0)

    assert (len(shown.lines), shown.next_offset) == (1, 1)


def test_a_deep_chain_is_outlined_without_recursion() -> None:
    tree = tree_of((-1, "0"), *((n, str(n + 1)) for n in range(20_000)))

    assert outline(tree, characters_max=2_000).lines[0].startswith("tool 0")


def test_every_step_is_in_an_outline_or_below_a_closed_one() -> None:
    tree = tree_of((-1, "root"), *((n // 3, f"step {n}") for n in range(400)))

    for budget in (0, 100, 1_000, 10_000):
        shown = outline(tree, characters_max=budget)
        assert shown.shown == tree_lines(shown.lines)
        assert shown.shown == shown.total or shown.closed


def tree_lines(lines: list[str]) -> int:
    return sum(not line.strip().startswith("...") for line in lines)


def test_equal_trees_differ_in_nothing() -> None:
    tree = tree_of((-1, "trip"), (0, "search"), (0, "search"))

    found = compare(tree, tree)

    assert (found.matched, found.differences) == (3, [])


def test_a_comparison_names_what_only_one_task_has_and_what_changed() -> None:
    a = tree_of((-1, "trip"), (0, "search"), (0, "book"), (2, "pay"))
    b = tree_of((-1, "trip", "error"), (0, "search"), (0, "search"), (0, "apologise"))

    found = compare(a, b)

    assert [(one.kind, one.path, one.below) for one in found.differences] == [
        ("changed", "trip", 0),
        ("only_a", "trip > book", 1),
        ("only_b", "trip > search", 0),
        ("only_b", "trip > apologise", 0),
    ]
    assert found.matched == 2


def test_very_many_children_are_compared_by_their_names() -> None:
    many = ALIGNED_CHILDREN_MAX + 1
    a = tree_of((-1, "trip"), *((0, f"call {n % 7}") for n in range(many)))
    b = tree_of((-1, "trip"), *((0, f"call {n % 7}") for n in range(many)), (0, "call 0"))

    found = compare(a, b)

    assert [(one.kind, one.path) for one in found.differences] == [("only_b", "trip > call 0")]


def test_paths_of_a_deep_tree_stay_short() -> None:
    deep = tree_of((-1, "0"), *((n, f"step {n + 1}") for n in range(5_000)))
    other = make_tree("b" * 32, [*deep.steps[:-1], TreeStep(step_id="f" * 16, parent=4_999, type="tool", name="last", status="ok")])

    assert all(len(one.path) < 400 for one in compare(deep, other).differences)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(None, "-"), (0, "0 us"), (870, "870 us"), (12_400, "12.4 ms"), (999_900, "1.00 s"), (2_660_000, "2.66 s"), (72_000_000, "1 m 12 s"), (7_500_000_000, "2 h 05 m")],
)  # fmt: skip
def test_durations_are_written_with_their_unit(microseconds: int | None, text: str) -> None:
    assert duration_text(microseconds) == text


@pytest.mark.parametrize(
    ("nano_usd", "text"), [(None, "-"), (0, "$0"), (4_200_000, "$0.0042"), (3_600, "$0.0000036"), (12_000_000_000, "$12")]
)
def test_costs_are_exact(nano_usd: int | None, text: str) -> None:
    assert cost_text(nano_usd) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (12_400, "12.4k"), (999_900, "1m"), (1_300_000, "1.3m")])
def test_counts_are_short(number: int, text: str) -> None:
    assert count_text(number) == text


def test_a_text_is_cut_to_one_line() -> None:
    assert cut("one\n two  three", 9) == "one two…"


def test_one_thing_has_no_plural() -> None:
    assert [plural(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
