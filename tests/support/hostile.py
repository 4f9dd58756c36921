"""Envelopes made to break what reads them, each with what is to become of it."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.samples import music_event

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

PUBLISHED = "2024-01-16T00:00:00Z"
# Stands in events where no log may show it.
SECRET = "swordfish-4711"
GOOD, OTHER = (json.dumps(music_event(number, note=SECRET)).encode() for number in (1, 2))

Body = Any


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile envelope.

    Attributes:
        body: makes the decoded JSON body of the CloudEvent.
        stored: events in it that are good.
        rejected: the rules that the others break, one for each of them, in their order.
    """

    name: str
    body: Callable[[], Body]
    stored: int = 0
    rejected: tuple[str, ...] = ()


def envelope_of(content: bytes, **changes: Any) -> Body:
    """Return the body that carries the data; `...` takes a key of the message away."""
    message = {
        "data": base64.b64encode(content).decode(),
        "attributes": {},
        "messageId": "1",
        "publishTime": PUBLISHED,
        **changes,
    }
    return {
        "message": {key: value for key, value in message.items() if value is not ...},
        "subscription": "projects/p/subscriptions/s",
    }


def content_of(body: Body) -> bytes:
    """Return what the body's message carries; nothing where that isn't base64."""
    try:
        return base64.b64decode(body["message"]["data"], validate=True)
    except ValueError:
        return b""


def with_value(value: bytes, field: str = "extra") -> bytes:
    """Return a good event that has one more field, with that value as it stands."""
    return GOOD[:-1] + f', "{field}": '.encode() + value + b"}"


def array(*events: bytes) -> bytes:
    """Return the events as a JSON array."""
    return b"[" + b", ".join(events) + b"]"


def lines(*events: bytes) -> bytes:
    """Return the events one on a line."""
    return b"\n".join(events)


@cache
def gzip_of_zeros(size: int) -> bytes:
    """Return honest gzip of that many zeros, a multiple of 1 MiB, without ever having them."""
    mib = bytes(MIB)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(mib) + deflate.flush(zlib.Z_FULL_FLUSH)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    crc = 0
    for _ in range(size // MIB):
        crc = zlib.crc32(mib, crc)
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    tail = crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return head + block * (size // MIB) + deflate.flush() + tail


def zipped(data: bytes, level: int = 6) -> bytes:
    """Return the data as gzip, the same at any time."""
    return gzip.compress(data, level, mtime=0)


DEEP_ARRAY = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECT = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
NUMBERS = {
    "integer": lambda digits: b"1" * digits,
    "fraction": lambda digits: b"0." + b"1" * digits,
    "exponent": lambda digits: b"1e" + b"1" * digits,
    "negative exponent": lambda digits: b"1e-" + b"1" * digits,
    "leading fraction": lambda digits: b"1" * digits + b".0",
}
KB, MB = 1_000, 1_000_000


def plain(name: str, content: bytes | Callable[[], bytes], *rejected: str, stored: int = 0, **changes: Any) -> Case:
    """Return the case of an otherwise good envelope with that data."""
    return Case(
        name,
        lambda: envelope_of(content if isinstance(content, bytes) else content(), **changes),
        stored,
        tuple(rejected),
    )


def _beside(name: str, bad: bytes, rule: str) -> list[Case]:
    """Return a bad event alone, on one line of three, and as one of three elements of an array."""
    return [
        plain(f"{name}, alone", bad, rule),
        plain(f"{name}, on a line", lines(GOOD, bad, OTHER), rule, stored=2),
        plain(f"{name}, in an array", array(GOOD, bad, OTHER), rule, stored=2),
        plain(
            f"{name}, on a line that is said to be one",
            lines(GOOD, bad, OTHER),
            rule,
            stored=2,
            attributes={"content-type": "application/x-ndjson"},
        ),
    ]


def _whole(name: str, bad: bytes, rule: str) -> list[Case]:
    """Return a bad event alone, on one line, and in an array that isn't JSON because of it."""
    alone, line, inside, said = _beside(name, bad, rule)
    return [alone, line, Case(inside.name, inside.body, 0, ("not_json",)), said]


GZIP = [
    plain("gzip of 1 GiB of zeros", lambda: gzip_of_zeros(GIB), "too_large"),
    plain(
        "gzip of 1 GiB of zeros behind a good member", lambda: zipped(GOOD + b"\n") + gzip_of_zeros(GIB), "too_large"
    ),
    plain("gzip in gzip", zipped(zipped(GOOD, 0), 0), "not_json"),
    plain("gzip of 1 GiB of zeros, in gzip", lambda: zipped(gzip_of_zeros(GIB)), "too_large"),
    plain("4 MiB of zeros in gzip", zipped(bytes(4 * MIB)), "too_large"),
    plain("1 MiB of zeros in gzip", zipped(bytes(MIB)), "not_json"),
    plain("gzip of several members", zipped(GOOD + b"\n") + zipped(OTHER), stored=2),
    plain("gzip of 10,000 members", zipped(b"") * 10_000 + zipped(GOOD), stored=1),
    plain("gzip of 40,000 members that hold nothing", zipped(b"") * 40_000, "not_json"),
    plain("gzip cut off", zipped(GOOD)[:-9], "not_json"),
    plain("gzip cut off behind its head", zipped(GOOD)[:10], "not_json"),
    plain("gzip with a tail", zipped(GOOD) + b"tail", "not_json"),
    plain("gzip with zeros behind it", zipped(GOOD) + bytes(1_000), stored=1),
    plain("no gzip, but said to be", GOOD, "not_json", attributes={"content-encoding": "gzip"}),
    plain("gzip of 4 MiB of '['", zipped(b"[" * (4 * MIB)), "too_large"),
    plain("gzip of 4 MiB of '{\"a\":'", zipped(b'{"a":' * (4 * MIB // 5)), "too_large"),
    plain("gzip of 4 MiB of '\"'", zipped(b'"' * (4 * MIB)), "too_large"),
    plain("gzip of 1 MiB of '\"'", zipped(b'"' * MIB), "not_json"),
    plain("gzip of 4 MiB of '\\\\'", zipped(b'["' + b"\\" * (4 * MIB - 2)), "too_large"),
    plain("gzip of 1 MiB of '\\\\'", zipped(b'["' + b"\\" * (MIB - 2)), "not_json"),
    plain("gzip of 4 MiB of '[],'", zipped(b"[" + b"[]," * (4 * MIB // 3 - 1) + b"1]"), "too_large"),
    plain("gzip of 2 MiB of '[' and 2 MiB of ']'", zipped(b"[" * (2 * MIB) + b"]" * (2 * MIB)), "too_large"),
    plain("gzip of 4 MiB of newlines", zipped(b"\n" * (4 * MIB)), "not_json"),
]

DEEP = [
    *_beside("100,000 levels of arrays", DEEP_ARRAY, "too_large"),
    *_beside("100,000 levels of objects", DEEP_OBJECT, "too_large"),
    *_beside("100,000 levels of arrays in a good event", with_value(DEEP_ARRAY), "too_large"),
    *_beside("100,000 levels of objects in a good event", with_value(DEEP_OBJECT), "too_large"),
]

LONG_NUMBERS = [
    *(
        plain(f"a number of 10 MB ({kind}), alone", lambda make=make: make(10 * MB), "too_large")  # type: ignore[misc]
        for kind, make in NUMBERS.items()
    ),
    *(
        plain(f"a number of 10 MB ({kind}) in gzip", lambda make=make: zipped(make(10 * MB)), "too_large")  # type: ignore[misc]
        for kind, make in NUMBERS.items()
    ),
    *(
        case
        for kind in ("integer", "exponent", "leading fraction")
        for case in _beside(f"a number of 900 KB ({kind}) in an event", with_value(NUMBERS[kind](900 * KB)), "not_json")
    ),
    *(
        plain(f"a number of 900 KB ({kind}) that is near one of 64 bits", with_value(NUMBERS[kind](900 * KB)), stored=1)
        for kind in ("fraction", "negative exponent")
    ),
]

NO_JSON = [
    *_whole("NaN", with_value(b"NaN"), "not_json"),
    *_whole("Infinity", with_value(b"Infinity"), "not_json"),
    *_whole("-Infinity", with_value(b"-Infinity"), "not_json"),
    *_beside("1e400", with_value(b"1e400"), "not_json"),
    *_beside("-1e400 as a duration", with_value(b"-1e400", "duration"), "not_json"),
    *_beside("a byte that is no UTF-8", with_value(b'"' + SECRET.encode() + b'\xff"'), "not_json"),
    *_beside("UTF-8 that is too long for what it means", with_value(b'"\xc0\xaf"'), "not_json"),
    *_beside("a lone surrogate in bytes", with_value(b'"\xed\xa0\x80"'), "not_json"),
    *_whole("a lone surrogate escaped", with_value(b'"\\ud800"'), "not_json"),
    *_whole("two surrogates the wrong way round", with_value(b'"\\udc00\\ud800"'), "not_json"),
    *_whole("a NUL byte in a text", with_value(b'"a\0b"'), "not_json"),
    *_whole("a NUL byte outside", GOOD[:-1] + b"\0}", "not_json"),
    *_whole("a text without an end", with_value(b'"' + SECRET.encode())[:-1], "not_json"),
    plain("UTF-16 with its mark", GOOD.decode().encode("utf-16"), "not_json"),
    plain("UTF-32 with its mark", GOOD.decode().encode("utf-32"), "not_json"),
    plain("a NUL byte and nothing else", b"\0", "not_json"),
    plain("256 KiB of '['", b"[" * (256 * KIB), "too_large"),
    plain("256 KiB of '{\"a\":'", b'{"a":' * (256 * KIB // 5), "too_large"),
    plain("256 KiB of '\"'", b'"' * (256 * KIB), "not_json"),
    plain("256 KiB of newlines", b"\n" * (256 * KIB), "not_json"),
    plain("256 KiB of '{}' on lines", b"{}\n" * (256 * KIB // 3), "too_large"),
    plain("10,000 times '{}' on lines", b"{}\n" * 10_000, *["required"] * 10_000),
    plain("256 KiB of commas", b"[" + b"," * (256 * KIB), "too_large"),
    plain("256 KiB of blanks", b" " * (256 * KIB), "not_json"),
]

UNUSUAL = [
    plain("the same key twice", GOOD[:-1] + b', "event_type": "like"}', stored=1),
    plain("the same key twice, the last one bad", GOOD[:-1] + b', "event_type": "teleport"}', "one_of"),
    plain("the same key twice, the first one bad", b'{"event_type": "teleport", ' + GOOD[1:], stored=1),
    plain("a NUL character escaped", with_value(b'"a\\u0000b"'), stored=1),
    plain("a pair of surrogates escaped", with_value(b'"\\ud83d\\ude00"'), stored=1),
    plain("UTF-8 with its mark", b"\xef\xbb\xbf" + GOOD, stored=1),
    plain("an integer of 4,300 digits", with_value(b"1" * 4_300), stored=1),
    plain("an integer of 4,301 digits", with_value(b"1" * 4_301), "not_json"),
    plain("an integer of 4,300 digits as a duration", with_value(b"1" * 4_300, "duration"), stored=1),
    plain("a text of 900 KB", with_value(b'"' + b"x" * (900 * KB) + b'"'), stored=1),
    *_beside("a text of 1 MiB", with_value(b'"' + b"x" * MIB + b'"'), "too_large"),
    plain("50,000 further keys", with_value(b"0, " + b", ".join(b'"k%d": 0' % n for n in range(50_000))), stored=1),
]

NO_DATA = [
    plain("empty data", b"", "not_json"),
    plain("no data", b"", "not_json", data=...),
    plain("data that is null", b"", "not_json", data=None),
    plain("attributes and nothing else", b"", "not_json", data=..., attributes={"a": SECRET}, messageId=...),
    plain("data that is no base64", b"", "not_json", data=f"{SECRET}!"),
    plain("data that is base64 for URLs", b"", "not_json", data="_-_-"),
    plain("data that is a number", b"", "not_json", data=4711),
    plain("data that is a list", b"", "not_json", data=[SECRET]),
    plain("data that is an object", b"", "not_json", data={"a": SECRET}),
    plain("data that is true", b"", "not_json", data=True),
    plain("attributes that are a list", GOOD, stored=1, attributes=[1]),
    plain("attributes that are numbers", GOOD, stored=1, attributes={"content-encoding": 1}),
    plain("a message id that is an object", GOOD, stored=1, messageId={"a": [1]}),
    plain("a message id of 100,000 characters", GOOD, stored=1, messageId="9" * 100_000),
    Case("a message that is a list", lambda: {"message": [SECRET]}, 0, ("not_json",)),
    Case("a message that is a text", lambda: {"message": SECRET}, 0, ("not_json",)),
    Case("no message", lambda: {"subscription": SECRET}, 0, ("not_json",)),
    Case("a body that is a list", lambda: [SECRET], 0, ("not_json",)),
    Case("a body that is a text", lambda: SECRET, 0, ("not_json",)),
    Case("a body that is a number", lambda: 4711, 0, ("not_json",)),
    Case("a body that is null", lambda: None, 0, ("not_json",)),
    Case(
        "what another service tells",
        lambda: {"kind": "storage#object", "bucket": "b", "name": SECRET, "size": "7", "metageneration": "1"},
        0,
        ("not_json",),
    ),
]

CASES = [*GZIP, *DEEP, *LONG_NUMBERS, *NO_JSON, *UNUSUAL, *NO_DATA]

_ROOM = MIB - KIB
# Of one event within all limits Python makes many times its bytes.
HUNGRY = [
    plain("1 MiB of '[],'", lambda: zipped(with_value(b"[" + b"[]," * (_ROOM // 3) + b"[]]")), stored=1),
    plain("1 MiB of '{},'", lambda: zipped(with_value(b"[" + b"{}," * (_ROOM // 3) + b"{}]")), stored=1),
    plain("1 MiB of '{\"\":0},'", lambda: zipped(with_value(b"[" + b'{"":0},' * (_ROOM // 7) + b"0]")), stored=1),
    plain(
        "100,000 further keys",
        lambda: zipped(with_value(b"0, " + b",".join(b'"%x":0' % number for number in range(_ROOM // 10)))),
        stored=1,
    ),
]
