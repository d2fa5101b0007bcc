"""AMS shows what your agent does while it does it.

    import ams

    ams.init()  # reads AMS_API_KEY and AMS_ENDPOINT

    @ams.tool
    def search(query: str) -> list[str]: ...

    with ams.task("Answer a letter") as task:
        with ams.step("draft", type="llm", model="gpt-4o-mini") as s:
            s.output = "Dear Ada ..."
            s.usage(input=812, output=164)

Nothing here raises into the agent or waits for the network, except ``flush`` and ``shutdown``, which wait up to their timeout.
"""

from ams.api import current_step, flush, init, instrument, shutdown
from ams.sending.flush_result import FlushResult
from ams.tracing.handles import Step, Task
from ams.tracing.kinds import (
    agent,
    carry,
    embedding,
    evaluator,
    guardrail,
    handoff,
    llm,
    memory,
    rerank,
    retrieval,
    step,
    task,
    tool,
    workflow,
)
from ams.tracing.propagation import extract, inject
from ams.tracing.scores import score
from ams.version import __version__

__all__ = [
    "FlushResult",
    "Step",
    "Task",
    "__version__",
    "agent",
    "carry",
    "current_step",
    "embedding",
    "evaluator",
    "extract",
    "flush",
    "guardrail",
    "handoff",
    "init",
    "inject",
    "instrument",
    "llm",
    "memory",
    "rerank",
    "retrieval",
    "score",
    "shutdown",
    "step",
    "task",
    "tool",
    "workflow",
]
