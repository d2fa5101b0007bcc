"""LiteLLM: one function for all providers."""

import litellm
from openinference.instrumentation.litellm import LiteLLMInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", LiteLLMInstrumentor())
messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
print(litellm.completion(model=f"openai/{MODEL}", messages=messages).choices[0].message.content)
provider.shutdown()
