"""LangGraph: a graph of a model and its tools, by two instrumentors that both see the model's calls."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", LangChainInstrumentor(), OpenAIInstrumentor())
agent = create_agent(ChatOpenAI(model=MODEL), tools=[weather], system_prompt=INSTRUCTIONS, name="stylist")
found = agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})
print(found["messages"][-1].content)
provider.shutdown()
