"""A streamed answer: each piece shows in the explorer while it arrives. The model is a list of words, so that nothing else is needed.

AMS_TRANSPORT=console python examples/streaming.py        # without a platform: a line for each step
"""

import asyncio
from collections.abc import AsyncIterator

import ams

ams.init()
WORDS = ("Otters ", "sleep ", "hand ", "in ", "hand.")


@ams.llm
async def write(messages: list[dict[str, str]], model: str = "gpt-4o-mini") -> AsyncIterator[str]:
    """A decorated generator is a step from its first to its last item; pieces of text are its output."""
    print(f"({messages[-1]['content']})")
    for word in WORDS:
        await asyncio.sleep(0.05)
        yield word
    step = ams.current_step()
    step.model = model
    step.usage(input=24, output=len(WORDS))


@ams.agent
async def writer(topic: str) -> str:
    """Print the words as they come."""
    pieces: list[str] = []
    async for piece in write([{"role": "user", "content": f"One sentence about {topic}."}]):
        print(piece, end="", flush=True)
        pieces.append(piece)
    print()
    return "".join(pieces)


if __name__ == "__main__":
    asyncio.run(writer("otters"))
