"""A minimal contract and events that satisfy it, to which a test adds what it checks."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from shared.contracts.loader import parse_contract
from shared.contracts.model import Contract

HEAD = """
version = 1
name = "small"

[event]
id = "id"
user = "user"
time = "time"
"""

FIELDS = """
[fields.id]
type = "string"

[fields.user]
type = "string"

[fields.time]
type = "timestamp"
"""

PUBLISHED = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)

# All JSON values as msgspec decodes them: no lone surrogates, no NaN, integers of any size.
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def small_contract(extra: str = "", *, head: str = HEAD, fields: str = FIELDS) -> Contract:
    """Return the minimal contract with further TOML appended."""
    return parse_contract(tomllib.loads(head + fields + extra), "small.toml")


def small_event(**changes: Any) -> dict[str, Any]:
    """Return an event that the minimal contract accepts, with changes; `...` removes a key."""
    event = {"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", **changes}
    return {key: value for key, value in event.items() if value is not ...}
