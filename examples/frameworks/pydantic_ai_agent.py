"""Pydantic AI: it emits OpenTelemetry spans by itself when it is asked to."""

from pydantic_ai import Agent
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe")
Agent.instrument_all()
agent = Agent(f"openai:{MODEL}", name="stylist", instructions=INSTRUCTIONS, tools=[weather])
print(agent.run_sync(QUESTION).output)
provider.shutdown()
