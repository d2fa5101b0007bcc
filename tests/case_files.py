"""The cases of ``tests/cases``: small OTLP requests, and what the platform must say about their steps and tasks.

A case has ``otlp``, ``otlp_logs`` or ``otlp_protobuf`` (base64), or a list ``posts`` of these, and ``expect``. A map in ``expect`` holds at least the
keys that it names, a list has the same length, and ``null`` also matches a missing value.
"""

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

Case = dict[str, Any]


def case_of(name: str) -> Case:
    """A case by its name."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def posts_of(case: Case) -> list[Case]:
    """The requests of a case in their order, each a map with one body."""
    if "posts" in case:
        return case["posts"]
    posts = [{key: case[key]} for key in ("otlp", "otlp_logs", "otlp_protobuf") if key in case]
    return posts[::-1] if case.get("order") == "logs_first" else posts


def body_of(post: Case) -> tuple[str, str, bytes]:
    """Path, content type and body of a request."""
    if "otlp_protobuf" in post:
        return "/v1/traces", "application/x-protobuf", base64.b64decode(post["otlp_protobuf"])
    key = "otlp" if "otlp" in post else "otlp_logs"
    return "/v1/traces" if key == "otlp" else "/v1/logs", "application/json", json.dumps(post[key]).encode()


def differences(want: Any, got: Any, path: str) -> list[str]:  # noqa: PLR0911  one return for each kind of value
    """Where ``got`` does not hold what ``want`` says."""
    wrong = [f"{path}: expected {str(want)[:200]}, got {str(got)[:300]}"]
    if isinstance(want, dict) and "$between" in want:
        low, high = want["$between"]
        return [] if isinstance(got, int | float) and low <= got <= high else wrong
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return wrong
        return [line for key, item in want.items() for line in differences(item, got.get(key), f"{path}.{key}")]
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return wrong
        pairs = enumerate(zip(want, got, strict=True))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{path}[{index}]")]
    if path.endswith("cost_usd") and want is not None and got is not None:
        return [] if Decimal(str(want)) == Decimal(str(got)) else wrong
    return [] if want == got and isinstance(want, bool) == isinstance(got, bool) else wrong


def compare_step(want: Case, step: Case, payloads: dict[str, Case]) -> list[str]:
    """What is wrong with a step, given its document and its payloads by slot."""
    wrong: list[str] = []

    def text(name: str) -> str:
        return (step.get(name) if name.startswith("preview_") else payloads.get(name, {}).get("text")) or ""

    for key, value in want.items():
        name, _, how = key.rpartition("_")
        if key in {"input", "output"}:
            wrong += differences(value, _loaded(text(key)), key)
        elif key in {"input_mime", "output_mime"}:
            wrong += differences(value, payloads.get(name, {}).get("mime"), key)
        elif how in {"has", "not"}:
            wrong += [f"{name}: {word!r} {how}, in {text(name)[:200]!r}" for word in value if (word in text(name)) is not (how == "has")]
        elif how == "contains":
            nodes = list(_nodes(_loaded(text(name))))
            wrong += [f"{name}: nothing is {part}" for part in value if all(differences(part, node, "") for node in nodes)]
        elif key == "kept":
            everything = _everything(step, payloads)
            wrong += [f"lost: {word!r}" for word in value if word not in everything]
        elif key == "parameters":
            wrong += differences(value, _loaded(step.get(key)), key)
        else:
            wrong += differences(value, step.get(key), key)
    return wrong


def _everything(step: Case, payloads: dict[str, Case]) -> str:
    texts = [payload.get("text") or "" for payload in payloads.values()]
    everything = json.dumps([step, *map(_loaded, texts)], ensure_ascii=False) + "\n".join(texts)
    return everything + everything.replace('\\"', '"')


def _loaded(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _nodes(value: Any) -> Iterator[Any]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(item)
