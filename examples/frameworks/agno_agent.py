"""Agno."""

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from openinference.instrumentation.agno import AgnoInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", AgnoInstrumentor())
print(Agent(name="stylist", model=OpenAIChat(id=MODEL), instructions=INSTRUCTIONS, tools=[weather]).run(QUESTION).content)
provider.shutdown()
