"""Patterns match the same texts in RE2 and in JSON Schema."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.contracts.portable_patterns import portable_pattern
from shared.contracts.patterns import pattern_matcher, pattern_problem

PATTERNS = [
    "[a-z]+",
    "a|bc",
    r"\d{3}-\d{2,4}",
    r"[^/]+/[^/]+",
    ".*",
    r"\S+\s\S+",
    r"[\s\-\]^a]+",
    "(?:ab)+c?",
    "(?P<year>[0-9]{4})x{2,}?",
    r"\w+\.\w+@\d",
    r"^a$|\Ab\z",
    "é+ß",
    r"a\-b\/\_",
    "[]a]+",
    "[^]a]+",
    "[[a]",
]


CHARACTERS = st.sampled_from("abcx019 /-._@]^[\n\r\t\u2028\u00a0éß٣🎵")


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
@settings(max_examples=25)
def test_the_same_texts_match(pattern: str, data: st.DataObject) -> None:
    translated = portable_pattern(pattern)
    assert translated is not None
    valid = jsonschema_rs.Draft202012Validator({"pattern": translated}).is_valid
    of_python = re.compile(pattern.replace(r"\z", r"\Z").replace("[[", r"[\["), re.ASCII)
    text = data.draw(st.one_of(st.text(CHARACTERS, max_size=8), st.from_regex(of_python, fullmatch=True)))

    assert valid(text) == pattern_matcher(pattern)(text)


def test_what_means_something_else_in_ecma_262_is_spelled_out() -> None:
    assert portable_pattern(r".\s\A[\s\-]") == r"^(?:[^\n][\t\n\f\r ]^[\t\n\f\r \-])$"


@pytest.mark.parametrize("pattern", [r"(?i)a", r"\pL+", "[[:alpha:]]", r"\bA\b", r"\x41", r"[\S]", r"\Qa.b\E", "a{"])
def test_a_pattern_without_an_equivalent_is_not_translated(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    assert portable_pattern(pattern) is None
