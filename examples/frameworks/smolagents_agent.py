"""smolagents: an agent that calls tools until it calls final_answer."""

from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from question import MODEL, QUESTION, weather
from smolagents import OpenAIModel, ToolCallingAgent, tool
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", SmolagentsInstrumentor())
agent = ToolCallingAgent(tools=[tool(weather)], model=OpenAIModel(model_id=MODEL), name="stylist", description="Gives advice on clothes.")
print(agent.run(QUESTION))
provider.shutdown()
