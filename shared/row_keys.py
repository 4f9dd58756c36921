"""Encode and decode the row keys and qualifiers of the tables. Pure.

Users, ids and other values are percent-encoded, so they contain no separator, and different values make different keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, repeat
from operator import add, sub
from string import ascii_letters, digits
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

import msgspec

from shared.timestamps import EPOCH, MICROSECONDS_PER_DAY, format_day, parse_day

SHARDS = 64

# https://cloud.google.com/bigtable/quotas#limits-data-size: a row key up to 4 KiB, a qualifier up to 16 KiB.
MAX_ROW_KEY_BYTES = 4_096
MAX_QUALIFIER_BYTES = 16_384
# A row key of `events` is "SS#YYYYMMDD#user" or "SS#YYYYMMDD#user#HH", a qualifier is "TTTTTTTTTTT#id".
MAX_ENCODED_USER_BYTES = MAX_ROW_KEY_BYTES - 12 - 3
MAX_ENCODED_ID_BYTES = MAX_QUALIFIER_BYTES - 12

# This leaves 3,000 bytes of a row key for the dimension's value.
MAX_DIMENSION_BYTES = 1_024

Bucket = Literal["day", "hour"]

_SHARDS = [f"{shard:02x}" for shard in range(SHARDS)]
_UNRESERVED = (ascii_letters + digits + "-._~").encode()  # RFC 3986, section 2.3
# A qualifier begins with the microseconds left in the event's day, so newer events come first. The leading 1, removed
# later, keeps the leading zeros.
_COUNTDOWN = 10**11 + MICROSECONDS_PER_DAY - 1
_EPOCH_ORDINAL = EPOCH.toordinal()
_encode_integers = msgspec.json.Encoder().encode


class CellKey(NamedTuple):
    """The cell of one event in `events`.

    Attributes:
        micros: the cell's timestamp in microseconds since 1970, a whole number of milliseconds as Bigtable requires.
    """

    row_key: bytes
    qualifier: bytes
    micros: int


class CellKeys(NamedTuple):
    """The cell keys of several events, as columns."""

    row_keys: list[bytes]
    qualifiers: list[bytes]
    micros: list[int]


def encode(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters, also lone surrogates, which UTF-8 can't represent."""
    return quote(text, safe="", errors="surrogatepass")


def encode_all(texts: Sequence[str]) -> list[bytes]:
    """Encode each text like `encode`; texts that need no encoding are recognised all at once."""
    return _split_plain(texts) or [encode(text).encode() for text in texts]


def _split_plain(texts: Sequence[str]) -> list[bytes] | None:
    """Return the texts as bytes if none of them needs encoding."""
    joined = "\n".join(texts).encode("utf-8", "surrogatepass")
    plain = joined.translate(None, _UNRESERVED) == b"\n" * (len(texts) - 1)
    return joined.split(b"\n") if plain and texts else None


def decode(text: str) -> str:
    """Return the text that `encode` encoded."""
    return unquote(text, errors="surrogatepass") if "%" in text else text


def event_id(parts: Sequence[str | int]) -> str:
    """Return the encoded id of an event: its encoded parts joined with colons, which no encoded part contains."""
    return ":".join([encode(str(part)) for part in parts])


def event_ids(columns: Sequence[Sequence[str]]) -> list[bytes]:
    """Return the encoded ids of events; each column has one part of every id."""
    encoded = list(map(encode_all, columns))
    return encoded[0] if len(encoded) == 1 else list(map(b":".join, zip(*encoded, strict=True)))


def shard_and_user(user: str) -> tuple[str, str]:
    """Return the two-digit shard of a user, and the encoded user."""
    return _SHARDS[crc32(user.encode("utf-8", "surrogatepass")) % SHARDS], encode(user)


def cell_key_of(user: str, encoded_id: str, time: datetime, bucket: Bucket) -> CellKey:
    """Return the cell key of an event; it depends on the arguments alone, so a redelivery overwrites the same cell.

    Args:
        user: the user, not encoded.
        encoded_id: the id that `event_id` returns.
        time: the event's time in UTC.
        bucket: the period that one row holds.
    """
    (row_key,), (qualifier,), (micros,) = cell_keys_of([user], [encoded_id.encode()], [time], bucket)
    return CellKey(row_key, qualifier, micros)


def cell_keys_of(
    users: Sequence[str], encoded_ids: Sequence[bytes], times: Sequence[datetime], bucket: Bucket
) -> CellKeys:
    """Return the cell keys of events, each like `cell_key_of`."""
    if not users:
        return CellKeys([], [], [])
    days = list(map(datetime.toordinal, times))
    since_epoch = list(map(sub, times, repeat(EPOCH)))  # the remainder beyond whole days is the time of the day
    elapsed = [each.seconds * 1_000_000 + each.microseconds for each in since_epoch]
    plain_users = _split_plain(users)
    encoded_users = plain_users or encode_all(users)
    digests = map(crc32, plain_users or [user.encode("utf-8", "surrogatepass") for user in users])
    prefixes = {day: _prefixes_of_day(day) for day in set(days)}
    row_keys = [
        prefixes[day][digest % SHARDS] + user for day, digest, user in zip(days, digests, encoded_users, strict=True)
    ]
    if bucket == "hour":
        row_keys = [b"%b#%02d" % (key, time.hour) for key, time in zip(row_keys, times, strict=True)]
    # Formatting a list and splitting the text takes less time than formatting each number.
    countdowns = _encode_integers([_COUNTDOWN - passed for passed in elapsed])[2:-1].replace(b",", b"#,") + b"#"
    qualifiers = list(map(add, countdowns.split(b",1"), encoded_ids))
    starts = {day: (day - _EPOCH_ORDINAL) * MICROSECONDS_PER_DAY for day in prefixes}
    micros = [starts[day] + passed - passed % 1_000 for day, passed in zip(days, elapsed, strict=True)]
    return CellKeys(row_keys, qualifiers, micros)


@lru_cache(maxsize=1_024)
def _prefixes_of_day(ordinal: int) -> list[bytes]:
    """Return the prefixes of a day's row keys by shard."""
    return shard_prefixes(date.fromordinal(ordinal))


def event_rows(user: str, day: date, bucket: Bucket) -> list[bytes]:
    """Return the keys of all rows that can hold a user's events of a day, in key order."""
    shard, encoded_user = shard_and_user(user)
    key = f"{shard}#{format_day(day)}#{encoded_user}"
    return [key.encode()] if bucket == "day" else [f"{key}#{hour:02d}".encode() for hour in range(24)]


def user_of_row(row_key: bytes) -> str:
    """Return the user of a row of `events`."""
    return decode(row_key.decode().split("#")[2])


def time_of_cell(day: date, qualifier: bytes) -> datetime:
    """Return the time of an event, in microseconds, from the day of its row and its qualifier."""
    elapsed = MICROSECONDS_PER_DAY - 1 - int(qualifier[:11])
    return EPOCH + timedelta(days=(day - EPOCH.date()).days, microseconds=elapsed)


def qualifier_bound(time: datetime) -> bytes:
    """Return the bound below which a row's qualifiers belong to events after `time`; no qualifier equals it."""
    elapsed = (time.hour * 3600 + time.minute * 60 + time.second) * 1_000_000 + time.microsecond
    return f"{MICROSECONDS_PER_DAY - 1 - elapsed:011d}".encode()


def shard_prefixes(day: date) -> list[bytes]:
    """Return the 64 key prefixes of a day's rows in `events` or `rejected`."""
    return [f"{shard:02x}#{format_day(day)}#".encode() for shard in range(SHARDS)]


def split_day(day: date, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Return ranges that together hold the rows of a day in `events`, split further at other keys.

    All rows of a user are in one range: a key within them is cut to the user's first possible one.

    Args:
        day: of the rows.
        keys: any row keys of the table, in order.

    Returns:
        Pairs of start key (inclusive) and end key (exclusive), in key order.
    """
    bounds = {b"#".join(key.split(b"#")[:3]) for key in keys}
    ranges: list[tuple[bytes, bytes]] = []
    for prefix in shard_prefixes(day):
        end = prefix[:-1] + b"$"  # follows "#"
        cuts = [prefix, *sorted(bound for bound in bounds if prefix < bound < end), end]
        ranges += pairwise(cuts)
    return ranges


def all_shards() -> list[bytes]:
    """Return the 64 key prefixes of all rows in `events` or `rejected`."""
    return [f"{shard:02x}#".encode() for shard in range(SHARDS)]


def split_keys() -> list[bytes]:
    """Return the keys at which the tables `events` and `rejected` are split at creation."""
    return all_shards()[1:]


def rejected_row(raw: bytes, day: date) -> bytes:
    """Return the row key of a rejected event, from the day of its first publication and its bytes."""
    # Among 2**32 events, two have the same 128-bit digest with a probability of 2**-65.
    digest = hashlib.sha256(raw).hexdigest()[:32]
    return f"{crc32(digest.encode()) % SHARDS:02x}#{format_day(day)}#{digest}".encode()


@lru_cache(maxsize=256)
def aggregate_prefix(dimension: str, day: date) -> bytes:
    """Return the key prefix of a dimension's rows of a day in `aggregates`."""
    return f"{encode(dimension)}#{format_day(day)}#".encode()


def aggregate_row(dimension: str, day: date, value: str) -> bytes:
    """Return the row key of one value; a value too long for a key is cut and ends with a digest of the whole value."""
    key = aggregate_prefix(dimension, day) + encode(value).encode()
    if len(key) <= MAX_ROW_KEY_BYTES:
        return key
    # Percent-encoding never produces "%%", so no other value has this key.
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()
    return key[: MAX_ROW_KEY_BYTES - 64] + b"%%" + digest


def value_of_row(row_key: bytes) -> str:
    """Return the dimension's value of a row of `aggregates`; a value that was cut ends with an ellipsis."""
    text = row_key.decode().split("#", 2)[2]
    start, cut, _ = text.partition("%%")
    if not cut:
        return decode(text)
    # The cut may be inside a percent-encoded byte, or between the bytes of one character.
    return unquote(re.sub(r"%[0-9A-F]?$", "", start), errors="ignore") + "…"


def state_row(kind: Literal["run", "late", "claim"], day: date) -> bytes:
    """Return the row key in `state` of a day's runs, or of its late events."""
    return f"{kind}#{format_day(day)}".encode()


def day_of_state_row(row_key: bytes) -> date:
    """Return the day of a row of `state`."""
    return parse_day(row_key.decode().split("#")[1])
