"""The differences of two contracts, and what they do to events."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from infra.contracts.differences import Difference, differences, moves_cell_keys
from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.model import Contract
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT

MUSIC = load_contract(MUSIC_CONTRACT)


def edited(*edits: tuple[str, str]) -> Contract:
    """Return the music contract with text replaced."""
    text = MUSIC_CONTRACT.read_text("utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_contract(tomllib.loads(text), "edited.toml")


def test_a_contract_does_not_differ_from_itself() -> None:
    assert differences(MUSIC, load_contract(MUSIC_CONTRACT)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max = 86400", "max = 3600", ("fields.duration.max", "tightened", 86400, 3600)),
        ("max = 86400\n", "", ("fields.duration.max", "loosened", 86400, None)),
        ("min = 0", "min = 1", ("fields.duration.min", "tightened", 0, 1)),
        ("max_length = 512", "max_length = 600", ("fields.query.max_length", "loosened", 512, 600)),
        ('max_future = "5m"', 'max_future = "90s"', ("fields.timestamp.max_future", "tightened", "5m", "90s")),
        ('severity = "warn"', 'severity = "reject"', ("fields.duration.severity", "tightened", "warn", "reject")),
        ('{1,64}"', '{1,32}"', ("fields.song_id.pattern", "changed", "[A-Za-z0-9_-]{1,64}", "[A-Za-z0-9_-]{1,32}")),
        ('pattern = "[A-Za-z0-9_-]{1,64}"\n', "", ("fields.song_id.pattern", "loosened", "[A-Za-z0-9_-]{1,64}", None)),
        ("[fields.page]", "[fields.page]\nrequired = true", ("fields.page.required", "tightened", False, True)),
        ('from = "songId"', 'from = "song"', ("fields.song_id.from", "changed", "songId", "song")),
        ('"keep"', '"reject"', ("checks.unknown_fields", "tightened", "keep", "reject")),
        ('"keep"', '"drop"', ("checks.unknown_fields", "changed", "keep", "drop")),
        ("[checks]", "[checks]\nmax_rejected = 0.5", ("checks.max_rejected", "changed", None, 0.5)),
        (
            '"max(duration)"',
            '"min(duration)"',
            ("aggregates.all.longest_seconds", "changed", "max(duration)", "min(duration)"),
        ),
        ('longest_seconds = "max(duration)"', "", ("aggregates.all.longest_seconds", "removed", "max(duration)", None)),
        ('name = "music"', 'name = "songs"', ("name", "changed", "music", "songs")),
        ("[event]", '[source]\ndelimiter = ";"\n[event]', ("source.delimiter", "changed", None, ";")),
        (
            '"search", "like"]',
            '"search"]',
            (
                "fields.event_type.one_of",
                "tightened",
                ["click", "song_play", "page_view", "search", "like"],
                ["click", "song_play", "page_view", "search"],
            ),
        ),
        ('type = "string"\nmax_length = 512', 'type = "string"', ("fields.query.max_length", "loosened", 512, None)),
        ('bucket = "day"', 'bucket = "hour"', ("event.bucket", "moves cell keys", "day", "hour")),
        ('from = "userId"', 'from = "user"', ("fields.user_id.from", "moves cell keys", "userId", "user")),
    ],
)
def test_a_changed_key_is_one_difference(old: str, new: str, expected: tuple[Any, ...]) -> None:
    found = differences(MUSIC, edited((old, new)))

    assert found == [Difference(*expected)]
    assert moves_cell_keys(found) == (expected[1] == "moves cell keys")


def test_the_effect_of_a_change_is_reversed_with_the_contracts() -> None:
    other = edited(("max = 86400", "max = 3600"), ('"search", "like"]', '"search"]'), ("min = 0\n", ""))

    assert [each.effect for each in differences(MUSIC, other)] == ["tightened", "loosened", "tightened"]
    assert [each.effect for each in differences(other, MUSIC)] == ["loosened", "tightened", "loosened"]


def test_added_and_removed_fields_are_shown_with_their_keys() -> None:
    other = edited(("[fields.query]\n", "[fields.device]\nrequired = true\n"))

    assert list(map(str, differences(MUSIC, other))) == [
        "fields.query: removed, was type string, max_length 512",
        "fields.device: added, type string, required true, max_length 512",
    ]


def test_a_difference_is_a_line_of_text() -> None:
    other = edited(('severity = "warn"\n', ""), ('max_future = "5m"\n', ""), ('bucket = "day"', 'bucket = "hour"'))

    assert list(map(str, differences(MUSIC, other))) == [
        "event.bucket: moves cell keys, day → hour",
        "fields.timestamp.max_future: loosened, 5m → nothing",
        "fields.duration.severity: tightened, warn → reject",
    ]


def test_dimensions_are_compared_measure_by_measure() -> None:
    other = edited(
        ('[aggregates.event_type]\nby = "event_type"', '[aggregates.kind]\nby = "event_type"\nmergeable = false'),
        ('where = { event_type = "song_play" }', 'where = { event_type = ["song_play", "like"] }'),
    )

    assert list(map(str, differences(MUSIC, other))) == [
        "aggregates.song.where: changed, event_type song_play → event_type song_play, like",
        "aggregates.event_type: removed, was by event_type, total_events count, unique_users unique(user_id)",
        "aggregates.kind: added, by event_type, mergeable false, total_events count, unique_users unique(user_id)",
    ]


def test_other_roles_move_the_cell_keys() -> None:
    found = differences(MUSIC, load_contract(SPARKIFY_CONTRACT))

    assert list(map(str, found[:3])) == [
        "event.id: moves cell keys, event_id → session_id, item_in_session",
        "fields.timestamp.from: moves cell keys, timestamp → ts",
        "fields.timestamp.unit: moves cell keys, nothing → ms",
    ]
