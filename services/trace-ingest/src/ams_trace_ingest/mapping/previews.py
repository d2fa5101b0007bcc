"""Previews: at most 512 characters of text on one line. Text is preferred to JSON syntax."""

import ast
import re
from collections.abc import Callable
from typing import Any

from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.messages import Message, messages_of

PREVIEW_CHARS_MAX = 512
_LOOK_CHARS = 4 * PREVIEW_CHARS_MAX  # white space is collapsed, so more is read than kept
_ITEMS_MAX = 32
_DEPTH_MAX = 8
_TEXT_KEYS = (
    "task",
    "question",
    "prompt",
    "user_input",
    "query_text",
    "content",
    "text",
    "answer",
    "final_answer",
    "page_content",
    "message",
    "output_text",
    "raw",
)
_IS_TEXT_KEY = frozenset(_TEXT_KEYS)
_SENTENCE_KEYS = ("result", "response", "output")  # words only where they hold more than one: a tool returns `{"result": "ok", "id": 5}`
_ENVELOPES = (
    "inputs",
    "outputs",
    "input",
    "output",
    "data",
    "documents",
    "update",
    "message",
    "replies",
)  # beside them: tags, metadata, a model's name
_LLAMA_INDEX_STATE = "init_state"  # the declaration of a workflow, beside the event that starts it
_CALLED_WITH = ("args", "kwargs")  # both are what a function was called with
_NUMBERS_SHOWN = 8  # a longer list of floats is a vector: nothing to read
_TEXT_FIELD = re.compile(r'"(?:content|text|task|question|prompt|output)"\s*:\s*"((?:[^"\\]|\\.){1,2000})')
_LITERAL_CHARS_MAX = 65_536
_REPR_KEYS = (
    "final_answer",
    "action_output",
    "output",
    "answer",
    "content",
    "text",
    "result",
    "task",
    "message",
    "observations",
    "user_msg",
)
_REPR = re.compile(rf"(?:[A-Z][A-Za-z0-9_.]*\(|<[A-Z][A-Za-z0-9_.]* |(?:{'|'.join(_REPR_KEYS)})=['\"])")
# the closing quote may be cut off: LlamaIndex keeps 200 characters of a repr
_REPR_FIELD = re.compile(rf"\b({'|'.join(_REPR_KEYS)})=(['\"])((?:\\.|(?!\2).){{1,2000}}?)(?:\2|\.\.\.\Z|\Z)", re.DOTALL)
_WORDLESS_REPR = re.compile(r"(?:<[\w.]+ object at 0x[0-9a-f]+>|ActionStep\(|[A-Z]\w*\(\)\Z)")
_ESCAPED = {"\\n": " ", "\\t": " ", '\\"': '"', "\\\\": "\\"}


Words = Callable[[list[Message]], str]
"""Which message of a conversation a preview shows."""


def one_line(text: str) -> str:
    """The beginning of a text on one line."""
    head = text[:PREVIEW_CHARS_MAX]
    # mostly one line already: splitting and joining costs 5 us, and looking for double blanks alone 1
    if "\n" not in head and "\t" not in head and "\r" not in head and head[:1] != " ":
        return head.rstrip(" ")
    return " ".join(text[:_LOOK_CHARS].split())[:PREVIEW_CHARS_MAX]


def preview_of_text(text: str, words: Words | None = None) -> str:
    """The preview of a text that may be JSON; ``words`` as in ``preview_of``."""
    first = text[:1]
    if first in {"{", "["} and text:
        value = load(text)
        if value is None and first in {"{", "["}:
            value = python_literal(text)
        if value is not None:
            return preview_of(value, words)
        spoken = _of_messages(text, words) if "Message(" in text else None
        return _salvaged(text) if spoken is None else one_line(spoken)
    if first == '"':
        value = load(text)
        return one_line(value if isinstance(value, str) else text)
    spoken = _of_repr(text)
    return one_line(text if spoken is None else spoken)


_BEGINNING_CHARS = 128  # where a repr shows that it is one
_BEGINNINGS = frozenset("aR<")  # of what shows it in another way
_ROLE = "assistant: "  # LlamaIndex's str() of an answer
_FINAL = re.compile(r"RunResult\w*:\n(?:.*\n)*?- Final output \(.{1,80}\):\n((?:    .*\n?)+)")
_SPOKEN = re.compile(r"\b(Human|AI)Message(?:Chunk)?\(content=(['\"])((?:\\.|(?!\2).){1,2000}?)\2", re.DOTALL)


def _of_messages(text: str, words: Words | None) -> str | None:
    """The words in Python's text for a list or dict of LangChain's messages: the last question of an input, the last answer of an output."""
    said = [(found[1], found[3]) for found in _SPOKEN.finditer(text[:_LITERAL_CHARS_MAX])]
    wanted = "AI" if words is preview_of_output else "Human"
    spoken = next((line for role, line in reversed(said) if role == wanted), said[-1][1] if said else None)
    return None if spoken is None else _unescaped(spoken)


def _unescaped(words: str) -> str:
    return words.replace("\\n", " ").replace("\\'", "'").replace('\\"', '"')


def python_literal(text: str) -> Any:
    """A dict or list that was written with Python's ``str``, or ``None``."""
    if len(text) > _LITERAL_CHARS_MAX or "'" not in text:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _of_repr(text: str) -> str | None:
    """The words in the repr of a library's object: ``ActionStep(... action_output='42')``, ``content='Hi' additional_kwargs={}``."""
    head = text[:_BEGINNING_CHARS]
    if "(" not in head and "=" not in head and head[:1] not in _BEGINNINGS:
        return None  # most texts
    if head.startswith(_ROLE):
        return text.removeprefix(_ROLE)
    final = _FINAL.match(text[:_LITERAL_CHARS_MAX]) if head.startswith("RunResult") else None
    if final is not None:
        return final[1]
    if "=" not in text or _REPR.match(text) is None:
        return "" if text[-1:] in {">", ")"} and _WORDLESS_REPR.match(text) is not None else None
    fields = {found[1]: found[3] for found in _REPR_FIELD.finditer(text[:_LITERAL_CHARS_MAX])}
    words = next((fields[key] for key in _REPR_KEYS if fields.get(key)), None)
    if words is None:
        return "" if _WORDLESS_REPR.match(text) is not None else None
    return _unescaped(words)


def preview_of(value: Any, words: Words | None = None) -> str:
    """The preview of any JSON value.

    Args:
        value: Anything.
        words: Of a conversation in it; by default what was asked.
    """
    messages = messages_of(value)
    if messages:
        return words(messages) if words is not None else preview_of_input(messages) or preview_of_output(messages)
    return one_line(_preview(value, 0, words or preview_of_input))


def preview_of_input(messages: list[Message]) -> str:
    """What was asked: the last words of a user (a second turn shows the second question), else the first words of anybody."""
    asked = next((words for message in reversed(messages) if message["role"] == "user" and (words := _said(message))), "")
    return (
        asked or next(filter(None, map(_done, (message for message in messages if message["role"] == "user"))), "") or _first_of(messages)
    )


def preview_of_output(messages: list[Message]) -> str:
    """What was answered: the last words of the model, else the last words of anybody, else what was done last."""
    last_first = messages[::-1]
    said = next((words for message in last_first if message["role"] == "assistant" and (words := _said(message))), "")
    return said or next(filter(None, map(_message, last_first)), "")


def _first_of(messages: list[Message]) -> str:
    return next(filter(None, map(_message, messages)), "")


def _message(message: Message) -> str:
    return _said(message) or _done(message)


def _said(message: Message) -> str:
    """The words of a message: text, refusals, and what was spoken."""
    said: list[str] = []
    for part in message["content"]:
        kind = part.get("type")
        if kind == "text":
            text = part.get("text")
            said.append(
                _preview(load(text), 0, preview_of_input) or text if isinstance(text, str) and text[:1] in {"{", "["} else str(text)
            )
        elif kind in {"refusal", "media"}:
            words = part.get("refusal") or part.get("transcript")
            said += [words] if isinstance(words, str) else []
    return one_line(" ".join(filter(None, said)))


def _done(message: Message) -> str:
    """What a message without words does: calls, results, files."""
    done: list[str] = []
    for part in message["content"]:
        kind = part.get("type")
        if kind == "tool_call":
            done.append(
                f"{part.get('name')}({_preview(part.get('arguments'), 1, preview_of_input)})"
                if part.get("name") or part.get("arguments")
                else ""
            )
        elif kind == "tool_result":
            done.append(_preview(part.get("result"), 1, preview_of_output))
        elif kind == "media":
            done.append(f"[{part.get('mime')}]")
        elif kind not in {"text", "reasoning", "refusal"}:
            done.append(_preview({key: item for key, item in part.items() if key != "type"}, 1, preview_of_input))
    return one_line(" ".join(filter(None, done)))


def _preview(value: Any, depth: int, words: Words) -> str:  # noqa: PLR0911  one return a kind of value
    if isinstance(value, str):
        if value[:1] in {"{", "[", '"'} and depth < _DEPTH_MAX and value:
            inner = load(value)
            return value[:_LOOK_CHARS] if inner is None else _preview(inner, depth + 1, words)
        spoken = _of_repr(value) if "=" in value or value[-1:] in {">", ")"} else None
        return value[:_LOOK_CHARS] if spoken is None else spoken
    if value is None or value is False or depth >= _DEPTH_MAX:
        return ""
    if value is True:
        return "true"
    if isinstance(value, list):
        if len(value) > _NUMBERS_SHOWN and isinstance(value[0], float) and isinstance(value[-1], float):
            return ""
        return _joined([_preview(item, depth + 1, words) for item in value[:_ITEMS_MAX]], ", ")
    if not isinstance(value, dict):
        return str(value)
    if value.get("type") == "media" and isinstance(value.get("mime"), str):  # never its bytes
        spoken = value.get("transcript")
        return spoken if isinstance(spoken, str) and spoken else f"[{value['mime']}]"
    messages = messages_of(value)
    if messages:
        return words(messages)
    return _map_preview(value, depth, words)


def _map_preview(value: dict[str, Any], depth: int, words: Words) -> str:
    said = _text_of(value, depth, words) or _enveloped(value, depth, words)
    if said:
        return said
    called = [_preview(value[key], depth + 1, words) for key in _CALLED_WITH if isinstance(value.get(key), list | dict)]
    if any(called):
        return _joined(called, " ")
    if _LLAMA_INDEX_STATE in value:
        return _preview(value.get("start_event"), depth + 1, words)
    entries = [(key, _preview(item, depth + 1, words)) for key, item in list(value.items())[:_ITEMS_MAX]]
    entries = [(key, said) for key, said in entries if said]
    if len(entries) == 1 and depth == 0 and not isinstance(value[entries[0][0]], int | float):
        return entries[0][1]
    return _joined([f"{key}={said}" for key, said in entries], " ")


def _text_of(value: dict[str, Any], depth: int, words: Words) -> str:
    if not _IS_TEXT_KEY.isdisjoint(value):
        for key in _TEXT_KEYS:
            item = value.get(key)
            if isinstance(item, str) and item:
                return _preview(item, depth + 1, words)
    for key in _SENTENCE_KEYS:
        item = value.get(key)
        if isinstance(item, str) and " " in item:
            return _preview(item, depth + 1, words)
    blocks = value.get("content") or value.get("blocks")
    if not isinstance(blocks, list):
        return ""
    # an MCP result, LlamaIndex's messages and tool outputs
    said = [block["text"] for block in blocks[:_ITEMS_MAX] if isinstance(block, dict) and isinstance(block.get("text"), str)]
    return " ".join(said)[:_LOOK_CHARS]


def _enveloped(value: dict[str, Any], depth: int, words: Words) -> str:
    for key in _ENVELOPES:
        said = _preview(value[key], depth + 1, words) if isinstance(value.get(key), list | dict) else ""
        if said:
            return said
    written = value.get("messages")
    if isinstance(written, list) and written and isinstance(written[-1], str):  # reprs: Haystack's state
        return _preview(written[-1], depth + 1, words)
    return ""


def _joined(pieces: list[str], separator: str) -> str:
    return separator.join(filter(None, pieces))


def _salvaged(text: str) -> str:
    """The text of a value that begins like JSON and does not parse: cut JSON, or text in brackets."""
    match = _TEXT_FIELD.search(text[: 8 * _LOOK_CHARS])
    if match is None:
        return one_line(text)
    spoken = match[1]
    for escaped, plain in _ESCAPED.items():
        spoken = spoken.replace(escaped, plain)
    return one_line(spoken)
