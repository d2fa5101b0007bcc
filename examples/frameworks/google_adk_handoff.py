"""Google ADK: a front desk transfers to a stylist. It emits spans by itself."""

import asyncio
import os

from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner
from google.genai import types
from question import INSTRUCTIONS, QUESTION, weather
from telemetry import trace_to_ams

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_AND_EVENT"
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
provider = trace_to_ams("wardrobe")
MODEL = "gemini-2.5-flash"
stylist = Agent(name="stylist", model=MODEL, description="Gives advice on clothes.", instruction=INSTRUCTIONS, tools=[weather])
desk = Agent(name="desk", model=MODEL, instruction="Transfer questions about clothes.", sub_agents=[stylist])


async def ask() -> None:
    """Ask, and print the answer."""
    runner = InMemoryRunner(agent=desk, app_name="wardrobe")
    session = await runner.session_service.create_session(app_name="wardrobe", user_id="ada")
    message = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    async for event in runner.run_async(user_id="ada", session_id=session.id, new_message=message):
        if event.is_final_response() and event.content:
            print(event.content.parts[0].text)


asyncio.run(ask())
provider.shutdown()
