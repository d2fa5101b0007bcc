"""Compiled attribute rules: the ladders of all modules in one dict, applied in one pass over the attributes of a span.

A ladder says, for one field, which attribute wins: the first that says something (its ``convert`` returns no ``None``). A group collects
all attributes under a prefix (``llm.input_messages.0.message.role``) by their path. What a key means is looked up once per process.
"""

from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

from msgspec import Struct

from ams_trace_ingest.mapping.convert import Convert

_numbers = count()


class Field:
    """What ladders fill: numbers, because list look-ups by enum members take three times as long in Python 3.11.

    Up to ``PLAIN_END`` the winning attribute is whole in the step, so it is consumed; the others depend on what becomes of them.
    """

    TYPE = next(_numbers)
    NAME = next(_numbers)
    ENTITY_NAME = next(_numbers)
    SPAN_TYPE = next(_numbers)
    PENDING_PARENT = next(_numbers)
    TOOL_NAME = next(_numbers)
    TOOL_CALL_ID = next(_numbers)
    AGENT = next(_numbers)
    GRAPH_NODE = next(_numbers)
    LATER_AGENT = next(_numbers)
    CONVERSATION = next(_numbers)
    RUN = next(_numbers)
    USER = next(_numbers)
    SKILL = next(_numbers)
    WORKFLOW_NAME = next(_numbers)
    ENVIRONMENT = next(_numbers)
    TAG_LIST = next(_numbers)
    TTFT = next(_numbers)
    TTFT_LATER = next(_numbers)
    FIRST_TOKEN_AT = next(_numbers)
    PROVIDER = next(_numbers)
    MODEL_REQUESTED = next(_numbers)
    MODEL = next(_numbers)
    RESPONSE_ID = next(_numbers)
    FINISH = next(_numbers)
    INPUT_TOKENS = next(_numbers)
    OUTPUT_TOKENS = next(_numbers)
    CACHE_READ = next(_numbers)
    CACHE_WRITE = next(_numbers)
    CACHE_WRITE_5M = next(_numbers)
    CACHE_WRITE_1H = next(_numbers)
    REASONING = next(_numbers)
    AUDIO_INPUT = next(_numbers)
    AUDIO_OUTPUT = next(_numbers)
    IMAGE_INPUT = next(_numbers)
    VIDEO_INPUT = next(_numbers)
    IMAGE_OUTPUT = next(_numbers)
    AUDIO_CACHE_READ = next(_numbers)
    TEXT_CACHE_READ = next(_numbers)
    IMAGE_CACHE_READ = next(_numbers)
    SERVICE_TIER = next(_numbers)
    COST_PROMPT = next(_numbers)
    COST_COMPLETION = next(_numbers)
    COST_TOTAL = next(_numbers)
    COST_PLAIN = next(_numbers)
    ERROR_TYPE = next(_numbers)
    LEVEL = next(_numbers)
    STATUS_MESSAGE = next(_numbers)
    TOOL_STATUS = next(_numbers)
    PLAIN_END = next(_numbers)
    TTFT_SERVER = next(_numbers)
    TAG_MAP = next(_numbers)
    PARAMETERS = next(_numbers)
    INVOCATION = next(_numbers)
    LATER_PARAMETERS = next(_numbers)
    USAGE_MAP = next(_numbers)
    TOTAL_TOKENS = next(_numbers)
    BAD_USAGE = next(_numbers)
    COST_MAP = next(_numbers)
    COST_LATER_MAP = next(_numbers)
    INPUT = next(_numbers)
    INPUT_VALUE = next(_numbers)
    INPUT_MIME = next(_numbers)
    SYSTEM = next(_numbers)
    OUTPUT = next(_numbers)
    OUTPUT_VALUE = next(_numbers)
    OUTPUT_MIME = next(_numbers)
    MEMORY_RECORDS = next(_numbers)
    SPOKEN = next(_numbers)
    RESPONSE_TEXT = next(_numbers)
    RESPONSE_TOOL_CALLS = next(_numbers)
    RESPONSE_REASONING = next(_numbers)
    RESPONSE_FILES = next(_numbers)
    END = next(_numbers)


class Group:
    """What prefixes collect; numbers, as for fields."""

    INPUT_MESSAGES = 0
    OUTPUT_MESSAGES = 1
    PROMPTS = 2
    COMPLETIONS = 3
    DOCUMENTS = 4
    REQUEST = 5
    TAGS = 6
    EMBEDDINGS = 7
    INPUT_DOCUMENTS = 8
    DECISION = 9
    INPUT_FILES = 10
    OUTPUT_FILES = 11


class Ladder(NamedTuple):
    """One field's attributes, best first. ``None`` holds a rank for something that is no attribute."""

    field: int
    steps: tuple[tuple[str, Convert] | None, ...]


class Prefix(NamedTuple):
    """All attributes under a prefix: collected into a group, or (with ``convert``) a late step of a field's ladder."""

    prefix: str
    group: int | None = None
    field: int | None = None
    rank: int = 0
    convert: Convert | None = None


UNRANKED = 1_000
_GROUPED = 10_000
PATH_PARTS_MAX = 12  # real paths have seven
KEYS_LEARNED_MAX = 20_000  # real traffic has some hundreds; generated keys must not fill the memory
_NO_VALUES: list[Any] = [None] * Field.END
_NO_RANKS: list[int] = [UNRANKED] * Field.END

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

    def group(self, group: int) -> list[tuple[Path, Any, str]]:
        return [] if self.groups is None else self.groups.get(group, [])


class AttributeRules:
    """The compiled tables."""

    def __init__(self, ladders: Iterable[Ladder], prefixes: Iterable[Prefix]) -> None:
        rules: dict[str, tuple[Rule, ...]] = {}
        for field, steps in ladders:
            for rank, step in enumerate(steps):
                if step is not None:
                    rules[step[0]] = (*rules.get(step[0], ()), (field, rank, step[1]))
        self._rules = rules
        self._prefixes = tuple(prefixes)
        self._known = len(rules)
        self._keys = tuple(rules)

    def known_keys(self) -> tuple[str, ...]:
        """The attributes that the ladders name."""
        return self._keys

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
                if rank < ranks[field]:  # never for a group: its rank is beyond UNRANKED
                    converted = convert(value)
                    if converted is not None:
                        values[field] = converted
                        ranks[field] = rank
                        keys[field] = key
                elif rank == _GROUPED:
                    if groups is None:
                        groups = {}
                    groups.setdefault(field, []).append((convert, value, key))
        return Found(values, ranks, keys, groups)

    def _learn(self, key: str) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        for prefix in self._prefixes:
            if key.startswith(prefix.prefix):
                if prefix.group is not None:
                    rules.append((prefix.group, _GROUPED, _path(key[len(prefix.prefix) :])))
                if prefix.field is not None:
                    rules.append((prefix.field, prefix.rank, prefix.convert))
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
