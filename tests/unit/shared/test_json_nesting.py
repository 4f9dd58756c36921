"""The depth of JSON is measured without recursion and independently of its strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.json_nesting import MAX_NESTING_DEPTH, elements, too_deep

texts = st.text('[]{},"\\ab')
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=30,
)


@given(values, st.integers(0, 2 * MAX_NESTING_DEPTH))
def test_depth_ignores_brackets_in_strings(value: Any, around: int) -> None:
    deep = b"[" * around + json.dumps(value).encode() + b"]" * around

    assert too_deep(deep) is (around + depth(value) > MAX_NESTING_DEPTH)


@given(st.lists(values), st.sampled_from(["", " ", "\n\t"]))
def test_elements_are_those_of_the_array(items: list[Any], blank: str) -> None:
    text = "[" + blank + f"{blank},{blank}".join(map(json.dumps, items)) + blank + "]" + blank

    found = elements(text.encode(), most=1_000)

    if items:
        assert found is not None
        assert list(map(json.loads, found)) == items


@pytest.mark.parametrize(
    "data", [b"", b"[", b"{}", b'{"a":[1]}', b"[1", b"[1]]", b"[1] [2]", b"[1,]", b"[,1]", b"[,]", b'["', b"]", b"x[1]"]
)
def test_data_other_than_an_array_has_no_elements(data: bytes) -> None:
    assert elements(data, most=9) is None


def test_an_array_is_split_only_up_to_the_requested_number() -> None:
    assert elements(b"[1, 2, 3, 4 and nonsense", most=3) == [b"1", b"2", b"3"]


def test_an_unterminated_string_is_read_once() -> None:
    assert not too_deep(b'"' + b"\\a[" * 1_000_000)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(depth, inner), default=0) + isinstance(value, dict | list)
