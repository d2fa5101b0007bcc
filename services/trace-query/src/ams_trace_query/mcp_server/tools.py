"""The tools. Each one reads with the routes of this service, and answers shortly with a sentence that says how to continue."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import msgspec
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent
from msgspec import Struct
from pydantic import Field

from ams_contracts.human import cut, duration_text
from ams_contracts.task_diff import Difference, compare
from ams_contracts.task_tree import TaskTree, TreeStep, facts_of, line_of, outline, read_tree
from ams_contracts.views import Task
from ams_trace_query.mcp_server.answers import (
    ComparisonAnswer,
    DifferenceLine,
    ErrorGroup,
    ErrorSummary,
    PayloadPart,
    StatisticsAnswer,
    StatisticsLine,
    StepDetail,
    StepList,
    TaskList,
    TreeAnswer,
)
from ams_trace_query.mcp_server.lines import failure_text, step_line, task_line, time_text, usd_text
from ams_trace_query.mcp_server.rest import Caller, caller_of
from ams_trace_query.statistics import Statistics
from ams_trace_query.steps import Payload, StepAnswer, StepPage
from ams_trace_query.tasks import TaskAnswer, TaskPage

CHARS_PER_TOKEN = 3  # ids in hexadecimal cost more than prose
TREE_TOKENS_DEFAULT = 2_000
TREE_TOKENS_MAX = 12_000
PAYLOAD_CHARS_DEFAULT = 4_000
PAYLOAD_CHARS_MAX = 20_000
LIST_MAX = 50
DIFFERENCES_MAX = 100
ERROR_GROUPS_MAX = 30
FAILED_STEPS_MAX = 500
LARGE_TASK_STEPS = 5_000
HOURS_MAX = 24 * 90
CURSOR_SEPARATOR = "~"

Ctx = Context[Any, Any]
TaskId = Annotated[str, Field(description="32 hex digits.", max_length=64)]
StepId = Annotated[str, Field(description="16 hex digits.", max_length=32)]
Query = Annotated[
    str, Field(description='Query language, such as: status:error latency:>2s agent:planner -tool:search "exact words". Empty: all.')
]
Hours = Annotated[float, Field(gt=0, le=HOURS_MAX, description="Only what started in the last so many hours.")]
Cursor = Annotated[str, Field(description="The cursor of the answer before; all other arguments stay the same.", max_length=1_024)]
Limit = Annotated[int, Field(ge=1, le=LIST_MAX)]
GroupBy = Literal["hour", "day", "agent", "model", "type", "status", "tool"]

_tasks = msgspec.json.Decoder(TaskPage)
_task = msgspec.json.Decoder(TaskAnswer)
_steps = msgspec.json.Decoder(StepPage)
_step = msgspec.json.Decoder(StepAnswer)
_statistics = msgspec.json.Decoder(Statistics)


class Range(Struct, frozen=True):
    """A range of time with a cursor. The cursor of a list is valid for the same range only, so a tool's cursor carries the start of its range."""

    start: str
    cursor: str

    @classmethod
    def of(cls, now: datetime, hours: float | None, cursor: str) -> "Range":
        """The range of a call: the last hours, or that of its cursor."""
        if cursor:
            start, separator, rest = cursor.rpartition(CURSOR_SEPARATOR)
            return cls(start if separator else "", rest)
        return cls("" if hours is None else (now - timedelta(hours=hours)).isoformat(timespec="seconds"), "")

    def parameters(self) -> dict[str, str]:
        """For a list of the REST interface."""
        return {"from": self.start, "cursor": self.cursor}

    def cursor_of(self, next_cursor: str) -> str:
        """The cursor of the tool's answer."""
        return f"{self.start}{CURSOR_SEPARATOR}{next_cursor}" if self.start else next_cursor


async def search_tasks(
    context: Ctx,
    *,
    query: Query = "",
    hours: Hours | None = None,
    sort: Annotated[str, Field(description="newest, or another order of the explorer's list such as -cost, -duration or -tokens.")] = "",
    limit: Limit = 20,
    cursor: Cursor = "",
) -> TaskList:
    """Find tasks (runs of agents), newest first. Start here; read one with task_tree."""
    caller = caller_of(context)
    span = Range.of(caller.now, hours, cursor)
    page = _tasks.decode(await caller.get("tasks", q=query, sort=sort, limit=limit, **span.parameters()))
    answer = TaskList(tasks=[task_line(task) for task in page.items])
    return _continued(answer, span, page)


async def search_steps(context: Ctx, query: Query, hours: Hours | None = None, limit: Limit = 20, cursor: Cursor = "") -> StepList:
    """Find steps (model calls, tools, retrievals ...) across tasks, newest first. task:ID in the query stays inside one task."""
    caller = caller_of(context)
    span = Range.of(caller.now, hours, cursor)
    page = _steps.decode(await caller.get("steps", q=query, limit=limit, **span.parameters()))
    answer = StepList(steps=[step_line(step) for step in page.items])
    return _continued(answer, span, page)


async def task_tree(
    context: Ctx,
    task: TaskId,
    under: Annotated[str, Field(description="Start at the children of this step, to go deeper.", max_length=32)] = "",
    offset: Annotated[int, Field(ge=0, description="Leave out this many of the first level.")] = 0,
    tokens: Annotated[int, Field(ge=100, le=TREE_TOKENS_MAX, description="About how long the answer may be.")] = TREE_TOKENS_DEFAULT,
) -> TreeAnswer:
    """Show what a task did: its steps as an indented outline with durations, tokens, cost and failures, as deep as the budget allows."""
    caller = caller_of(context)
    answer = _task.decode(await caller.get(f"tasks/{_path(task)}"))
    tree = await _tree(caller, answer.task)
    index = None
    if under:
        index = tree.index_of(under.lower())
        if index is None:
            raise ToolError(f"The step {cut(under, 32)} is not in this task. Call task_tree without under to see which are.")
    shown = await asyncio.to_thread(outline, tree, characters_max=tokens * CHARS_PER_TOKEN, under=index, offset=offset)
    result = TreeAnswer(task=task_line(answer.task), tree="\n".join(shown.lines), shown=shown.shown, of=shown.total)
    hints: list[str] = []
    if shown.next_offset is not None:
        hints.append(f"task_tree(offset={shown.next_offset}{f', under={under}' if under else ''}) continues the first level")
    if shown.closed:
        hints.append(f"task_tree(under=ID) opens a step with more below it, such as {shown.closed[0]}")
    if not tree.complete:
        hints.append(f"only the first {len(tree.steps)} steps are in this tree; search_steps(query='task:{answer.task.task_id}') finds all")
    hints.append("step_detail(task, step) shows inputs and outputs")
    result["next"] = "; ".join(hints)
    return result


async def step_detail(
    context: Ctx,
    *,
    task: TaskId,
    step: StepId,
    slot: Annotated[
        Literal["", "input", "output", "error_stack", "logs", "original"],
        Field(description="Only this payload; empty: the beginning of input, output, error_stack and logs."),
    ] = "",
    offset: Annotated[int, Field(ge=0, description="First character of the payload.")] = 0,
    characters: Annotated[int, Field(ge=100, le=PAYLOAD_CHARS_MAX, description="Of all payloads together.")] = PAYLOAD_CHARS_DEFAULT,
) -> StepDetail:
    """Read one step with its input, output and error stack, in pages."""
    answer = _step.decode(await caller_of(context).get(f"tasks/{_path(task)}/steps/{_path(step)}"))
    wanted = [one for one in answer.payloads if (one.slot == slot if slot else one.slot != "original")]
    if not wanted:
        there = ", ".join(one.slot for one in answer.payloads)
        raise ToolError(f"This step has no payload {slot}. It has: {there}.")
    share = characters // max(1, sum(one.text is not None for one in wanted))
    parts = [_part(one, offset if slot else 0, share) for one in wanted]
    found = answer.step
    facts = {
        "provider": found.provider,
        "tool": found.tool_name,
        "agent": found.agent,
        "finish_reasons": ", ".join(found.finish_reasons),
        "time_to_first_token": None if found.ttft_us is None else duration_text(found.ttft_us),
        "parameters": found.parameters,
        "waiting_for": found.waiting_for,
        "attempts": str(found.attempts) if found.attempts > 1 else None,
        "flags": ", ".join([*found.flags, *found.derived_flags]),
    }
    detail = StepDetail(
        step=step_line(found, previews=False), facts={name: cut(value, 400) for name, value in facts.items() if value}, payloads=parts
    )
    if found.parent_step_id is not None:
        detail["parent"] = found.parent_step_id
    more = [
        f"step_detail(slot={part['slot']}, offset={part.get('from_character', 0) + len(part['text'])})"
        for part in parts
        if "text" in part and part.get("from_character", 0) + len(part["text"]) < part.get("characters", 0)
    ]
    if more:
        detail["next"] = "Read on with " + " or ".join(more)
    return detail


async def compare_tasks(context: Ctx, a: TaskId, b: TaskId) -> ComparisonAnswer:
    """Show what differs between two tasks: steps that only one has, and steps with another status or model. Use it for a good and a bad run."""
    caller = caller_of(context)
    tasks = [_task.decode(await caller.get(f"tasks/{_path(one)}")).task for one in (a, b)]
    trees = [await _tree(caller, one) for one in tasks]
    found = await asyncio.to_thread(compare, *trees)
    answer = ComparisonAnswer(
        a=task_line(tasks[0]),
        b=task_line(tasks[1]),
        matched_steps=found.matched,
        differences=[_difference(one) for one in found.differences[:DIFFERENCES_MAX]],
    )
    hints: list[str] = []
    if len(found.differences) > DIFFERENCES_MAX:
        hints.append(f"{len(found.differences) - DIFFERENCES_MAX} more differences; compare the trees with task_tree")
    if not all(tree.complete for tree in trees):
        hints.append("only the first steps of a very large task were compared")
    hints.append("step_detail(task, step) shows what a step received and answered")
    answer["next"] = "; ".join(hints)
    return answer


async def recent_errors(
    context: Ctx, minutes: Annotated[int, Field(ge=1, le=60 * 24 * 7, description="How far back.")] = 60, query: Query = ""
) -> ErrorSummary:
    """Summarise the failed steps of the last hour (or other minutes): which step, which error, how often, and the latest example."""
    caller = caller_of(context)
    since = caller.now - timedelta(minutes=minutes)
    q = f"status:error ({query})" if query.strip() else "status:error"
    page = _steps.decode(await caller.get("steps", q=q, limit=FAILED_STEPS_MAX, **{"from": since.isoformat()}))
    groups: dict[tuple[str, str, str], ErrorGroup] = {}
    counted = 0
    for step in page.items:
        if step.affected:  # it failed because a step below it did, which is in the list itself
            continue
        counted += 1
        error = failure_text(step.error) or "(no message)"
        group = groups.get(key := (str(step.type), step.name, error))
        if group is not None:
            group["count"] += 1
            continue
        groups[key] = ErrorGroup(
            count=1,
            type=str(step.type),
            name=cut(step.name, 120),
            error=error,
            latest=time_text(step.started_at_us or 0),
            task=step.task_id,
            step=step.step_id,
        )
    ordered = sorted(groups.values(), key=lambda one: -one["count"])
    answer = ErrorSummary(since=time_text(int(since.timestamp() * 1e6)), failed_steps=counted, groups=ordered[:ERROR_GROUPS_MAX])
    hints = ["step_detail(task, step) shows the stack"] if groups else []
    if page.next_cursor is not None:
        hints.append(f"there are more failures than the newest {len(page.items)} that were counted; use fewer minutes, or search_steps")
    if hints:
        answer["next"] = "; ".join(hints)
    return answer


async def statistics(
    context: Ctx,
    *,
    group_by: Annotated[GroupBy | None, Field(description="Null: everything is one group.")] = None,
    hours: Hours = 24,
    agent: str | None = None,
    model: str | None = None,
    type: str | None = None,  # noqa: A002  the name of the filter
    tool: str | None = None,
    limit: Limit = 20,
) -> StatisticsAnswer:
    """Count steps, failures, tokens, cost and durations of the last hours, in groups: which model costs most, which tool fails or is slow."""
    caller = caller_of(context)
    body = await caller.get(
        "statistics",
        group_by=group_by,
        agent=agent,
        model=model,
        type=type,
        tool=tool,
        limit=limit,
        **Range.of(caller.now, hours, "").parameters(),
    )
    found = _statistics.decode(body)
    answer = StatisticsAnswer(since=time_text(found.from_us), until=time_text(found.to_us), groups=[])
    for group in found.items:
        key = time_text(int(group.key)) if group_by in {"hour", "day"} else group.key
        line = StatisticsLine(key=key, steps=group.steps, errors=group.errors, tokens=group.input_tokens + group.output_tokens)
        if (cost := usd_text(group.cost_usd)) is not None:
            line["cost"] = cost
        if group.duration_us.p50 is not None:
            line["median"] = duration_text(group.duration_us.p50)
        if group.duration_us.p95 is not None:
            line["p95"] = duration_text(group.duration_us.p95)
        answer["groups"].append(line)
    if found.truncated:
        answer["next"] = "There are more groups: raise limit, or filter."
    return answer


P = ParamSpec("P")
R = TypeVar("R")
TOOLS: tuple[Callable[..., Awaitable[Any]], ...] = (
    search_tasks,
    search_steps,
    task_tree,
    step_detail,
    compare_tasks,
    recent_errors,
    statistics,
)


def compactly(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[CallToolResult]]:
    """The same tool, with its answer as text without the white space that the SDK would add, and as typed content."""

    @wraps(tool)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        result: Any = await tool(*args, **kwargs)
        return CallToolResult(content=[TextContent(type="text", text=msgspec.json.encode(result).decode())], structured_content=result)

    signature = inspect.signature(tool)
    returned = Annotated[CallToolResult, signature.return_annotation]
    answer.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]  read by inspect.signature
    answer.__annotations__ = {**tool.__annotations__, "return": returned}
    return answer


async def _tree(caller: Caller, task: Task) -> TaskTree:
    small = task.steps <= LARGE_TASK_STEPS
    try:
        skeleton = await caller.get(f"tasks/{task.task_id}/skeleton")
    except ToolError:
        if small:
            raise
        skeleton = await caller.get(f"tasks/{task.task_id}/skeleton", first=LARGE_TASK_STEPS)
    return read_tree(skeleton) if small else await asyncio.to_thread(read_tree, skeleton)


def _part(payload: Payload, offset: int, characters: int) -> PayloadPart:
    part = PayloadPart(slot=str(payload.slot))
    if payload.text is None:
        part["absent"] = payload.absent or "not_captured"
        return part
    part["text"] = payload.text[offset : offset + characters]
    part["characters"] = len(payload.text)
    if offset:
        part["from_character"] = offset
    if payload.truncated:
        part["truncated_by_the_agent"] = True
    return part


def _difference(one: Difference) -> DifferenceLine:
    what = {"only_a": "only in a", "only_b": "only in b"}.get(one.kind) or _changes(one.a, one.b)
    line = DifferenceLine(what=what + (f", with {one.below} steps below" if one.below else ""), path=one.path)
    if one.a is not None:
        line["a"] = line_of(one.a)
    if one.b is not None:
        line["b"] = line_of(one.b)
    return line


def _changes(a: TreeStep | None, b: TreeStep | None) -> str:
    if a is None or b is None:
        return ", ".join(facts_of(a or b)) if a or b else ""  # type: ignore[arg-type]
    changed = [(name, getattr(a, name), getattr(b, name)) for name in ("status", "model")]
    return ", ".join(f"{name} {before} -> {after}" for name, before, after in changed if before != after)


def _path(part: str) -> str:
    """An id as a part of a path: what is not an id must not become another path."""
    if not part.isalnum():
        raise ToolError(f"{cut(part, 40)!r} is not an id. Ids are hexadecimal; search_tasks and task_tree list them.")
    return part


def _continued(answer: Any, span: Range, page: TaskPage | StepPage) -> Any:
    if page.next_cursor is not None:
        stopped = page.scanned_back_to_us
        reason = (
            "" if stopped is None else f" The search was stopped by its time limit; everything since {time_text(stopped)} was looked at."
        )
        answer["next"] = f"More with cursor={span.cursor_of(page.next_cursor)}{reason}"
    return answer
