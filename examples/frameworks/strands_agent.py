"""Strands: it emits spans by itself, by the global tracer provider."""

from question import INSTRUCTIONS, MODEL, QUESTION, weather
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe")
agent = Agent(name="stylist", model=OpenAIModel(model_id=MODEL), system_prompt=INSTRUCTIONS, tools=[tool(weather)], callback_handler=None)
print(agent(QUESTION))
provider.shutdown()
