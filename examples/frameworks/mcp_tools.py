"""MCP: a client calls a tool of a server in another process; both are one task."""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from openinference.instrumentation.mcp import MCPInstrumentor
from opentelemetry import trace
from question import weather
from telemetry import trace_to_ams


def serve() -> None:
    """The server's process."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415  only this process needs it

    server = MCPServer("weather-station")

    @server.tool()
    def look_up(city: str) -> str:
        """Get today's weather."""
        with trace.get_tracer("station").start_as_current_span("read the station"):
            return weather(city)

    server.run()


async def ask() -> None:
    """The client's."""
    program = StdioServerParameters(command=sys.executable, args=[__file__, "serve"], env=dict(os.environ))
    with trace.get_tracer("wardrobe").start_as_current_span("ask the station"):
        async with stdio_client(program) as streams, ClientSession(*streams) as session:
            await session.initialize()
            print((await session.call_tool("look_up", {"city": "Paris"})).content[0].text)


provider = trace_to_ams("station" if "serve" in sys.argv else "wardrobe", MCPInstrumentor())
serve() if "serve" in sys.argv else asyncio.run(ask())
provider.shutdown()
