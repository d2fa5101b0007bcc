"""The engine of the rule tables: ladders compiled at import into one dict, and one pass over a span's attributes.

A ladder says, for one field, which attribute wins: the first that says something (its ``convert`` returns no ``None``). A group collects
all attributes under a prefix (``llm.input_messages.0.message.role``) by their path. What a key means is looked up once per process.
"""

from collections.abc import Iterable
from enum import IntEnum, auto
from typing import Any, NamedTuple

from msgspec import Struct

from ams_trace_ingest.mapping.convert import Convert


class Field(IntEnum):
    """What ladders fill. Concerns read them by name; the numbers mean nothing."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> int:
        del name, start, last_values
        return count

    TYPE = auto()
    NAME = auto()
    ENTITY_NAME = auto()
    SPAN_TYPE = auto()
    PENDING_PARENT = auto()
    TOOL_NAME = auto()
    TOOL_CALL_ID = auto()
    AGENT = auto()
    GRAPH_NODE = auto()
    LATER_AGENT = auto()
    CONVERSATION = auto()
    USER = auto()
    ENVIRONMENT = auto()
    TAG_LIST = auto()
    TAG_MAP = auto()
    TTFT = auto()
    TTFT_SERVER = auto()
    TTFT_LATER = auto()
    FIRST_TOKEN_AT = auto()
    PROVIDER = auto()
    MODEL_REQUESTED = auto()
    MODEL = auto()
    PARAMETERS = auto()
    INVOCATION = auto()
    LATER_PARAMETERS = auto()
    RESPONSE_ID = auto()
    FINISH = auto()
    USAGE_MAP = auto()
    INPUT_TOKENS = auto()
    OUTPUT_TOKENS = auto()
    CACHE_READ = auto()
    CACHE_WRITE = auto()
    CACHE_WRITE_5M = auto()
    CACHE_WRITE_1H = auto()
    REASONING = auto()
    AUDIO_INPUT = auto()
    AUDIO_OUTPUT = auto()
    IMAGE_INPUT = auto()
    VIDEO_INPUT = auto()
    BAD_USAGE = auto()
    COST_MAP = auto()
    COST_PROMPT = auto()
    COST_COMPLETION = auto()
    COST_TOTAL = auto()
    COST_LATER_MAP = auto()
    COST_PLAIN = auto()
    ERROR_TYPE = auto()
    LEVEL = auto()
    STATUS_MESSAGE = auto()
    TOOL_STATUS = auto()
    INPUT = auto()
    INPUT_VALUE = auto()
    INPUT_MIME = auto()
    SYSTEM = auto()
    OUTPUT = auto()
    OUTPUT_VALUE = auto()
    OUTPUT_MIME = auto()
    RESPONSE_TEXT = auto()
    RESPONSE_TOOL_CALLS = auto()
    RESPONSE_REASONING = auto()


class Group(IntEnum):
    """What prefixes collect."""

    INPUT_MESSAGES = 0
    OUTPUT_MESSAGES = 1
    PROMPTS = 2
    COMPLETIONS = 3
    DOCUMENTS = 4
    REQUEST = 5
    TAGS = 6
    EMBEDDINGS = 7
    INPUT_DOCUMENTS = 8


class Ladder(NamedTuple):
    """One field's attributes, best first. ``None`` holds a rank for something that is no attribute."""

    field: Field
    steps: tuple[tuple[str, Convert] | None, ...]


class Prefix(NamedTuple):
    """All attributes under a prefix: collected into a group, or (with ``convert``) a late step of a field's ladder."""

    prefix: str
    group: Group | None = None
    field: Field | None = None
    rank: int = 0
    convert: Convert | None = None


UNRANKED = 1_000
_GROUPED = 10_000
PATH_PARTS_MAX = 12  # real paths have seven
KEYS_LEARNED_MAX = 20_000  # a process meets some hundreds; one that makes keys up must not fill the memory
_FIELDS = len(Field)
_NO_VALUES: list[Any] = [None] * _FIELDS
_NO_RANKS: list[int] = [UNRANKED] * _FIELDS

Path = tuple[str | int, ...]
Rule = tuple[int, int, Any]


class Found(Struct, gc=False):
    """What a span's attributes say, by field.

    Attributes:
        values: The winner of each field, converted; ``None`` when nothing was said.
        ranks: Its place in the ladder; ``UNRANKED`` when nothing was said.
        keys: The attribute that said it.
        groups: For each group that was met, ``(path, value, key)``.
    """

    values: list[Any]
    ranks: list[int]
    keys: list[str | None]
    groups: dict[int, list[tuple[Path, Any, str]]] | None

    def group(self, group: Group) -> list[tuple[Path, Any, str]]:
        return [] if self.groups is None else self.groups.get(group, [])


class Rules:
    """The compiled tables."""

    def __init__(self, ladders: Iterable[Ladder], prefixes: Iterable[Prefix]) -> None:
        rules: dict[str, tuple[Rule, ...]] = {}
        for field, steps in ladders:
            for rank, step in enumerate(steps):
                if step is not None:
                    rules[step[0]] = (*rules.get(step[0], ()), (int(field), rank, step[1]))
        self._rules = rules
        self._prefixes = tuple(prefixes)
        self._known = len(rules)

    def find(self, attributes: dict[str, Any]) -> Found:
        """One pass over the attributes of a span."""
        values = _NO_VALUES[:]
        ranks = _NO_RANKS[:]
        keys: list[str | None] = _NO_VALUES[:]
        groups: dict[int, list[tuple[Path, Any, str]]] | None = None
        known = self._rules.get
        for key, value in attributes.items():
            rules = known(key)
            if rules is None:
                rules = self._learn(key)
            for field, rank, convert in rules:
                if rank == _GROUPED:
                    if groups is None:
                        groups = {}
                    groups.setdefault(field, []).append((convert, value, key))
                elif rank < ranks[field]:
                    converted = convert(value)
                    if converted is not None:
                        values[field] = converted
                        ranks[field] = rank
                        keys[field] = key
        return Found(values, ranks, keys, groups)

    def _learn(self, key: str) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        for prefix in self._prefixes:
            if key.startswith(prefix.prefix):
                if prefix.group is not None:
                    rules.append((int(prefix.group), _GROUPED, _path(key[len(prefix.prefix) :])))
                if prefix.field is not None:
                    rules.append((int(prefix.field), prefix.rank, prefix.convert))
        result = tuple(rules)
        if len(self._rules) - self._known < KEYS_LEARNED_MAX:
            self._rules[key] = result
        return result


def _path(text: str) -> Path:
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 7 else part for part in text.split(".", PATH_PARTS_MAX - 1))  # noqa: PLR2004  no list is longer than a million


def nested(entries: Iterable[tuple[Path, Any, str]]) -> dict[str | int, Any]:
    """A group's paths as maps in maps; list indexes are int keys."""
    root: dict[str | int, Any] = {}
    for path, value, _ in entries:
        node = root
        for part in path[:-1]:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        if not isinstance(node.get(path[-1]), dict):
            node[path[-1]] = value
    return root


def listed(node: Any) -> list[Any]:
    """The items of a map with int keys, in order; nothing for anything else."""
    return [node[index] for index in sorted(key for key in node if isinstance(key, int))] if isinstance(node, dict) else []
