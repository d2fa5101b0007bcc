"""``ams mcp``: the platform's MCP server for clients that start a process and speak over its standard streams."""

import asyncio
from typing import Any

import click
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from ams.cli.platform import Platform, PlatformError, connection_options, give_up
from ams.settings import is_loopback

SECONDS = 60.0


@click.command()
@connection_options
@click.option("--project", help="The project, when the key is an access token that opens several.")
def mcp(endpoint: str | None, api_key: str | None, project: str | None) -> None:
    """Serve the platform's tools to a coding agent, over stdin and stdout."""
    try:
        platform = Platform.open(endpoint, api_key)
        if platform.api_key.startswith("ams_"):
            platform.project_id  # noqa: B018  a wrong key is reported before the client waits for an answer
    except PlatformError as error:
        give_up(str(error))
    asyncio.run(_serve(platform, project))


async def _serve(platform: Platform, project: str | None) -> None:
    """Pass the two requests that tools need on to the platform. The tools are defined there, so this needs no update for a new one."""
    address = f"{platform.endpoint}/mcp" + (f"?project={project}" if project else "")
    http = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {platform.api_key}"}, timeout=SECONDS, trust_env=not is_loopback(platform.endpoint)
    )
    async with http, Client(streamable_http_client(address, http_client=http)) as upstream:

        async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
            return await upstream.list_tools(cursor=params.cursor if params else None)

        async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
            try:
                return await upstream.call_tool(params.name, params.arguments or {})
            except httpx2.HTTPError as error:
                raise MCPError(-32603, f"{platform.endpoint} cannot be reached: {error}") from error

        server = Server("ams", title="AMS", instructions=upstream.instructions, on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
