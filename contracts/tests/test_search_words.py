"""What is a word, on both sides of the search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams_contracts.search_words import search_words, strip_json_escapes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Refund the Booking, please!", "refund the booking please"),
        ("search_flights(from='ZRH')", "search flights from zrh"),
        ("https://example.com/a?b=3.14", "https example com a b 3 14"),
        ("Straße STRASSE", "strasse strasse"),
        ("e\u0301t\u00e9", "été"),
        ("\uff46\uff55ll \u2460", "full 1"),
        ("東京 hotel", "東 京 hotel"),
        ("done 🎉👩‍🚀", "done u1f389 u1f469 u1f680"),
        ("100% _ \\ ' \" : & | ! ( ) < -", "100"),
        ("a" * 200 + " b", "b"),
        ("", ""),
    ],
)
def test_words(text: str, words: str) -> None:
    assert search_words(text) == words


@given(st.text())
def test_words_of_words_are_the_same(text: str) -> None:
    words = search_words(text)

    assert search_words(words) == words or not words.isascii()
    assert not set(words) & set("'\"\\&|!():<>*%_")


@pytest.mark.parametrize(
    ("json", "text"),
    [
        (r'{"a":"one\ntwo\u00e9"}', '{"a":"one twoé"}'),
        (r"\ud83c\udf89", "🎉"),
        (r"cut \ud83c", "cut \N{REPLACEMENT CHARACTER}"),
        ("cut \\", "cut \\"),
    ],
)
def test_escapes_are_taken_out_of_json(json: str, text: str) -> None:
    assert strip_json_escapes(json) == text
