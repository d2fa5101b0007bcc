"""Which steps' tokens and cost count: the roll-up rules against double counting. Pure; the projector calls it.

Instrumentations repeat usage: on agents above the calls, on wrappers around the same call, in two families that both run.

* **R1** Only steps of ``BILLABLE_TYPES`` count. Usage on any other type (agent, tool, workflow ...) stays on its step as what that step
  reported, and is never summed: real wrappers report it in traces of their own (Vercel) or for calls whose steps are there too (Strands).
* **R2** A billable step with a billable descendant, no ``STOP_TYPES`` between them and no different response id, is a wrapper: shadowed.
* **R3** Billable steps of one project, not shadowed by R2, that are several instrumentations' views of one call: the one that started first
  counts, the others are shadowed. They may lie in different tasks. ``repeated_calls`` says which they are.

A model call that was answered and reported no tokens is *unmetered*: its task's totals are lower bounds. R2 applies to it as well: it is a
wrapper of any call below it, and a view of a call above it that reports tokens; a call that reports something is a wrapper only of another
one that does.

Evaluate on a partial tree: R2 of a step needs only what is above and below it up to the next stop types, so load, for the steps that a
batch touches, (1) their ancestors while the types are not stop types, (2) the descendants of all of these that are calls, and of the touched
steps that lie below a call, down to the next stop type; put them into a ``Tree``; ask ``to_reexamine`` for the steps whose answer may have
changed and ``shadowed_in_tree`` for each.
The answer depends on the set of steps alone, not on the order in which they came. A step whose R2 answer changes joins or leaves R3.
"""

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from ams_contracts.documents import BILLABLE_TYPES, Status, StepDocument, StepType

STOP_TYPES = frozenset({StepType.AGENT, StepType.TOOL, StepType.WORKFLOW, StepType.HANDOFF, StepType.RETRIEVAL})
"""Separate work begins here: a step below is no second view of a step above (ADK: call_llm > transfer > agent > call_llm)."""

METERED_TYPES = frozenset({StepType.LLM, StepType.EMBEDDING})
"""Their providers bill by tokens, so that an answer without a token count is a gap. Reranks are mostly billed by the search."""

PASSIVE_TYPES = frozenset({StepType.SPAN, StepType.LOG, StepType.WORKFLOW})
"""What may be around repeated calls in a task that does nothing else."""

DEPTH_MAX = 64  # wrappers nest two or three deep; bounds the search in a chain of 10,000 spans

ALONE_STEPS_MAX = 256
"""Steps that R2 visits for one step alone. A call is mostly found among the first few; beyond, all steps in question share one search."""


class Node(Struct, frozen=True, gc=False, kw_only=True):
    """What the rules need of one step."""

    step_id: str
    parent_step_id: str | None
    type: StepType
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nusd: int | None = None
    response_id: str | None = None
    call_key: str | None = None
    unmetered: bool = False

    @property
    def call(self) -> bool:
        """Whether R2 applies: the step is billable or unmetered."""
        return self.unmetered or (self.type in BILLABLE_TYPES and bool(self.input_tokens or self.output_tokens or self.cost_nusd))

    @property
    def billable(self) -> bool:
        """R1: of a billable type, and reports something."""
        return self.type in BILLABLE_TYPES and bool(self.input_tokens or self.output_tokens or self.cost_nusd)


def node_of(step_id: str, document: StepDocument) -> Node:
    """The node of a step's document."""
    usage = document.usage
    return Node(
        step_id=step_id,
        parent_step_id=document.parent_step_id,
        type=document.type,
        input_tokens=None if usage is None else usage.input,
        output_tokens=None if usage is None else usage.output,
        cost_nusd=document.cost_nusd,
        response_id=document.response_id,
        call_key=document.call_key,
        unmetered=is_unmetered(
            document.type,
            document.status,
            None if usage is None else usage.input,
            None if usage is None else usage.output,
            answered=bool(document.response_id or document.preview_output),
        ),
    )


def is_unmetered(kind: StepType, status: Status, input_tokens: int | None, output_tokens: int | None, *, answered: bool) -> bool:
    """Whether a model call ended with an answer and without a token count.

    A call that failed before an answer, such as one over a rate limit, used none. Cancelled and lost calls are left out: nobody knows
    whether they were answered. A reported zero is a count.
    """
    if input_tokens is not None or output_tokens is not None or kind not in METERED_TYPES:
        return False
    return status is Status.OK or (status is Status.ERROR and answered)


class Tree:
    """Some steps of one task, by id and by parent. Parents may be missing and cycles may exist; every traversal ends."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._nodes: dict[str, Node] = {}
        self._children: dict[str, set[str]] = {}
        for node in nodes:
            self.put(node)

    @classmethod
    def upwards(cls, nodes: Iterable[Node]) -> "Tree":
        """A tree that knows only what is above a step, of nodes that come once: enough for ``shadowed_steps``, and made in a third of the time."""
        tree = cls()
        tree._nodes = {node.step_id: node for node in nodes}
        return tree

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, step_id: str) -> Node | None:
        return self._nodes.get(step_id)

    def put(self, node: Node) -> None:
        """Add a step, or replace what was known of it."""
        before = self._nodes.get(node.step_id)
        if before is not None and before.parent_step_id is not None and before.parent_step_id != node.parent_step_id:
            self._children[before.parent_step_id].discard(node.step_id)
        self._nodes[node.step_id] = node
        if node.parent_step_id is not None:
            self._children.setdefault(node.parent_step_id, set()).add(node.step_id)

    def is_isolated(self, node: Node) -> bool:
        """Whether R2 depends on nothing else here: the step has no children, and no parent that it could be a view of."""
        if self._children.get(node.step_id):
            return False
        above = self._nodes.get(node.parent_step_id) if node.parent_step_id is not None else None
        return above is None or above.type in STOP_TYPES

    def ancestors(self, step_id: str) -> Iterator[Node]:
        """Those above, nearest first, up to and without the first stop type, missing parent, repetition, or ``DEPTH_MAX``."""
        seen = {step_id}
        node = self._nodes.get(step_id)
        while node is not None and node.parent_step_id is not None and node.parent_step_id not in seen and len(seen) <= DEPTH_MAX:
            node = self._nodes.get(node.parent_step_id)
            if node is None or node.type in STOP_TYPES:
                return
            seen.add(node.step_id)
            yield node

    def descendants(self, step_ids: Iterable[str]) -> Iterator[Node]:
        """Those below any of some steps, level by level, not past stop types and not deeper than ``DEPTH_MAX``. Each comes once."""
        return (node for node in self.visited_below(step_ids) if node.type not in STOP_TYPES)

    def visited_below(self, step_ids: Iterable[str]) -> Iterator[Node]:
        """The same with the stop types at which the search ends."""
        level = list(step_ids)
        seen = set(level)
        for _ in range(DEPTH_MAX):
            above, level = level, []
            for parent in above:
                for child in self._children.get(parent, ()):
                    if child in seen:
                        continue
                    seen.add(child)
                    node = self._nodes[child]
                    if node.type not in STOP_TYPES:
                        level.append(child)
                    yield node
            if not level:
                return


def shadowed_in_tree(tree: Tree, step_id: str) -> bool:
    """R2: whether the step is a wrapper of a call below it, or an unmetered view of one above it."""
    node = tree.get(step_id)
    if node is None or not node.call:
        return False
    return _is_reported_above(tree, node) or any(_is_view(node, below) for below in tree.descendants([step_id]))


def wrappers_among(tree: Tree, step_ids: Iterable[str]) -> set[str]:
    """R2: those of some steps of which ``shadowed_in_tree`` is true.

    The steps below nested wrappers are visited once for all of them, not once for each: the work grows with the steps, not with steps
    times depth.
    """
    found: set[str] = set()
    undecided: dict[str, Node] = {}
    for step_id in step_ids:
        node = tree.get(step_id)
        if node is None or not node.call:
            continue
        if _is_reported_above(tree, node):
            found.add(step_id)
            continue
        for visited, below in enumerate(tree.visited_below([step_id])):
            if visited == ALONE_STEPS_MAX:
                undecided[step_id] = node
                break
            if below.type not in STOP_TYPES and _is_view(node, below):
                found.add(step_id)
                break
    if undecided:
        found |= _wrappers_above(tree, undecided)
    return found


def _wrappers_above(tree: Tree, undecided: dict[str, Node]) -> set[str]:
    """The same from below: climb from each billable step, and not where a step that decides the same has climbed."""
    found: set[str] = set()
    response_ids = {node.response_id for node in undecided.values()}
    climbed: dict[tuple[str, bool, bool, str | None], int] = {}  # the shortest way to a step, by what a call below it decides
    for below in [*undecided.values(), *tree.descendants(undecided)]:
        if not below.call:
            continue
        known = below.response_id is None or below.response_id in response_ids
        response_id = below.response_id if known else None  # all that no step in question names decide the same
        path: list[tuple[str, bool, bool, str | None]] = []
        last: Node | None = None
        for distance, above in enumerate(tree.ancestors(below.step_id)):
            place = above.step_id, below.billable, known, response_id
            if climbed.get(place, DEPTH_MAX) <= distance:
                last = None
                break
            last = above
            path.append(place)
            node = undecided.get(above.step_id)
            if node is not None and _is_view(node, below):
                found.add(above.step_id)
        if last is None or last.parent_step_id != below.step_id:  # a step in a cycle does not climb past itself, and others do
            climbed.update((place, distance) for distance, place in enumerate(path))
        if len(found) == len(undecided):
            break
    return found


def shadowed_steps(tree: Tree) -> set[str]:
    """R2 for every step of the tree at once, by climbing from each call. A tree ``upwards`` is enough."""
    found: set[str] = set()
    for node in tree:
        if node.call:
            found.update(above.step_id for above in tree.ancestors(node.step_id) if above.call and _is_view(above, node))
            if _is_reported_above(tree, node):
                found.add(node.step_id)
    return found


def to_reexamine(tree: Tree, touched: Collection[str], left: Iterable[str] = ()) -> set[str]:
    """The calls for which R2 may have changed.

    Args:
        tree: After the change.
        touched: Steps that were added or changed.
        left: Steps that were parents of these before.
    """
    found = {below.step_id for below in tree.descendants(touched) if below.unmetered and not below.billable}
    for step_id in (*touched, *left):
        node = tree.get(step_id)
        if node is not None and node.call:
            found.add(step_id)
        found.update(above.step_id for above in tree.ancestors(step_id) if above.call)
    return found


class Counted(Struct, frozen=True, gc=False):
    """What a step adds to its task's totals.

    Attributes:
        input_tokens: 0 where unknown.
        output_tokens: 0 where unknown.
        cost_nusd: Null when its cost is unknown.
        unpriced: It has no cost, and should have one.
        unmetered: It has no token count, and should have one.
    """

    input_tokens: int
    output_tokens: int
    cost_nusd: int | None
    unpriced: bool
    unmetered: bool = False


NOTHING = Counted(0, 0, None, unpriced=False)
UNMETERED = Counted(0, 0, None, unpriced=False, unmetered=True)


def count(node: Node, *, shadowed: bool) -> Counted:
    """R1, given whether R2 or R3 shadows the step."""
    if shadowed:
        return NOTHING
    if not node.billable:
        return UNMETERED if node.unmetered else NOTHING
    return Counted(
        node.input_tokens or 0, node.output_tokens or 0, node.cost_nusd, unpriced=node.cost_nusd is None, unmetered=node.unmetered
    )


def _is_view(above: Node, below: Node) -> bool:
    """Whether a call may be a view of one below it, which counts instead."""
    return (below.billable or (below.unmetered and not above.billable)) and _same_response(above, below)


def _is_reported_above(tree: Tree, node: Node) -> bool:
    """Whether a call that reports no tokens lies within one that reports them for both."""
    if not node.unmetered or node.billable:
        return False
    return any(above.billable and _same_response(above, node) for above in tree.ancestors(node.step_id))


def _same_response(above: Node, below: Node) -> bool:
    return above.response_id is None or below.response_id is None or above.response_id == below.response_id
