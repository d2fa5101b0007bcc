"""The Anthropic client alone: a tool call and its result."""

from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from question import INSTRUCTIONS, QUESTION, weather
from telemetry import trace_to_ams

provider = trace_to_ams("wardrobe", AnthropicInstrumentor())
client = Anthropic()
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
asked = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 200,
    "system": INSTRUCTIONS,
    "tools": [{"name": "weather", "description": "Get today's weather.", "input_schema": schema}],
}
messages = [{"role": "user", "content": QUESTION}]
first = client.messages.create(messages=messages, **asked)
call = next(block for block in first.content if block.type == "tool_use")
messages.append({"role": "assistant", "content": [block.model_dump() for block in first.content]})
messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)}]})
print(client.messages.create(messages=messages, **asked).content[0].text)
provider.shutdown()
