"""LlamaIndex: a function-calling agent in a workflow."""

import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", LlamaIndexInstrumentor())
llm = OpenAILike(model=MODEL, api_base=os.environ["OPENAI_BASE_URL"], api_key="none", is_chat_model=True, is_function_calling_model=True)
agent = FunctionAgent(name="stylist", tools=[weather], llm=llm, system_prompt=INSTRUCTIONS, streaming=False)


async def ask() -> None:
    """Ask, and print the answer."""
    print(await agent.run(QUESTION))


asyncio.run(ask())
provider.shutdown()
