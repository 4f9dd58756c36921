"""Valid contracts are read completely, and the fingerprint changes with the cell keys of events."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.contracts.loader import load_contract
from shared.contracts.model import Aggregate, Contract, Field, Measure
from shared.contracts.paths import join_path, split_path
from shared.contracts.source import SourceFormat
from shared.errors import ContractError
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT
from tests.support.small_messages import FIELDS, HEAD, small_contract

# Valid contracts


def test_the_music_contract_is_read() -> None:
    music = load_contract(MUSIC_CONTRACT)

    assert (music.path, music.name) == (str(MUSIC_CONTRACT), "music")
    assert (music.id, music.user, music.time, music.bucket) == (("event_id",), "user_id", "timestamp", "day")
    assert music.unknown_fields == "keep"
    assert music.field("timestamp") == Field(
        "timestamp", ("timestamp",), "timestamp", required=True, max_future=300_000_000
    )
    assert music.field("user_id") == Field("user_id", ("userId",), "string", required=True, max_length=128)
    assert music.field("duration") == Field(
        "duration", ("duration",), "number", severity="warn", minimum=0, maximum=86_400
    )
    assert music.field("event_type").one_of == ("click", "song_play", "page_view", "search", "like")
    assert music.aggregates[1] == Aggregate(
        "song",
        "song_id",
        (("event_type", ("song_play",)),),
        (
            Measure("plays", "count", None),
            Measure("unique_users", "unique", "user_id"),
            Measure("mean_seconds", "mean", "duration"),
        ),
    )
    assert [each.dimension for each in music.aggregates] == ["user", "song", "event_type", "all"]


def test_the_sparkify_contract_is_read() -> None:
    sparkify = load_contract(SPARKIFY_CONTRACT)

    assert sparkify.id == ("session_id", "item_in_session")
    assert sparkify.field("timestamp").unit == "ms"
    assert sparkify.field("event_type").path == ("page",)
    assert [each.dimension for each in sparkify.aggregates] == ["user", "song", "artist", "level", "all"]


def test_all_keys_of_a_field_are_read() -> None:
    toml = """
[fields.text]
type = "string"
from = "a.b.c"
trim = true
case = "upper"
one_of = ["A", "BB"]
pattern = "[A-Z]+"
min_length = 1
max_length = 2
default = "A"
severity = "warn"

[fields.count]
type = "integer"
min = -1
max = 1.5
default = 0

[fields.at]
type = "timestamp"
format = "%d/%m/%Y %H:%M"
max_future = "500ms"
max_age = "400d"

[checks]
unknown_fields = "drop"
"""

    small = small_contract(toml)

    assert small.field("text") == Field(
        "text",
        ("a", "b", "c"),
        "string",
        severity="warn",
        default="A",
        trim=True,
        case="upper",
        one_of=("A", "BB"),
        pattern="[A-Z]+",
        min_length=1,
        max_length=2,
    )
    assert small.field("count") == Field("count", ("count",), "integer", default=0, minimum=-1, maximum=1.5)
    assert small.field("at") == Field(
        "at",
        ("at",),
        "timestamp",
        format="%d/%m/%Y %H:%M",
        max_future=500_000,
        max_age=400 * 86_400_000_000,
    )
    assert small.unknown_fields == "drop"


def test_a_field_with_a_dot_in_its_name_is_taken_from_that_key() -> None:
    small = small_contract('[fields."actor.login"]\ntype = "string"\n')

    assert small.field("actor.login").path == ("actor.login",)


def test_fields_of_the_cell_key_are_always_required() -> None:
    small = small_contract('[fields.other]\ntype = "string"\n')

    assert [(field.name, field.required) for field in small.fields] == [
        ("id", True),
        ("user", True),
        ("time", True),
        ("other", False),
    ]


def test_the_user_can_have_a_default() -> None:
    small = small_contract(
        fields=FIELDS.replace('[fields.user]\ntype = "string"', '[fields.user]\ntype = "string"\ndefault = "?"')
    )

    assert (small.field("user").default, small.field("user").required) == ("?", True)


def test_buckets_and_composed_ids_are_read() -> None:
    toml = '[fields.n]\ntype = "integer"\n'

    small = small_contract(toml, head=HEAD.replace('id = "id"', 'id = ["id", "n"]\nbucket = "hour"'))

    assert (small.id, small.bucket) == (("id", "n"), "hour")


def test_an_id_may_have_fields_of_all_scalar_types_or_be_a_digest() -> None:
    toml = '[fields.n]\ntype = "number"\n[fields.f]\ntype = "boolean"\n'

    composed = small_contract(toml, head=HEAD.replace('id = "id"', 'id = ["time", "n", "f"]'))
    digest = small_contract(head=HEAD.replace('id = "id"', 'id = "digest(record)"'))

    assert composed.id == ("time", "n", "f")
    assert all(field.required for field in composed.fields if field.name in composed.id)
    assert digest.id == ()
    assert digest.fingerprint()["id"] == ("digest(record)",)


def test_a_field_may_have_the_name_of_the_digest() -> None:
    small = small_contract('[fields."digest(record)"]\ntype = "string"', head=HEAD.replace('"id"', '"digest(record)"'))

    assert small.id == ("digest(record)",)


def test_all_keys_of_a_source_are_read() -> None:
    toml = """
[source]
format = "csv"
encoding = "windows-1252"
delimiter = ";"
skip_lines = 2
columns = ["id", "user", "time"]
decimal = ","
thousands = "."
"""

    assert small_contract(toml).source == SourceFormat("csv", "windows-1252", ";", 2, ("id", "user", "time"), ",", ".")
    assert small_contract().source == SourceFormat()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ('"a.b"', ("a.b",)),
        ('a."b.c".d', ("a", "b.c", "d")),
        ('"say ""a"""', ('say "a"',)),
        ('say "a"', ('say "a"',)),
        ('".".a', (".", "a")),
    ],
)
def test_quoted_keys_of_a_path_may_contain_dots(text: str, path: tuple[str, ...]) -> None:
    field = small_contract(f"[fields.x]\ntype = \"string\"\nfrom = '{text}'").field("x")

    assert field.path == path
    assert split_path(join_path(path)) == path


@given(st.lists(st.text(min_size=1), min_size=1))
def test_every_path_can_be_written(keys: list[str]) -> None:
    assert split_path(join_path(keys)) == tuple(keys)


def test_conditions_are_values_or_lists_of_values() -> None:
    toml = '[aggregates.day]\nwhere = { id = "a", user = ["b", "c"] }\nn = "count"\n'

    (aggregate,) = small_contract(toml).aggregates

    assert aggregate.where == (("id", ("a",)), ("user", ("b", "c")))
    assert aggregate.by is None


def test_an_unknown_field_raises_key_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        small_contract().field("nowhere")


def test_the_contract_of_canonical_events_has_top_level_fields_and_rfc_3339() -> None:
    sparkify = load_contract(SPARKIFY_CONTRACT)

    canonical = sparkify.of_canonical_events()

    assert canonical.field("timestamp") == replace(sparkify.field("timestamp"), path=("timestamp",), unit=None)
    assert canonical.field("event_type") == replace(sparkify.field("event_type"), path=("event_type",))
    assert replace(canonical, fields=sparkify.fields) == sparkify


# Fingerprints


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('id = "id"', 'id = ["id"]'),
        ('name = "small"', 'name = "other"'),
        (
            '[fields.user]\ntype = "string"',
            '[fields.user]\nrequired = true\nmax_length = 5\npattern = "a"\ntype = "string"',
        ),
        ('[fields.time]\ntype = "timestamp"', '[fields.time]\ntype = "timestamp"\nmax_future = "5m"'),
        ("[fields.id]", '[checks]\nunknown_fields = "drop"\n[fields.new]\ntype = "string"\n[fields.id]'),
    ],
)
def test_changes_that_keep_cell_keys_keep_the_fingerprint(before: str, after: str) -> None:
    assert before in HEAD + FIELDS
    changed = small_contract(head=HEAD.replace(before, after), fields=FIELDS.replace(before, after))

    assert encoded(changed) == encoded(small_contract())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('id = "id"', 'id = ["id", "user"]'),
        ('id = "id"', 'id = "id"\nbucket = "hour"'),
        ('id = "id"', 'id = "user"'),
        ('id = "id"', 'id = "digest(record)"'),
        ('id = "id"', 'id = ["id", "time"]'),
        ('[fields.id]\ntype = "string"', '[fields.id]\ntype = "number"'),
        ('[fields.id]\ntype = "string"', '[fields.id]\ntype = "string"\nfrom = \'"a.b"\''),
        ('[fields.time]\ntype = "timestamp"', '[fields.time]\ntype = "timestamp"\nunit = "ns"'),
        ('[fields.time]\ntype = "timestamp"', '[fields.time]\ntype = "timestamp"\nformat = "rfc2822"'),
        ('[fields.user]\ntype = "string"', '[fields.user]\ntype = "integer"'),
        ('[fields.user]\ntype = "string"', '[fields.user]\ntype = "string"\nfrom = "userId"'),
        ('[fields.user]\ntype = "string"', '[fields.user]\ntype = "string"\ntrim = true'),
        ('[fields.user]\ntype = "string"', '[fields.user]\ntype = "string"\ncase = "lower"'),
        ('[fields.user]\ntype = "string"', '[fields.user]\ntype = "string"\ndefault = "?"'),
        ('[fields.time]\ntype = "timestamp"', '[fields.time]\ntype = "timestamp"\nunit = "s"'),
        ('[fields.time]\ntype = "timestamp"', '[fields.time]\ntype = "timestamp"\nformat = "%Y-%m-%d"'),
    ],
)
def test_changes_of_cell_keys_change_the_fingerprint(before: str, after: str) -> None:
    assert before in HEAD + FIELDS
    changed = small_contract(head=HEAD.replace(before, after), fields=FIELDS.replace(before, after))

    assert encoded(changed) != encoded(small_contract())


def encoded(small: Contract) -> bytes:
    return msgspec.json.encode(small.fingerprint(), order="deterministic")


# Files


def test_a_file_can_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + FIELDS).replace("\n", "\r\n").encode())

    assert load_contract(str(path)) == replace(small_contract(), path=str(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version = ", "not TOML: Invalid value"),
        (b"a = 1\na = 2", "not TOML: Cannot overwrite a value"),
        (b"name = '\xff'", "byte 8 isn't UTF-8; expected a TOML file in UTF-8"),
        (b"a = " + b"[" * 5_000, "not TOML: maximum recursion depth exceeded"),
        (b"a = " + b"1" * 5_000, "not TOML: Exceeds the limit"),
        (b'{"version": 1}', "not TOML: "),
        (b"version = 1", "name: found nothing, expected a name for these events, as text"),
    ],
)
def test_invalid_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "contract.toml"
    path.write_bytes(data)

    with no_collections(), pytest.raises(ContractError) as caught:
        load_contract(path)

    assert str(caught.value).startswith(f"{path}: {message}")


@contextmanager
def no_collections() -> Iterator[None]:
    """Keep the collector from running finalizers of other tests at the recursion limit, where they fail."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"none\.toml: can't be read: No such file or directory; expected a contract"
    ):
        load_contract(tmp_path / "none.toml")
    with pytest.raises(ContractError, match="can't be read: Is a directory"):
        load_contract(tmp_path)
    with pytest.raises(ContractError, match=r"'.x00': can't be read: embedded null byte; expected a contract file"):
        load_contract("\0")
