"""Four agents who write an article together: a planner, researchers, a writer and a critic."""

import asyncio
import random
from dataclasses import dataclass

from model import Message, RateLimitError, ask, call, say
from tools import PageTimeoutError, Tools
from topics import Section, Source, Topic

import ams

READ_ATTEMPTS_MAX = 3
TOKENS_MAX = 3_500


class BudgetExceededError(Exception):
    """The task used more than it may."""


@dataclass(frozen=True)
class Luck:
    """What goes wrong this time."""

    page_times_out: bool = False
    model_is_busy: bool = False
    needs_approval: bool = False
    budget_ends: bool = False


class Newsroom:
    """The agents of one article."""

    def __init__(self, topic: Topic, luck: Luck, chance: random.Random) -> None:
        self._topic = topic
        self._luck = luck
        self._chance = chance
        self._busy = luck.model_is_busy
        self._tools = Tools(chance, flaky=luck.page_times_out)
        self._tokens = 0

    async def write_article(self) -> str:
        """The whole way, from the question to the published text."""
        sections = await self.planner(self._topic.question, self._topic.audience)
        findings = await self._research(sections)
        draft = await self.writer(self._topic.draft, findings)
        remarks = await self.critic(draft)
        text = await self.writer(self._topic.revision, [remarks])
        await self._tools.no_personal_data(text)
        await self.editor(text)
        await self._tools.publish(self._topic.question, text)
        return text

    async def _research(self, sections: tuple[Section, ...]) -> list[str]:
        """All sections at once; when one fails the others are not finished."""
        researchers = [asyncio.create_task(self.researcher(section)) for section in sections]
        try:
            return await asyncio.gather(*researchers)
        finally:
            for researcher in researchers:
                researcher.cancel()

    @ams.agent(description="Splits a question into what has to be found out.", version="1.4")
    async def planner(self, question: str, audience: str) -> tuple[Section, ...]:
        """Decide what the article is made of."""
        messages = _conversation(
            "You plan short articles. Answer with headings and search queries.", f"{question}\n\nThe readers are {audience}."
        )
        plan = "\n".join(f"{number}. {section.heading} - `{section.query}`" for number, section in enumerate(self._topic.sections, 1))
        await self._think(
            "plan the article", "claude-sonnet-4-5", messages, say(f"Three minutes of reading, so no more than this:\n\n{plan}")
        )
        ams.current_step().output = {"sections": [section.heading for section in self._topic.sections]}
        return self._topic.sections

    @ams.agent(description="Finds and reads sources.", tools=["web_search", "read_page"], version="2.0")
    async def researcher(self, section: Section) -> str:
        """Find out one thing."""
        step = ams.current_step()
        step.input = {"heading": section.heading, "query": section.query}
        messages = _conversation("You are a careful researcher. Use the tools, cite what you read.", section.heading)
        search = await self._think("decide what to look for", "gpt-4o-mini", messages, call("call_1", "web_search", query=section.query))
        results = await self._tools.web_search(section.query, section)
        messages += [search, _result("call_1", "web_search", results)]
        for number, source in enumerate(section.sources, 2):
            wanted = await self._think("decide what to read", "gpt-4o-mini", messages, call(f"call_{number}", "read_page", url=source.url))
            page = await self._read(source)
            messages += [wanted, _result(f"call_{number}", "read_page", page)]
        await self._think("sum up", "gpt-4o-mini", messages, say(section.finding))
        return section.finding

    async def _read(self, source: Source) -> str:
        for attempt in range(1, READ_ATTEMPTS_MAX + 1):
            try:
                return await self._tools.read_page(source, attempt)
            except PageTimeoutError as error:
                ams.current_step().log(f"attempt {attempt}: {error}; trying again", level="warning")
                await asyncio.sleep(0.5 * attempt)
        return f"(could not read {source.url})"

    @ams.agent(description="Turns findings into prose.", version="3.1")
    async def writer(self, text: str, material: list[str]) -> str:
        """Write, or write again."""
        ams.current_step().input = {"question": self._topic.question, "material": material}
        messages = _conversation(
            f"You write for {self._topic.audience}. Short sentences, no jargon, Markdown.", "\n".join(f"- {item}" for item in material)
        )
        await self._think("write the text", "claude-sonnet-4-5", messages, say(text), temperature=0.7)
        return text

    @ams.agent(description="Reads like the strictest reader.", version="1.0")
    async def critic(self, draft: str) -> str:
        """Say what is wrong with it."""
        messages = _conversation("You are the strictest reader there is. Be fair, be brief.", draft)
        await self._think("review the draft", "gpt-4o", messages, say(self._topic.critique))
        with ams.evaluator("readability", input={"characters": len(draft)}) as step:
            await asyncio.sleep(self._chance.uniform(0.1, 0.4))
            step.output = {"score": round(self._chance.uniform(0.78, 0.96), 2), "passed": True}
        return self._topic.critique

    async def editor(self, text: str) -> None:
        """A person looks at it before it is published, if somebody wants to."""
        if not self._luck.needs_approval:
            return
        with ams.step("approval by the editor", type="handoff", input={"characters": len(text)}) as step:
            with step.waiting("for the editor to approve"):
                await asyncio.sleep(self._chance.uniform(6, 16))
            step.output = {
                "approved": True,
                "by": self._chance.choice(("maria", "jonas", "aiko")),
                "remark": self._chance.choice(("Go.", "Nice.", "Finally.")),
            }

    async def _think(self, what: str, model: str, messages: list[Message], script: Message, temperature: float = 0.2) -> Message:
        """One call of a model, with a second try when the provider is busy."""
        for attempt in (1, 2):
            try:
                return await self._ask(what, model, messages, script, temperature=temperature, attempt=attempt)
            except RateLimitError:
                await asyncio.sleep(1.2)
        return script

    async def _ask(self, what: str, model: str, messages: list[Message], script: Message, *, temperature: float, attempt: int) -> Message:
        with ams.llm(what, input=messages) as step:
            step.set(model_requested=model, parameters={"temperature": temperature, "max_tokens": 2_048}, attempts=attempt)
            if self._busy and self._tokens > 2_000:  # noqa: PLR2004 - somewhere in the middle
                self._busy = False
                await asyncio.sleep(0.4)
                raise RateLimitError("429: too many requests, try again in 1 s")
            reply = ask(model, messages, script, self._chance)
            step.set(provider=reply.provider)
            step.usage(input=reply.input_tokens, cache_read=reply.cached_tokens)
            async for piece in reply.pieces:
                step.delta(piece)
            step.model = model
            step.usage(output=reply.output_tokens)
            step.set(response_id=reply.response_id, finish_reason=reply.finish_reason)
            step.output = [reply.message]
        self._tokens += reply.input_tokens + reply.output_tokens
        if self._luck.budget_ends and self._tokens > TOKENS_MAX:
            raise BudgetExceededError(f"{self._tokens:,} tokens used, {TOKENS_MAX:,} allowed for this task")
        return reply.message


def _conversation(system: str, user: str) -> list[Message]:
    return [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": [{"type": "text", "text": user}]},
    ]


def _result(call_id: str, name: str, result: object) -> Message:
    return {"role": "tool", "content": [{"type": "tool_result", "id": call_id, "name": name, "result": result}]}
