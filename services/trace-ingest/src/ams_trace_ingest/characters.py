r"""Characters that cannot be stored, replaced by U+FFFD: U+0000, which Postgres refuses, and halves of surrogate pairs, which are no text.

Every way into the platform (native batches, OTLP in both encodings, records of the log) uses these functions, and a step whose text changed has the
flag ``replaced_characters``.

JSON hides both behind escapes: ``\u0000`` decodes to U+0000, and strict decoders refuse a text with a lone ``\ud800``, which Python's
``json.dumps`` writes. All replacements in JSON have the length of what they replace, so that places in the text stay the same.
"""

import re

FLAG = "replaced_characters"
NUL = "\0"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# an escape as a unit, so that the second backslash of `\\u0000` does not begin another; a pair of surrogates is one unit
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED_NUL = b"\\u0000"
_ESCAPED_REPLACEMENT = b"\\ufffd"
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def replace_nul(text: str) -> str:
    """Replace U+0000 in a decoded text."""
    return text.replace(NUL, REPLACEMENT) if NUL in text else text


def replace_invalid_escapes(json: bytes) -> bytes:
    """Replace the escapes of U+0000 and of lone surrogates.

    Args:
        json: JSON in UTF-8.

    Returns:
        The same object when there are none.
    """
    if b"\\" not in json or b"\\u" not in json or _SUSPICIOUS.search(json) is None:
        return json
    replaced = _ESCAPE.sub(_replace_invalid, json)
    return json if replaced == json else replaced


def lone_surrogates_as_nul(json: bytes) -> bytes:
    """Write lone surrogates as U+0000, which every decoder takes.

    For a request that a strict decoder refused: the place that replaces and flags U+0000, span by span or event by event, then handles both.
    """
    return _ESCAPE.sub(lambda escape: _ESCAPED_NUL if _LONE_SURROGATE.fullmatch(escape[0]) else escape[0], json)


def _replace_invalid(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    return _ESCAPED_REPLACEMENT if text == _ESCAPED_NUL or _LONE_SURROGATE.fullmatch(text) else text
