"""What the demo's agents can do. Each takes as long as the real thing would."""

import asyncio
import random

from questions import Document, Question
from topics import Section, Source

import ams

EMBEDDING_MODEL = "text-embedding-3-small"


class PageTimeoutError(Exception):
    """A site did not answer in time."""


class Tools:
    """The tools of one task, with the luck it has."""

    def __init__(self, chance: random.Random, *, flaky: bool = False) -> None:
        self._chance = chance
        self._flaky = flaky

    async def _take(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._chance.uniform(shortest, longest))

    @ams.tool
    async def web_search(self, query: str, section: Section) -> list[dict[str, str]]:
        """Look for pages."""
        ams.current_step().input = {"query": query, "limit": 5}
        await self._take(0.3, 1.1)
        return [{"title": source.title, "url": source.url, "snippet": source.snippet} for source in section.sources]

    @ams.tool
    async def read_page(self, source: Source, attempt: int) -> str:
        """Fetch a page and keep its text."""
        step = ams.current_step()
        step.input = {"url": source.url, "timeout_seconds": 3}
        step.set(attempt=attempt)
        if self._flaky and attempt == 1:
            self._flaky = False
            await self._take(1.5, 2.5)
            raise PageTimeoutError(f"{source.url} did not answer within 3 s")
        await self._take(0.2, 0.9)
        step.log(f"200 OK, {len(source.snippet) * 37} bytes")
        return f"# {source.title}\n\n{source.snippet}"

    @ams.embedding(model=EMBEDDING_MODEL)
    async def embed(self, text: str) -> dict[str, int]:
        """Turn a question into a vector."""
        step = ams.current_step()
        await self._take(0.05, 0.15)
        step.usage(input=max(1, len(text) // 4))
        step.set(provider="openai")
        return {"dimensions": 1536}

    @ams.retrieval(name="manuals")
    async def find_passages(self, question: Question) -> list[dict[str, object]]:
        """The nearest passages of the manuals."""
        ams.current_step().input = {"query": question.text, "k": 8}
        await self._take(0.06, 0.2)
        return [_shown(document) for document in self._chance.sample(question.documents, len(question.documents))]

    @ams.rerank
    async def order_passages(self, question: Question) -> list[dict[str, object]]:
        """The best first."""
        ams.current_step().input = {"query": question.text, "documents": [document.document_id for document in question.documents]}
        await self._take(0.08, 0.25)
        return [_shown(document) for document in sorted(question.documents, key=lambda document: -document.score)]

    @ams.memory(name="what we know of them")
    async def recall(self, customer: str) -> dict[str, str]:
        """Earlier conversations with a customer."""
        await self._take(0.03, 0.1)
        return {"customer": customer, "tone": "friendly, short", "language": "en"}

    @ams.guardrail
    async def no_personal_data(self, text: str) -> dict[str, object]:
        """Nothing that leaves may name an address, a number or an account."""
        await self._take(0.05, 0.2)
        return {"passed": True, "checked_characters": len(text)}

    @ams.tool
    async def publish(self, title: str, text: str) -> dict[str, str]:
        """Put the article where readers find it."""
        ams.current_step().input = {"title": title, "characters": len(text)}
        await self._take(0.4, 1.0)
        return {"status": "published", "url": "https://example.org/articles/" + "-".join(title.lower().split()[:6]).strip("?")}


def _shown(document: Document) -> dict[str, object]:
    return {"id": document.document_id, "score": document.score, "text": document.text}
