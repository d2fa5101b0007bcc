"""Agent, conversation, user, environment and tags. The project comes from the credential, never from a span."""

from typing import Any

from ams_contracts.documents import StepType
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Group, Ladder, Prefix
from ams_trace_ingest.mapping.convert import WORD_CHARS_MAX, Convert, json_map, json_word, load, name, word
from ams_trace_ingest.mapping.enum_members import AGENT, TOOL
from ams_trace_ingest.mapping.span_model import Resource, Scope, Span
from ams_trace_ingest.mapping.vendors import adk, autogen, openinference

UNKNOWN_SERVICE = "unknown_service"
TAGS_MAX = 64
TAGS_CHARS_MAX = 8_192  # all keys and words together: a step event stays small
_FRAMEWORK_TAGS = ("ls_", "langgraph_", "lc_", "checkpoint_", "__")  # LangChain's own bookkeeping in `metadata`


def _steps(*keys: str, convert: Convert = word) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, convert) for key in keys)


def _under(prefixes: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in prefixes for name in names)


_METADATA = (  # where the user's own keys are, in the order in which they are believed
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "ai.settings.context.",
    "langsmith.metadata.",
    "langfuse.trace.metadata.",
    "mastra.metadata.",
)
_CONVERSATION_NAMES = ("session_id", "sessionId", "thread_id", "threadId", "conversation_id", "conversationId", "chat_id", "chatId")
_USER_NAMES = ("user_id", "userId")
_NOT_TAGS = frozenset({*_CONVERSATION_NAMES, *_USER_NAMES})  # they have fields of their own


def _list(value: Any) -> list[Any] | None:
    if isinstance(value, str) and value[:1] == "[":
        value = load(value)
    return value or None if isinstance(value, list) else None


LADDERS = (
    Ladder(Field.NAME, _steps("ams.step.name", "logfire.msg", convert=name)),
    Ladder(Field.ENTITY_NAME, (("traceloop.entity.name", word), ("mlflow.spanFunctionName", json_word))),
    Ladder(Field.SPAN_TYPE, _steps("logfire.span_type")),
    Ladder(Field.PENDING_PARENT, _steps("logfire.pending_parent_id")),
    Ladder(Field.TOOL_NAME, _steps("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "lk.function_tool.name")),
    Ladder(Field.SKILL, _steps("gen_ai.skill.name")),
    Ladder(Field.WORKFLOW_NAME, _steps("gen_ai.workflow.name")),
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
            "gen_ai.session.id",
            "mlflow.trace.session",
            "gcp.vertex.agent.session_id",
            *_under(_METADATA, _CONVERSATION_NAMES),
            "langsmith.trace.session_id",
            "agno.session.id",
            "thread_id",
            "thread.id",
            "gen_ai.thread.id",
            "gen_ai.openai.thread.id",
            "openai.conversation.id",
            "conversation.id",
            "conversation_id",
            "session_id",
            "group_id",
            "group.id",
            "openai.agents.group_id",
            "gen_ai.group.id",
            "agents.trace.group_id",
            "gen_ai.realtime_session.id",
            convert=json_word,
        ),
    ),
    Ladder(
        Field.RUN,
        _steps(
            "ams.run.id",
            "gen_ai.run.id",
            "run.id",
            "run_id",
            "agno.run.id",
            "openinference.run.id",
            "traceloop.association.properties.run_id",
            "langsmith.metadata.run_id",
            "ai.telemetry.metadata.runId",
            "gcp.vertex.agent.invocation_id",
            convert=json_word,
        ),
    ),
    Ladder(
        Field.USER,
        _steps(
            "user.id",
            "enduser.id",
            "gen_ai.user.id",
            "langfuse.user.id",
            "mlflow.trace.user",
            "gcp.vertex.agent.user_id",
            *_under(_METADATA, _USER_NAMES),
            "agno.user.id",
            "user_id",
            "gen_ai.user",
            "llm.user",
            "enduser.pseudo.id",
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


def name_of(found: Found, span: Span, step_type: StepType, tool: str | None) -> str:
    """The displayed name; that of a tool call is its ``tool``. The span's own name is kept as ``span_name``."""
    values = found.values
    chosen = values[Field.NAME]
    if chosen is None and step_type is TOOL:
        chosen = tool
        skill = values[Field.SKILL]
        if chosen is not None and skill is not None and skill not in chosen:  # three loads of three skills are no three `load_skill`
            chosen = f"{chosen} {skill}"
    if chosen is None and step_type is StepType.WORKFLOW:
        chosen = values[Field.WORKFLOW_NAME] or (values[Field.AGENT] if _is_workflow(found) else None)
    if chosen is None and step_type is AGENT:
        chosen = values[Field.AGENT] or adk.agent_by_name(span.name)
    return chosen or values[Field.ENTITY_NAME] or span.name


def _is_workflow(found: Found) -> bool:
    decision = found.values[Field.TYPE]
    return decision is not None and decision[1] == "gen_ai.operation.name=invoke_workflow"


def conversation_and_user_of(found: Found, resource: Resource) -> tuple[str | None, str | None]:
    """The conversation and the user that the span names, else its metadata, else the resource (``OTEL_RESOURCE_ATTRIBUTES``)."""
    values = found.values
    conversation, user = values[Field.CONVERSATION], values[Field.USER]
    if values[Field.TAG_MAP] is not None or not _IDENTITY.isdisjoint(resource.attributes):
        if conversation is None:
            conversation = _of_metadata(found, _CONVERSATION_NAMES) or _of_resource(resource, _CONVERSATION_RESOURCE)
        if user is None:
            user = _of_metadata(found, _USER_NAMES) or _of_resource(resource, _USER_RESOURCE)
    return conversation, user


def run_of(span: Span, scope: Scope) -> str | None:
    """The run that a span is part of that names none itself: AutoGen's team, or what a link to another trace names."""
    if scope.name.startswith(autogen.SCOPE):
        return autogen.run_of(span)
    return next((text for link in span.links for key in _RUN_LINKS if (text := word(link.attributes.get(key))) is not None), None)


_RUN_LINKS = ("ams.run.id", "gen_ai.run.id", "run.id", "run_id", "session.id")
_CONVERSATION_RESOURCE = ("gen_ai.conversation.id", "session.id", "langfuse.session.id", "mlflow.trace.session", "thread.id")
_USER_RESOURCE = ("user.id", "enduser.id", "langfuse.user.id")
_IDENTITY = frozenset({*_CONVERSATION_RESOURCE, *_USER_RESOURCE})


def _of_metadata(found: Found, keys: tuple[str, ...]) -> str | None:
    metadata: dict[str, Any] | None = found.values[Field.TAG_MAP]
    if metadata is None or metadata.keys().isdisjoint(keys):
        return None
    return next((text for key in keys if (text := json_word(metadata.get(key))) is not None), None)


def _of_resource(resource: Resource, keys: tuple[str, ...]) -> str | None:
    attributes = resource.attributes
    return next((text for key in keys if key in attributes and (text := word(attributes[key])) is not None), None)


def main_agent_of(resource: Resource) -> str:
    """The top-level agent of the process, else the service: whose steps without a named agent are."""
    return word(resource.attributes.get("gen_ai.main_agent.name")) or service_of(resource)


def agent_of(found: Found, span: Span, step_type: StepType, scope_name: str) -> str | None:
    """The agent that the span itself names, or ``None``."""
    values = found.values
    own = values[Field.AGENT]
    if own is None and step_type is AGENT:
        own = values[Field.GRAPH_NODE]
    own = own or values[Field.LATER_AGENT]
    if own is None and scope_name.startswith(openinference.SCOPES):
        return openinference.agent_of(scope_name, span, step_type, values[Field.TAG_MAP])
    return own or (_agent_by_name(found, span) if step_type is AGENT else None)


def _agent_by_name(found: Found, span: Span) -> str | None:
    """The agent that only a name states, where a dialect names its spans after agents: ``invoke_agent Planner``."""
    named = adk.agent_by_name(span.name)
    if named is None and span.name.startswith(_AGENT_OPERATIONS):
        named = word(span.name.partition(" ")[2])
    decision = found.values[Field.TYPE]
    if named is None and decision is not None and decision[1].startswith("traceloop.span.kind"):
        named = found.values[Field.ENTITY_NAME]
    if named is None and decision is not None and decision[1].startswith("langfuse.observation.type"):
        named = word(span.name)
    return named


_AGENT_OPERATIONS = ("invoke_agent ", "create_agent ")


def tool_of(found: Found, span: Span, step_type: StepType, scope_name: str) -> str | None:
    """The tool that an attribute states, else the span's name: ``tools/call search`` of MCP (a client's begins with ``MCP send``)."""
    stated = found.values[Field.TOOL_NAME]
    if stated is not None or step_type is not TOOL:
        return stated
    _, called, tool = span.name.partition("tools/call ")
    return word(tool) if called else openinference.tool_of(scope_name, span.name)


def service_of(resource: Resource) -> str:
    """The service that emitted the span."""
    return word(resource.attributes.get("service.name")) or UNKNOWN_SERVICE


def environment_of(found: Found, resource: Resource) -> str | None:
    """The deployment environment, of the resource or the span."""
    attributes = resource.attributes
    for key in ("deployment.environment.name", "deployment.environment", "langfuse.environment"):
        text = word(attributes[key]) if key in attributes else None
        if text is not None:
            return text
    return found.values[Field.ENVIRONMENT]


def tags_of(found: Found) -> dict[str, str]:
    """Tags and metadata as words. A tag of a list is ``env:prod`` (a key and a word), or a key alone (``true``)."""
    groups = found.groups
    if (groups is None or Group.TAGS not in groups) and found.values[Field.TAG_LIST] is None and found.values[Field.TAG_MAP] is None:
        return {}
    entries: list[tuple[str, Any]] = [_tag(text) for item in found.values[Field.TAG_LIST] or () if (text := word(item)) is not None]
    entries += [(".".join(map(str, path)), value) for path, value, _ in found.group(Group.TAGS)]
    entries += [entry for entry in (found.values[Field.TAG_MAP] or {}).items() if not entry[0].startswith(_FRAMEWORK_TAGS)]
    tags: dict[str, str] = {}
    room = TAGS_CHARS_MAX
    for key, value in entries:
        text = str(value).lower() if value.__class__ is bool else json_word(value)
        if text is None or not key or len(key) > WORD_CHARS_MAX or key in _NOT_TAGS or key in tags:
            continue
        room -= len(key) + len(text)
        if room < 0 or len(tags) == TAGS_MAX:
            break
        tags[key] = text
    return tags


def _tag(text: str) -> tuple[str, str]:
    key, _, value = text.partition(":")
    return (key, value) if key and value else (text, "true")
