"""DSPy: ReAct, whose tool calls are text. Its own instrumentor knows no tokens: LiteLLM's, which makes the calls, does."""

import dspy
from openinference.instrumentation.dspy import DSPyInstrumentor
from openinference.instrumentation.litellm import LiteLLMInstrumentor
from question import MODEL, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", DSPyInstrumentor(), LiteLLMInstrumentor())
dspy.configure(lm=dspy.LM(f"openai/{MODEL}", cache=False))
print(dspy.ReAct("question -> answer", tools=[weather])(question=QUESTION).answer)
provider.shutdown()
