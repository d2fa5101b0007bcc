"""Who and where: agent, conversation, user, environment, tags. The project is never read from a span: the credential says it."""

from typing import Any

from ams_contracts.documents import StepType
from ams_trace_ingest.mapping.convert import Convert, json_map, json_word, load, name, word
from ams_trace_ingest.mapping.rules import Field, Found, Group, Ladder, Prefix
from ams_trace_ingest.mapping.spans import Resource, Span
from ams_trace_ingest.mapping.vendors import adk

UNKNOWN_SERVICE = "unknown_service"
TAGS_MAX = 64
_FRAMEWORK_TAGS = ("ls_", "langgraph_", "lc_", "checkpoint_", "__")  # LangChain's own bookkeeping in `metadata`
_NOT_TAGS = frozenset({"session_id", "user_id", "thread_id", "sessionId", "userId"})  # they have fields of their own


def _steps(*keys: str, convert: Convert = word) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, convert) for key in keys)


def _list(value: Any) -> list[Any] | None:
    if isinstance(value, str) and value[:1] == "[":
        value = load(value)
    return value or None if isinstance(value, list) else None


LADDERS = (
    Ladder(Field.NAME, _steps("ams.step.name", "logfire.msg", convert=name)),
    Ladder(Field.ENTITY_NAME, (("traceloop.entity.name", word), ("mlflow.spanFunctionName", json_word))),
    Ladder(Field.SPAN_TYPE, _steps("logfire.span_type")),
    Ladder(Field.PENDING_PARENT, _steps("logfire.pending_parent_id")),
    Ladder(Field.TOOL_NAME, _steps("gen_ai.tool.name", "tool.name", "ai.toolCall.name")),
    Ladder(Field.TOOL_CALL_ID, _steps("gen_ai.tool.call.id", "tool.id", "tool_call.id", "ai.toolCall.id")),
    Ladder(Field.AGENT, _steps("gen_ai.agent.name", "agent.name", "agent_name")),
    Ladder(Field.GRAPH_NODE, _steps("graph.node.name", "graph.node.id")),
    Ladder(Field.LATER_AGENT, _steps("agno.agent", "traceloop.association.properties.lc_agent_name")),
    Ladder(
        Field.CONVERSATION,
        _steps(
            "gen_ai.conversation.id",
            "langfuse.session.id",
            "session.id",
            "mlflow.trace.session",
            "gcp.vertex.agent.session_id",
            "traceloop.association.properties.session_id",
            "traceloop.association.properties.thread_id",
            "ai.telemetry.metadata.sessionId",
            convert=json_word,
        ),
    ),
    Ladder(
        Field.USER,
        _steps(
            "user.id",
            "enduser.id",
            "langfuse.user.id",
            "mlflow.trace.user",
            "traceloop.association.properties.user_id",
            "ai.telemetry.metadata.userId",
            convert=json_word,
        ),
    ),
    Ladder(Field.ENVIRONMENT, _steps("deployment.environment.name", "deployment.environment", "langfuse.environment")),
    Ladder(Field.TAG_LIST, _steps("tag.tags", "langfuse.trace.tags", convert=_list)),
    Ladder(Field.TAG_MAP, _steps("metadata", convert=json_map)),
)
PREFIXES = tuple(
    Prefix(prefix, group=Group.TAGS)
    for prefix in ("ams.tag.", "langfuse.trace.metadata.", "langfuse.observation.metadata.", "ai.telemetry.metadata.", "mlflow.traceTag.")
)


def name_of(found: Found, span: Span, step_type: StepType) -> str:
    """The name to show. The span's own name is kept beside it."""
    values = found.values
    chosen = values[Field.NAME]
    if chosen is None and step_type is StepType.TOOL:
        chosen = values[Field.TOOL_NAME]
    if chosen is None and step_type is StepType.AGENT:
        chosen = values[Field.AGENT] or adk.agent_by_name(span.name)
    return chosen or values[Field.ENTITY_NAME] or span.name


def agent_of(found: Found, span: Span, step_type: StepType) -> str | None:
    """The agent that the span names as its own, or ``None``: then the nearest agent above it, then the service."""
    values = found.values
    own = values[Field.AGENT]
    if own is None and step_type is StepType.AGENT:
        own = values[Field.GRAPH_NODE]
    return own or values[Field.LATER_AGENT] or (adk.agent_by_name(span.name) if step_type is StepType.AGENT else None)


def service_of(resource: Resource) -> str:
    """The service that emitted the span."""
    return word(resource.attributes.get("service.name")) or UNKNOWN_SERVICE


def environment_of(found: Found, resource: Resource) -> str | None:
    """The deployment environment, of the resource or the span."""
    attributes = resource.attributes
    for key in ("deployment.environment.name", "deployment.environment", "langfuse.environment"):
        text = word(attributes.get(key))
        if text is not None:
            return text
    return found.values[Field.ENVIRONMENT]


def tags_of(found: Found) -> dict[str, str]:
    """Tags and metadata as words. A tag of a list is ``env:prod`` (a key and a word), or a key alone (``true``)."""
    if found.groups is None and found.values[Field.TAG_LIST] is None and found.values[Field.TAG_MAP] is None:
        return {}
    tags: dict[str, str] = {}
    for item in found.values[Field.TAG_LIST] or ():
        text = word(item)
        if text is not None and len(tags) < TAGS_MAX:
            key, separator, value = text.partition(":")
            tags[key if separator and key else text] = value if separator and key and value else "true"
    entries: list[tuple[str, Any]] = [(".".join(map(str, path)), value) for path, value, _ in found.group(Group.TAGS)]
    entries += (found.values[Field.TAG_MAP] or {}).items()
    for key, value in entries:
        text = json_word(value) if value.__class__ is not bool else str(value).lower()
        if text is not None and key and key not in _NOT_TAGS and not key.startswith(_FRAMEWORK_TAGS) and len(tags) < TAGS_MAX:
            tags.setdefault(key[:256], text)
    return tags
