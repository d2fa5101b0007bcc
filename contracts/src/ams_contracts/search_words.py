"""Splits text into the words of the search index. Indexing and searching use the same rule, so Postgres never parses text itself."""

import re
import unicodedata

WORD_CHARS_MAX = 128  # a longer run of letters and digits is data, not language: nobody searches for it, and it would fill the index

_ASCII = bytes(ord(chr(code).lower()) if code < 0x80 and chr(code).isalnum() else 32 for code in range(256))  # noqa: PLR2004  where ASCII ends
_NEVER_IN_WORDS = re.compile(r"[\W_]+")
# scripts without spaces: every character is a word, and adjacent words are a phrase
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_PICTURE = re.compile("[\u2190-\u21ff\u2300-\u23ff\u2460-\u27bf\u2900-\u2bff\U0001f000-\U0001faff]")
_MARKED = ("\ufe0e", "\ufe0f", "\u200d")  # choose a variant of an emoji or join two: ignored
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def search_words(text: str) -> str:
    """The words of a text, in order, with one space between.

    A word is a run of letters and digits, case-folded and in compatibility form (NFKC). A character of a script without spaces (Chinese,
    Japanese, Korean, Thai ...) is a word of its own, and so is a picture (``u1f600``). Everything else separates words.

    Args:
        text: Any text.

    Returns:
        Words and spaces only; empty when there are none.
    """
    if text.isascii():  # forty times as fast
        spaced = text.encode().translate(_ASCII).decode()
    else:
        folded = unicodedata.normalize("NFKC", text).casefold()
        for mark in _MARKED:
            folded = folded.replace(mark, "")
        folded = _PICTURE.sub(lambda found: f" u{ord(found[0]):x} ", folded)
        spaced = _NEVER_IN_WORDS.sub(" ", _UNSPACED.sub(r" \g<0> ", folded))
    return " ".join([word for word in spaced.split() if len(word) <= WORD_CHARS_MAX])


def strip_json_escapes(json: str) -> str:
    """JSON as text without its escapes, so that the word after an escaped newline does not begin with an ``n``.

    Args:
        json: JSON, cut anywhere.
    """
    if "\\" not in json:
        return json
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", json)
    return plain if plain.isascii() else plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
