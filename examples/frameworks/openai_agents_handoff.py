"""OpenAI Agents: a front desk hands over to a stylist, who asks for the weather."""

from agents import Agent, Runner, function_tool
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", OpenAIAgentsInstrumentor())
stylist = Agent(name="stylist", model=MODEL, instructions=INSTRUCTIONS, tools=[function_tool(weather)])
desk = Agent(name="desk", model=MODEL, instructions="Hand over questions about clothes.", handoffs=[stylist])
print(Runner.run_sync(desk, QUESTION).final_output)
provider.shutdown()
