"""An agent and the MCP server that it starts: the server's process inherits the step by its environment, so that both are one task.

pip install 'mcp>=2'
AMS_TRANSPORT=console python examples/mcp_agent.py        # without a platform: a line for each step
"""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import MCPServer

import ams

ams.init()
server = MCPServer("library")


@server.tool()
@ams.tool(name="look up")
def look_up(title: str) -> str:
    """Find the shelf of a book."""
    return {"Dune": "Shelf 7"}.get(title, "We do not have it.")


@ams.agent(tools=["look_up"])
async def librarian(title: str) -> str:
    """Start the server inside this step, and call its tool."""
    joined = os.environ | {name.upper(): value for name, value in ams.inject({}).items()}
    program = StdioServerParameters(command=sys.executable, args=[__file__, "serve"], env=joined)
    async with stdio_client(program) as streams, ClientSession(*streams) as session:
        await session.initialize()
        with ams.tool("call look_up", input={"title": title}) as step:
            result = await session.call_tool("look_up", {"title": title})
            step.output = result.content[0].text
        return step.output


if __name__ == "__main__":
    if "serve" in sys.argv:
        server.run()
    else:
        print(asyncio.run(librarian("Dune")))
