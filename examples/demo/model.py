"""A language model that plays from a script: the same words every time, at the speed of a real one, with its token counts and its bad days."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
CHARS_PER_TOKEN = 4
PIECE_CHARS = 24  # a few words at once: enough for the eye, cheap for the machine


class RateLimitError(Exception):
    """The provider wants a pause."""


@dataclass(frozen=True)
class Speed:
    """How fast a model answers."""

    provider: str
    first_token_seconds: tuple[float, float]
    tokens_per_second: tuple[float, float]


SPEEDS = {
    "claude-sonnet-4-5": Speed("anthropic", (0.7, 1.6), (30, 50)),
    "gpt-4o": Speed("openai", (0.4, 0.9), (60, 90)),
    "gpt-4o-mini": Speed("openai", (0.4, 1.0), (35, 70)),
}


@dataclass
class Reply:
    """An answer on its way: iterate ``pieces``, then read the rest."""

    pieces: AsyncIterator[str]
    message: Message
    provider: str
    response_id: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    finish_reason: str


def tokens(value: object) -> int:
    """About how many tokens something has."""
    return max(1, len(str(value)) // CHARS_PER_TOKEN)


def say(text: str) -> Message:
    """An answer in words."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def call(call_id: str, name: str, **arguments: object) -> Message:
    """An answer that asks for a tool."""
    return {"role": "assistant", "content": [{"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}]}


def ask(model: str, messages: list[Message], script: Message, chance: random.Random) -> Reply:
    """Send ``messages`` to ``model``, which will answer ``script``."""
    speed = SPEEDS[model]
    words = "".join(part.get("text", "") for part in script["content"])
    calls = any(part["type"] == "tool_call" for part in script["content"])
    asked = sum(tokens(message["content"]) for message in messages)
    return Reply(
        pieces=_spoken(words, speed, chance),
        message={**script, "finish_reason": "tool_calls" if calls else "stop"},
        provider=speed.provider,
        response_id=f"resp_{chance.getrandbits(64):016x}",
        input_tokens=asked + 340,  # the tools' descriptions
        cached_tokens=256 if len(messages) > 2 else 0,  # noqa: PLR2004 - the provider remembers the beginning of a longer conversation
        output_tokens=tokens(script["content"]),
        finish_reason="tool_calls" if calls else "stop",
    )


async def _spoken(words: str, speed: Speed, chance: random.Random) -> AsyncIterator[str]:
    await asyncio.sleep(chance.uniform(*speed.first_token_seconds))
    pace = PIECE_CHARS / CHARS_PER_TOKEN / chance.uniform(*speed.tokens_per_second)
    piece = ""
    for word in words.split(" "):
        piece += word + " "
        if len(piece) >= PIECE_CHARS:
            yield piece
            piece = ""
            await asyncio.sleep(pace * chance.uniform(0.6, 1.6))
    if piece.strip():
        yield piece.removesuffix(" ")
