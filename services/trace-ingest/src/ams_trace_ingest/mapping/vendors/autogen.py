"""AutoGen: one run of a team is dozens of traces, one for each message of its runtime, and each names the team in its destination."""

import re

from ams_trace_ingest.mapping.span_model import Span

SCOPE = "autogen"
_TEAM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACES = ("messaging.destination", "gen_ai.agent.id", "recipient_agent_type", "sender_agent_type")


def run_of(span: Span) -> str | None:
    """The id of the team, from where a message goes to (``writer_<id>.(<id>)-T``) or the agent that handles it (``writer_<id>/<id>``)."""
    for key in _PLACES:
        value = span.attributes.get(key)
        found = _TEAM.search(value) if isinstance(value, str) else None
        if found is not None:
            return found[0]
    return None
