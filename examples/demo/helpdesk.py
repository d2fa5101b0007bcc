"""One agent that answers a customer from the manuals: the short kind of task."""

import random

from model import ask, say
from questions import Question
from tools import Tools

import ams

MODEL = "gpt-4o-mini"


class Helpdesk:
    """The agent for one question."""

    def __init__(self, question: Question, chance: random.Random) -> None:
        self._question = question
        self._chance = chance
        self._tools = Tools(chance)

    @ams.agent(name="helpdesk", description="Answers customers from the manuals.", tools=["manuals"], version="5.2")
    async def answer(self, text: str) -> str:
        """From the question to the answer."""
        await self._tools.recall(self._question.customer)
        await self._tools.embed(text)
        await self._tools.find_passages(self._question)
        passages = await self._tools.order_passages(self._question)
        reply = await self._write(text, passages)
        await self._tools.no_personal_data(reply)
        return reply

    async def _write(self, text: str, passages: list[dict[str, object]]) -> str:
        known = "\n".join(f"[{passage['id']}] {passage['text']}" for passage in passages)
        messages = [
            {"role": "system", "content": [{"type": "text", "text": f"Answer the customer from these passages only.\n\n{known}"}]},
            {"role": "user", "content": [{"type": "text", "text": text}]},
        ]
        with ams.llm("answer the customer", input=messages) as step:
            step.set(model_requested=MODEL, parameters={"temperature": 0.1})
            reply = ask(MODEL, messages, say(self._question.answer), self._chance)
            async for piece in reply.pieces:
                step.delta(piece)
            step.model = f"{MODEL}-2024-07-18"
            step.usage(input=reply.input_tokens, output=reply.output_tokens, cache_read=reply.cached_tokens)
            step.set(provider=reply.provider, response_id=reply.response_id, finish_reason=reply.finish_reason)
            step.output = [reply.message]
        return self._question.answer
