"""AutoGen: a team of one, whose runtime makes a trace of each message."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openinference.instrumentation.openai import OpenAIInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", OpenAIInstrumentor())


async def ask() -> None:
    """Ask, and print the answer."""
    stylist = AssistantAgent(
        "stylist", OpenAIChatCompletionClient(model=MODEL), tools=[weather], system_message=INSTRUCTIONS, reflect_on_tool_use=True
    )
    team = RoundRobinGroupChat([stylist], termination_condition=MaxMessageTermination(4))
    print((await team.run(task=QUESTION)).messages[-1].content)


asyncio.run(ask())
provider.shutdown()
