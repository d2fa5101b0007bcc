"""Mistakes that a type checker finds only where a decorator keeps the signature; each line marked ``refused`` is one."""

from collections.abc import AsyncIterator, Iterator

import ams


@ams.tool
def search(query: str, *, limit: int = 3) -> list[str]:
    return [query] * limit


@ams.llm(model="gpt-4o-mini")
async def ask(question: str) -> str:
    return question


@ams.llm
def stream(prompt: str) -> Iterator[str]:
    yield prompt


@ams.llm("later")
async def stream_later(prompt: str) -> AsyncIterator[str]:
    yield prompt


class Planner:
    @ams.step
    def plan(self, goal: str) -> str:
        return goal

    @classmethod
    @ams.step(type="workflow")
    def make(cls, size: int) -> "Planner":
        return cls()

    @staticmethod
    @ams.memory
    def remember(key: str) -> str:
        return key


async def use() -> None:
    search(1)  # refused
    search("a", 3)  # refused
    search("a", depth=1)  # refused
    search("a").lower()  # refused
    ask("a").lower()  # refused
    (await ask("a")).append("a")  # refused
    await ask(1)  # refused
    stream(1)  # refused
    next(stream("a")).append(1)  # refused
    stream_later(1)  # refused
    Planner().plan()  # refused
    Planner().plan(1)  # refused
    Planner.make("a")  # refused
    Planner.remember(1)  # refused
    ams.carry(search)(1)  # refused
    ams.tool(name=1)  # refused
    ams.step("a", kind="b")  # refused
    ams.llm("a", capture="some")  # refused
    ams.task("a", tags="b")  # refused
    ams.agent("a", tools="search")  # refused
    ams.init(transport="pigeon")  # refused
    with ams.step("a") as step:
        step.usage(input="1")  # refused
        step.task_id = "a"  # refused
