"""Hostile messages, each with the expected verdicts."""

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
# A text in events that no log may contain.
SECRET = "swordfish-4711"
GOOD, OTHER = (json.dumps(music_event(number, note=SECRET)).encode() for number in (1, 2))

Body = Any


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile message.

    Attributes:
        body: returns the decoded JSON body of the CloudEvent.
        stored: number of valid events in it.
        rejected: the rule that each other event breaks, in order.
    """

    name: str
    body: Callable[[], Body]
    stored: int = 0
    rejected: tuple[str, ...] = ()


def body_of(content: bytes, **changes: Any) -> Body:
    """Return the body of a message with that data; `...` removes a key of the message."""
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
    """Return the data of the body's message; empty if it isn't base64."""
    try:
        return base64.b64decode(body["message"]["data"], validate=True)
    except ValueError:
        return b""


def with_value(value: bytes, field: str = "extra") -> bytes:
    """Return a valid event with one more field that has that JSON value."""
    return GOOD[:-1] + f', "{field}": '.encode() + value + b"}"


def array(*events: bytes) -> bytes:
    """Return the events as a JSON array."""
    return b"[" + b", ".join(events) + b"]"


def lines(*events: bytes) -> bytes:
    """Return the events as lines."""
    return b"\n".join(events)


@cache
def gzip_of_zeros(size: int) -> bytes:
    """Return valid gzip of that many zeros, a multiple of 1 MiB, without holding them in memory."""
    mib = bytes(MIB)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(mib) + deflate.flush(zlib.Z_FULL_FLUSH)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    crc = 0
    for _ in range(size // MIB):
        crc = zlib.crc32(mib, crc)
    header = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    trailer = crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return header + block * (size // MIB) + deflate.flush() + trailer


def zipped(data: bytes, level: int = 6) -> bytes:
    """Return the data as gzip without a time."""
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
    """Return the case of an otherwise valid message with that data."""
    return Case(
        name,
        lambda: body_of(content if isinstance(content, bytes) else content(), **changes),
        stored,
        tuple(rejected),
    )


def _event_cases(name: str, invalid: bytes, rule: str) -> list[Case]:
    """Return cases of an invalid event alone, as one of three lines, and as one of three elements of an array."""
    return [
        plain(f"{name}, alone", invalid, rule),
        plain(f"{name}, on a line", lines(GOOD, invalid, OTHER), rule, stored=2),
        plain(f"{name}, in an array", array(GOOD, invalid, OTHER), rule, stored=2),
        plain(
            f"{name}, on a line with a content type",
            lines(GOOD, invalid, OTHER),
            rule,
            stored=2,
            attributes={"content-type": "application/x-ndjson"},
        ),
    ]


def _event_cases_without_array(name: str, invalid: bytes, rule: str) -> list[Case]:
    """Return cases of an invalid event alone, as one of three lines, and in an array that it makes invalid JSON."""
    alone, line, in_array, typed_line = _event_cases(name, invalid, rule)
    return [alone, line, Case(in_array.name, in_array.body, 0, ("not_json",)), typed_line]


GZIP = [
    plain("gzip of 1 GiB of zeros", lambda: gzip_of_zeros(GIB), "too_large"),
    plain(
        "gzip of 1 GiB of zeros after a valid member", lambda: zipped(GOOD + b"\n") + gzip_of_zeros(GIB), "too_large"
    ),
    plain("gzip in gzip", zipped(zipped(GOOD, 0), 0), "not_json"),
    plain("gzip of 1 GiB of zeros, in gzip", lambda: zipped(gzip_of_zeros(GIB)), "too_large"),
    plain("4 MiB of zeros in gzip", zipped(bytes(4 * MIB)), "too_large"),
    plain("1 MiB of zeros in gzip", zipped(bytes(MIB)), "not_json"),
    plain("gzip of several members", zipped(GOOD + b"\n") + zipped(OTHER), stored=2),
    plain("gzip of 10,000 members", zipped(b"") * 10_000 + zipped(GOOD), stored=1),
    plain("gzip of 40,000 empty members", zipped(b"") * 40_000, "not_json"),
    plain("gzip cut off", zipped(GOOD)[:-9], "not_json"),
    plain("gzip cut off after its header", zipped(GOOD)[:10], "not_json"),
    plain("gzip with trailing text", zipped(GOOD) + b"tail", "not_json"),
    plain("gzip with trailing zeros", zipped(GOOD) + bytes(1_000), stored=1),
    plain("no gzip despite its content encoding", GOOD, "not_json", attributes={"content-encoding": "gzip"}),
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
    *_event_cases("100,000 levels of arrays", DEEP_ARRAY, "too_large"),
    *_event_cases("100,000 levels of objects", DEEP_OBJECT, "too_large"),
    *_event_cases("100,000 levels of arrays in a valid event", with_value(DEEP_ARRAY), "too_large"),
    *_event_cases("100,000 levels of objects in a valid event", with_value(DEEP_OBJECT), "too_large"),
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
        for case in _event_cases(
            f"a number of 900 KB ({kind}) in an event", with_value(NUMBERS[kind](900 * KB)), "not_json"
        )
    ),
    *(
        plain(
            f"a number of 900 KB ({kind}) that is close to a 64-bit number",
            with_value(NUMBERS[kind](900 * KB)),
            stored=1,
        )
        for kind in ("fraction", "negative exponent")
    ),
]

INVALID_JSON = [
    *_event_cases_without_array("NaN", with_value(b"NaN"), "not_json"),
    *_event_cases_without_array("Infinity", with_value(b"Infinity"), "not_json"),
    *_event_cases_without_array("-Infinity", with_value(b"-Infinity"), "not_json"),
    *_event_cases("1e400", with_value(b"1e400"), "not_json"),
    *_event_cases("-1e400 as a duration", with_value(b"-1e400", "duration"), "not_json"),
    *_event_cases("a byte that isn't UTF-8", with_value(b'"' + SECRET.encode() + b'\xff"'), "not_json"),
    *_event_cases("overlong UTF-8", with_value(b'"\xc0\xaf"'), "not_json"),
    *_event_cases("a lone surrogate in bytes", with_value(b'"\xed\xa0\x80"'), "not_json"),
    *_event_cases_without_array("a lone surrogate escaped", with_value(b'"\\ud800"'), "not_json"),
    *_event_cases_without_array("two surrogates the wrong way round", with_value(b'"\\udc00\\ud800"'), "not_json"),
    *_event_cases_without_array("a NUL byte in a text", with_value(b'"a\0b"'), "not_json"),
    *_event_cases_without_array("a NUL byte outside", GOOD[:-1] + b"\0}", "not_json"),
    *_event_cases_without_array("an unterminated text", with_value(b'"' + SECRET.encode())[:-1], "not_json"),
    plain("UTF-16 with a byte order mark", GOOD.decode().encode("utf-16"), "not_json"),
    plain("UTF-32 with a byte order mark", GOOD.decode().encode("utf-32"), "not_json"),
    plain("a single NUL byte", b"\0", "not_json"),
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
    plain("the same key twice, the last value invalid", GOOD[:-1] + b', "event_type": "teleport"}', "one_of"),
    plain("the same key twice, the first value invalid", b'{"event_type": "teleport", ' + GOOD[1:], stored=1),
    plain("a NUL character escaped", with_value(b'"a\\u0000b"'), stored=1),
    plain("a pair of surrogates escaped", with_value(b'"\\ud83d\\ude00"'), stored=1),
    plain("UTF-8 with a byte order mark", b"\xef\xbb\xbf" + GOOD, stored=1),
    plain("an integer of 4,300 digits", with_value(b"1" * 4_300), stored=1),
    plain("an integer of 4,301 digits", with_value(b"1" * 4_301), "not_json"),
    plain("an integer of 4,300 digits as a duration", with_value(b"1" * 4_300, "duration"), stored=1),
    plain("a text of 900 KB", with_value(b'"' + b"x" * (900 * KB) + b'"'), stored=1),
    *_event_cases("a text of 1 MiB", with_value(b'"' + b"x" * MIB + b'"'), "too_large"),
    plain("50,000 further keys", with_value(b"0, " + b", ".join(b'"k%d": 0' % n for n in range(50_000))), stored=1),
]

INVALID_MESSAGES = [
    plain("empty data", b"", "not_json"),
    plain("no data", b"", "not_json", data=...),
    plain("data that is null", b"", "not_json", data=None),
    plain("only attributes", b"", "not_json", data=..., attributes={"a": SECRET}, messageId=...),
    plain("data that isn't base64", b"", "not_json", data=f"{SECRET}!"),
    plain("data that is URL-safe base64", b"", "not_json", data="_-_-"),
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
        "an event of another service",
        lambda: {"kind": "storage#object", "bucket": "b", "name": SECRET, "size": "7", "metageneration": "1"},
        0,
        ("not_json",),
    ),
]

CASES = [*GZIP, *DEEP, *LONG_NUMBERS, *INVALID_JSON, *UNUSUAL, *INVALID_MESSAGES]

# Events within all limits whose decoded objects take many times their bytes.
_MAX_VALUE_BYTES = MIB - KIB
MEMORY_HEAVY = [
    plain("1 MiB of '[],'", lambda: zipped(with_value(b"[" + b"[]," * (_MAX_VALUE_BYTES // 3) + b"[]]")), stored=1),
    plain("1 MiB of '{},'", lambda: zipped(with_value(b"[" + b"{}," * (_MAX_VALUE_BYTES // 3) + b"{}]")), stored=1),
    plain(
        "1 MiB of '{\"\":0},'",
        lambda: zipped(with_value(b"[" + b'{"":0},' * (_MAX_VALUE_BYTES // 7) + b"0]")),
        stored=1,
    ),
    plain(
        "100,000 further keys",
        lambda: zipped(with_value(b"0, " + b",".join(b'"%x":0' % number for number in range(_MAX_VALUE_BYTES // 10)))),
        stored=1,
    ),
]
