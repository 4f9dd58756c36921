"""Where things are in the tables: row keys and qualifiers, made of values and read back. Nothing here can fail.

Texts that come from outside are percent-encoded, so the separators of a key are ours alone and two different texts
never make the same key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from operator import sub
from string import ascii_letters, digits
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

from shared.timestamps import EPOCH, MICROSECONDS_PER_DAY, format_day, parse_day

SHARDS = 64

# https://cloud.google.com/bigtable/quotas#limits-data-size: a row key up to 4 KiB, a qualifier up to 16 KiB.
MAX_ROW_KEY_BYTES = 4_096
MAX_QUALIFIER_BYTES = 16_384
# What a key of `events` has besides the user ("SS#YYYYMMDD#" and "#HH"), a qualifier besides the id ("TTTTTTTTTTT#").
MAX_ENCODED_USER_BYTES = MAX_ROW_KEY_BYTES - 12 - 3
MAX_ENCODED_ID_BYTES = MAX_QUALIFIER_BYTES - 12

# Leaves 3,000 bytes of a row key for the value.
MAX_DIMENSION_BYTES = 1_024

Bucket = Literal["day", "hour"]

_SHARDS = [f"{shard:02x}" for shard in range(SHARDS)]
_UNRESERVED = (ascii_letters + digits + "-._~").encode()  # RFC 3986, section 2.3
# Less the microseconds of its day that have passed, an event's time in its qualifier, behind a digit that keeps the
# zeros in front.
_COUNTDOWN = 10**11 + MICROSECONDS_PER_DAY - 1


class CellKey(NamedTuple):
    """The cell of one event in `events`.

    Attributes:
        micros: the cell's time, in microseconds since 1970 but whole milliseconds, as Bigtable keeps it.
    """

    row_key: bytes
    qualifier: bytes
    micros: int


def encode(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters; lone surrogates too, which no UTF-8 has."""
    return encode_all([text])[0]


def encode_all(texts: Sequence[str]) -> Sequence[str]:
    """Encode each of some texts; most need nothing, which is seen of all together."""
    if not "".join(texts).encode("utf-8", "surrogatepass").translate(None, _UNRESERVED):
        return texts
    return [quote(text, safe="", errors="surrogatepass") for text in texts]


def decode(text: str) -> str:
    """Undo `encode`."""
    return unquote(text, errors="surrogatepass") if "%" in text else text


def event_id(parts: Sequence[str | int]) -> str:
    """Return the encoded id of an event: one part, or several joined with a colon, which no encoded part contains."""
    return event_ids([[part] for part in parts])[0]


def event_ids(columns: Sequence[Sequence[str | int]]) -> Sequence[str]:
    """Return the encoded ids of events: each column has a part of each id."""
    encoded = [encode_all(list(map(str, column))) for column in columns]
    return encoded[0] if len(encoded) == 1 else list(map(":".join, zip(*encoded, strict=True)))


def shard_and_user(user: str) -> tuple[str, str]:
    """Return the two-digit shard of a user, and the user as it stands in keys."""
    return _SHARDS[crc32(user.encode("utf-8", "surrogatepass")) % SHARDS], encode(user)


def cell_key_of(user: str, encoded_id: str, time: datetime, bucket: Bucket) -> CellKey:
    """Return the place of an event; a function of these four alone, so an event that comes again finds itself.

    Args:
        user: as it is, not encoded.
        encoded_id: of `event_id`.
        time: in UTC.
        bucket: how much time one row holds.
    """
    return cell_keys_of([user], [encoded_id], [time], bucket)[0]


def cell_keys_of(
    users: Sequence[str], encoded_ids: Sequence[str], times: Sequence[datetime], bucket: Bucket
) -> list[CellKey]:
    """Return the places of events, each as `cell_key_of` does."""
    if not users:
        return []
    since = list(map(sub, times, repeat(EPOCH)))
    days = [each.days for each in since]
    within = [each.seconds * 1_000_000 + each.microseconds for each in since]
    texts = {day: _day(day) for day in set(days)}
    digests = map(crc32, [user.encode("utf-8", "surrogatepass") for user in users])
    of_rows = zip(days, digests, encode_all(users), strict=True)
    row_keys = _utf8([f"{_SHARDS[digest % SHARDS]}#{texts[day]}#{user}" for day, digest, user in of_rows])
    if bucket == "hour":
        row_keys = [b"%b#%02d" % (key, time.hour) for key, time in zip(row_keys, times, strict=True)]
    counted = zip(within, encoded_ids, strict=True)
    qualifiers = _utf8([f"{_COUNTDOWN - passed}#{encoded_id}" for passed, encoded_id in counted], after="1")
    micros = [day * MICROSECONDS_PER_DAY + passed - passed % 1_000 for day, passed in zip(days, within, strict=True)]
    # CellKey(...) a place costs twice as much.
    return list(map(tuple.__new__, repeat(CellKey), zip(row_keys, qualifiers, micros, strict=True)))


@lru_cache(maxsize=1_024)
def _day(days: int) -> str:
    return format_day(EPOCH.date() + timedelta(days=days))


def _utf8(texts: Sequence[str], after: str = "") -> list[bytes]:
    """Return texts without line breaks as bytes, each without its beginning `after`; one call encodes them all."""
    return ("\n" + "\n".join(texts)).encode().split(b"\n" + after.encode())[1:]


def event_time(day: date, qualifier: bytes) -> datetime:
    """Return the time, to the microsecond, of the event whose cell has that qualifier in a row of that day."""
    within = MICROSECONDS_PER_DAY - 1 - int(qualifier[:11])
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(microseconds=within)


def event_rows(user: str, day: date, bucket: Bucket) -> list[bytes]:
    """Return the keys of all rows that can hold a user's events of a day, in key order."""
    shard, encoded_user = shard_and_user(user)
    key = f"{shard}#{format_day(day)}#{encoded_user}"
    return [key.encode()] if bucket == "day" else [f"{key}#{hour:02d}".encode() for hour in range(24)]


def user_of_row(row_key: bytes) -> str:
    """Return the user of a row of `events`."""
    return decode(row_key.decode().split("#")[2])


def qualifier_bound(time: datetime) -> bytes:
    """Return the text that divides a row's qualifiers: those below it belong to events after `time`, none equals it."""
    within = (time.hour * 3600 + time.minute * 60 + time.second) * 1_000_000 + time.microsecond
    return f"{MICROSECONDS_PER_DAY - 1 - within:011d}".encode()


def shard_prefixes(day: date) -> list[bytes]:
    """Return the 64 prefixes under which a day of `events` or `rejected` is."""
    return [f"{shard:02x}#{format_day(day)}#".encode() for shard in range(SHARDS)]


def all_shards() -> list[bytes]:
    """Return the 64 prefixes under which all of `events` or `rejected` is."""
    return [f"{shard:02x}#".encode() for shard in range(SHARDS)]


def split_keys() -> list[bytes]:
    """Return the keys at which the tables `events` and `rejected` are split when they are made."""
    return all_shards()[1:]


def rejected_row(raw: bytes, day: date) -> bytes:
    """Return the row key of a rejected event: by the day its message was first published and its own bytes."""
    digest = hashlib.sha256(raw).hexdigest()[
        :32
    ]  # 128 bits: two different events meet with probability 2**-64 at 2**32
    return f"{crc32(digest.encode()) % SHARDS:02x}#{format_day(day)}#{digest}".encode()


@lru_cache(maxsize=256)
def aggregate_prefix(dimension: str, day: date) -> bytes:
    """Return the prefix under which a dimension's values of a day are in `aggregates`."""
    return f"{encode(dimension)}#{format_day(day)}#".encode()


def aggregate_row(dimension: str, day: date, value: str) -> bytes:
    """Return the row key of one value; one too long for a key ends in the digest of the whole instead of its rest."""
    key = aggregate_prefix(dimension, day) + encode(value).encode()
    if len(key) <= MAX_ROW_KEY_BYTES:
        return key
    # "%%" is nothing that percent-encoding makes, so no other value can be given this key.
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()
    return key[: MAX_ROW_KEY_BYTES - 64] + b"%%" + digest


def value_of_row(row_key: bytes) -> str:
    """Return the dimension's value of a row of `aggregates`; of a shortened one what there is of it."""
    text = row_key.decode().split("#", 2)[2]
    start, cut, _ = text.partition("%%")
    if not cut:
        return decode(text)
    # The cut may have gone through a percent sign's digits, or through the bytes of one character.
    return unquote(re.sub(r"%[0-9A-F]?$", "", start), errors="ignore") + "…"


def state_row(kind: Literal["run", "late"], day: date) -> bytes:
    """Return the row of `state` that knows of a day's runs, or of events that came late for it."""
    return f"{kind}#{format_day(day)}".encode()


def day_of_state_row(row_key: bytes) -> date:
    """Return the day of a row of `state`."""
    return parse_day(row_key.decode().split("#")[1])
