"""The OpenAI client alone: Chat Completions, streamed, then Responses."""

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from question import INSTRUCTIONS, MODEL, QUESTION
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", OpenAIInstrumentor())
client = OpenAI()
messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
streamed = client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True})
print("".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices))
print(client.responses.create(model=MODEL, instructions=INSTRUCTIONS, input=QUESTION).output_text)
provider.shutdown()
