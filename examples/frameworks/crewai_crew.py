"""CrewAI: one agent with a tool, one task."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from question import MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", CrewAIInstrumentor(), OpenAIInstrumentor())
stylist = Agent(
    role="stylist",
    goal="Give advice on clothes",
    backstory="Asks for the weather first.",
    tools=[tool("weather")(weather)],
    llm=LLM(model=f"openai/{MODEL}"),
)
advice = Task(description=QUESTION, expected_output="One sentence.", agent=stylist)
print(Crew(name="wardrobe crew", agents=[stylist], tasks=[advice]).kickoff())
provider.shutdown()
