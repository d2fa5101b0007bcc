"""How a tool reads: it sends a request to a route of this application, in the process, with the credential of its caller.

So a tool can see what its caller can see, and there is one implementation of each query.
"""

from datetime import datetime
from typing import Any

import httpx
import msgspec
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from msgspec import Struct

from ams_kit.http.problems import Problem

CALLER = "ams_caller"
"""The key of the ASGI scope under which the endpoint stores the ``Caller``."""

_problem = msgspec.json.Decoder(Problem)


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls a tool: the project, the value of the ``Authorization`` header, and a client of this application's own routes, and the time."""

    project_id: str
    authorization: str
    http: httpx.AsyncClient
    now: datetime

    async def get(self, path: str, **parameters: str | int | None) -> bytes:
        """The body of ``GET /api/traces/{project}/{path}``.

        Raises:
            ToolError: The route refused; the message is the reason of its problem document.
        """
        response = await self.http.get(
            f"/api/traces/{self.project_id}/{path}",
            params={name: value for name, value in parameters.items() if value not in {None, ""}},
            headers={"Authorization": self.authorization},
        )
        if response.is_success:
            return response.content
        raise ToolError(_reason(response))


def caller_of(context: Context[Any, Any]) -> Caller:
    """The caller of the tool that runs."""
    request = context.request_context.request
    assert request is not None  # noqa: S101  there is one with this transport
    return request.scope[CALLER]


def _reason(response: httpx.Response) -> str:
    try:
        problem = _problem.decode(response.content)
    except msgspec.MsgspecError:
        return f"The request was refused with status {response.status_code}."
    reason = problem.detail or problem.title
    if problem.column is not msgspec.UNSET:
        reason += f" (column {problem.column})"
    if problem.suggestion is not msgspec.UNSET:
        reason += f" Write: {problem.suggestion}"
    return reason
