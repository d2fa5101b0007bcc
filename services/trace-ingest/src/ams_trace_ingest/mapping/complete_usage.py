"""Input and output that include all of their parts, also where the sender counts some of them beside the others."""

from ams_trace_ingest.mapping.attribute_rules import Field, Found
from ams_trace_ingest.mapping.span_model import Scope
from ams_trace_ingest.mapping.vendors import adk, claude_code

_BUCKETS = "langfuse.observation.usage_details"


def complete(counts: dict[str, int], total: int | None, found: Found, scope: Scope) -> None:
    """Make the input hold the cached tokens, and the output the reasoning, where the sender leaves them out.

    What the sender does follows from its total; else from a part that is larger than its whole; else from its dialect.
    """
    _add_sides(counts, total)
    _add_modalities(counts, total, found)
    tokens_in, tokens_out = counts.get("input"), counts.get("output")
    cached = counts.get("cache_read", 0) + counts.get("cache_write", 0)
    reasoning = counts.get("reasoning", 0)
    if not (cached or reasoning):
        return
    add_cached = tokens_in is not None and cached > tokens_in
    add_reasoning = tokens_out is not None and reasoning > tokens_out
    known = (tokens_in or 0) + (tokens_out or 0)
    fitting = () if total is None else [(one, other) for one, other in _WAYS if known + one * cached + other * reasoning == total]
    if fitting and not (fitting[0] == (0, 0) and _leaves_out_of_total(found)):
        add_cached, add_reasoning = bool(fitting[0][0]) or add_cached, bool(fitting[0][1]) or add_reasoning
    else:
        add_cached = add_cached or (cached > 0 and _leaves_cached_out(found, scope))
        add_reasoning = add_reasoning or (reasoning > 0 and _leaves_reasoning_out(found, scope))
    if add_cached and tokens_in is not None:
        counts["input"] = tokens_in + cached
    if add_reasoning and tokens_out is not None:
        counts["output"] = tokens_out + reasoning


def _add_sides(counts: dict[str, int], total: int | None) -> None:
    """The side that only the total and the other side state."""
    for side, other in (("input", "output"), ("output", "input")):
        if total is not None and side not in counts and total >= counts.get(other, total + 1):
            counts[side] = total - counts[other]


def _add_modalities(counts: dict[str, int], total: int | None, found: Found) -> None:
    """Tokens of images and sounds that the sender counts beside the others: more than all, or buckets of Langfuse."""
    if _MODALITIES.isdisjoint(counts):
        return
    buckets = found.keys[Field.USAGE_MAP] == _BUCKETS and not (
        total is not None and total == counts.get("input", 0) + counts.get("output", 0)
    )
    for side in ("input", "output"):
        parts = sum(counts.get(f"{modality}_{side}", 0) for modality in ("audio", "image", "video"))
        if side in counts and (
            parts > counts[side] or (parts and buckets and _has_bucket(found, side, (f"{side}_audio", f"{side}_image")))
        ):
            counts[side] += parts


_MODALITIES = frozenset({"audio_input", "image_input", "video_input", "audio_output", "image_output"})

_WAYS = ((0, 0), (1, 0), (0, 1), (1, 1))
"""Whether cached tokens and reasoning are to be added: the first that gives the total."""


def _is_anthropic(found: Found) -> bool:
    names = (found.values[Field.PROVIDER], found.values[Field.MODEL], found.values[Field.MODEL_REQUESTED])
    return any(name is not None and ("anthropic" in name or "claude" in name) for name in names)


def _leaves_out_of_total(found: Found) -> bool:
    """MLflow adds Anthropic's input and output to a total and counts the cached tokens beside it."""
    return found.keys[Field.USAGE_MAP] == "mlflow.chat.tokenUsage" and _is_anthropic(found)


def _leaves_cached_out(found: Found, scope: Scope) -> bool:
    if found.keys[Field.USAGE_MAP] == _BUCKETS:
        return _has_bucket(found, "input", "input_cache")
    if _leaves_out_of_total(found) or scope.name.startswith(claude_code.SCOPE):
        return True
    return scope.name.startswith("strands") and (found.values[Field.PROVIDER] == "aws.bedrock" or _is_anthropic(found))


def _has_bucket(found: Found, whole: str, beginning: str | tuple[str, ...]) -> bool:
    """Langfuse's own keys (``input``, ``input_cached_tokens``) count tokens that no other key counts; names of providers beside them do not."""
    usage = found.values[Field.USAGE_MAP]
    return whole in usage and any(key.startswith(beginning) for key in usage)


def _leaves_reasoning_out(found: Found, scope: Scope) -> bool:
    if found.keys[Field.USAGE_MAP] == _BUCKETS:
        return _has_bucket(found, "output", "output_reasoning")
    return scope.name == adk.SCOPE and adk.is_before(scope.version, (2, 3))
