"""Users are recognised in rejected events and in the JSON of aggregates."""

from __future__ import annotations

import gzip
import json

import pytest

from infra.erase.users import Users
from shared.errors import SourceError
from tests.support.small_messages import small_contract

CONTRACT = small_contract()
NESTED = small_contract(
    fields="""
[fields.id]
type = "string"

[fields.user]
from = "actor.id"
type = "integer"

[fields.time]
type = "timestamp"
"""
)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b'{"user": "ann", "id": 7}', True),
        (b'{"user": "bob", "friend": "ann"}', False),  # an event of another user stays, whatever it contains
        (b'{"user": "annex"}', False),
        (b'{"name": "ann"}', True),  # no readable user: any token counts
        (b'{"user": null, "name": "ann"}', True),
        (b'{"user": "", "name": "joann"}', False),
        (b'{"user": ["ann"]}', True),
        (b'["ann"]', True),
        (b'{"user": "ann"', True),
        (b'{"user": "joanna"', False),
        (b'{"user": "ann_2"', False),
        (b'{"user": "ann-2"', True),  # unreadable bytes rather go too often than stay
        (b"ann", True),
        (b"\xff\x00ann\xff", True),
        (b"[" * 200 + b'"ann"' + b"]" * 200, True),
        (gzip.compress(b'{"user": "ann"') + gzip.compress(b"more"), True),
        (gzip.compress(b"nothing") + gzip.compress(b'{"user": "ann"'), True),
        (gzip.compress(b'{"user": "ann", ' + b"x" * 100)[:-8], True),  # an incomplete member
        (gzip.compress(b"x")[:4], False),
        (b"", False),
    ],
)
def test_a_rejected_event_names_a_user(raw: bytes, named: bool) -> None:
    assert Users(CONTRACT, ["ann", "zoe"]).is_named_by(raw) is named


@pytest.mark.parametrize("user", ["zoë", 'say "hi"', "a.b*c", "x" * 300, "\\", "ann lee", "7", "💥", "a\ud800b"])
def test_any_text_is_found_as_it_is_and_as_json_escapes_it(user: str) -> None:
    users = Users(CONTRACT, [user])

    assert users.is_named_by(b"[" + json.dumps(user).encode())
    if user.isprintable():
        assert users.is_named_by(b'{"name": "' + user.encode() + b'"')
    assert not users.is_named_by(b'["another"')


def test_a_user_of_type_integer_is_recognised_by_its_text() -> None:
    users = Users(NESTED, ["7"])

    assert users.is_named_by(b'{"actor": {"id": 7}}')
    assert users.is_named_by(b'{"actor": {"id": 7.0}}')
    assert users.is_named_by(b'{"actor": {"id": "7"}}')
    assert not users.is_named_by(b'{"actor": {"id": 77}}')


def test_more_users_than_one_pattern_has_are_found() -> None:
    users = Users(CONTRACT, [f"user-{number}" for number in range(450)])

    assert [users.is_named_by(f"user-{number}!".encode()) for number in (0, 201, 449, 450)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'{"unique_users":["ann","bob"]}', True),
        (b'{"unique_users":["bob"],"ann":[1]}', True),
        (b'"ann"', True),
        (b'{"a":{"b":[{"c":"ann"}]}}', True),
        (b'{"unique_users":["\\u0000n7"]}', True),  # the state of an integer
        (b'{"unique_users":["joann"]}', False),
        (b"7", False),
        (b"null", False),
    ],
)
def test_a_user_is_found_in_measures_and_states(value: bytes, found: bool) -> None:
    assert Users(CONTRACT, ["ann", "7"]).are_in(value) is found


@pytest.mark.parametrize("users", [[], [""], ["ann", ""]])
def test_no_user_and_an_empty_one_are_refused(users: list[str]) -> None:
    with pytest.raises(SourceError, match="expected at least one user"):
        Users(CONTRACT, users)
