"""Names of fields are read as words, and made for paths."""

from __future__ import annotations

import pytest

from infra.contracts.inference import names


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("itemInSession", ("item", "in", "session")),
        ("user_id", ("user", "id")),
        ("userid", ("user", "id")),
        ("HTTPStatus", ("http", "status")),
        ("event.time", ("event", "time")),
        ("srcIP", ("src", "ip")),
        ("@timestamp", ("timestamp",)),
        ("größe_2", ("größe", "2")),
    ],
)
def test_a_key_is_split_into_words(key: str, words: tuple[str, ...]) -> None:
    assert names.words_of(key) == words


@pytest.mark.parametrize(
    ("better", "worse"),
    [("user_id", "user_name"), ("userId", "sessionId"), ("visitor_id", "account_id"), ("username", "remote_ip")],
)
def test_names_of_users_are_ranked(better: str, worse: str) -> None:
    first, second = names.user_score((better,)), names.user_score((worse,))

    assert first is not None
    assert second is not None
    assert first > second


@pytest.mark.parametrize("key", ["user_agent", "dst_ip", "server_host", "page", "status", "userRealm"])
def test_other_names_are_no_users(key: str) -> None:
    assert names.user_score((key,)) is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [("event_id", "session_id"), ("id", "session_id"), ("message_id", "message_bus_id"), ("request_id", "photo_id")],
)
def test_names_of_ids_are_ranked(better: str, worse: str) -> None:
    assert (names.id_score((better,)) or 0) > (names.id_score((worse,)) or 0)


@pytest.mark.parametrize(
    ("better", "worse"),
    [("timestamp", "_synced_at"), ("created_at", "updated_at"), ("ts", "registration"), ("time", "end_time")],
)
def test_names_of_times_are_ranked(better: str, worse: str) -> None:
    assert (names.time_score((better,)) or 0) > (names.time_score((worse,)) or 0)


def test_fields_are_named_after_their_keys() -> None:
    paths = [("id",), ("user", "id"), ("repo", "id"), ("_synced",), ("a.b",), ("Betrag (EUR)",), ("%",), ("a_b",)]

    assert names.field_names(paths) == ["id", "user_id", "repo_id", "synced", "a_b", "Betrag_EUR", "field", "a_b_2"]
