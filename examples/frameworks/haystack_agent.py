"""Haystack: an agent component."""

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from openinference.instrumentation.haystack import HaystackInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", HaystackInstrumentor())
agent = Agent(chat_generator=OpenAIChatGenerator(model=MODEL), tools=[create_tool_from_function(weather)], system_prompt=INSTRUCTIONS)
agent.warm_up()
print(agent.run(messages=[ChatMessage.from_user(QUESTION)])["last_message"].text)
provider.shutdown()
