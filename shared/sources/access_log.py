"""Read the access logs of web servers: the formats `common` and `combined` of Apache and nginx.

https://httpd.apache.org/docs/2.4/logs.html#accesslog,
https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shared.sources.encodings import describe_invalid
from shared.sources.records import MAX_QUOTED_BYTES, Record, Unreadable

# A quoted text may contain escaped quotes. Possessive quantifiers prevent backtracking.
_QUOTED = r'"((?:[^"\\]|\\.)*+)"'
# The name of a user may contain blanks. A server of several hosts writes the host's own name and port first.
_LINE = re.compile(
    r"(?:([^\s:]+:\d+) )?(\S+) (\S+) (.{1,256}?) \[([^\]]{1,64})\] "
    + _QUOTED
    + r" (\d{3}|-) (\d{1,18}|-)"
    + f"(?: {_QUOTED} {_QUOTED})?"
    # A quote that isn't closed is no further field: the line is cut.
    + r'(?: ((?:(?:"(?:[^"\\]|\\.)*+"|[^" ][^ ]*+)(?: |$))++))?'
).fullmatch
_REQUEST = re.compile(r"([A-Za-z_-]+) (.*?)(?: (HTTP/[\d.]+))?").fullmatch
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", re.ASCII).fullmatch
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: f"{number:02d}" for number, name in enumerate(_MONTHS, 1)}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


class _Request(msgspec.Struct, omit_defaults=True, gc=False):
    """The record of a line, in the order of its fields in `combined`."""

    host: str | None
    identity: str | None
    user: str | None
    time: str
    method: str | None
    path: str | None
    protocol: str | None
    status: int | None
    bytes: int | None
    referer: str | None
    user_agent: str | None
    request: str | None = None
    vhost: str | None = None
    rest: str | None = None


def is_access_log(line: bytes) -> bool:
    """Return whether a line has the format `common` or `combined`."""
    match = _LINE(line.decode("utf-8", "replace").rstrip("\r\n"))
    return match is not None and _TIME(match[5]) is not None


def read_access_log(
    blocks: Iterable[bytes], source: str, number: int, encoding: str | None = None
) -> Iterator[Record | Unreadable]:
    """Read each line as an object; `-` is null, and the time is RFC 3339 text.

    A request that isn't "METHOD path PROTOCOL" is in `request`, and these three are null. What follows the fields of
    `combined` is in `rest`. Escapes are decoded: `\\"`, `\\\\`, and `\\xhh` as bytes of UTF-8.

    Args:
        blocks: blocks of whole lines, as UTF-8.
        source: the file name.
        number: the number of the first line.
        encoding: what the blocks were converted from.
    """
    encode = msgspec.json.Encoder().encode
    for block in blocks:
        for line in block.removesuffix(b"\n").split(b"\n"):
            raw = line.removesuffix(b"\r")
            if raw.strip():
                try:
                    match = _LINE(raw.decode())
                except UnicodeDecodeError:
                    yield Unreadable(source, number, describe_invalid(raw, encoding), raw[:MAX_QUOTED_BYTES])
                else:
                    if match is None:
                        expected = 'host identity user [time] "request" status bytes, and "referer" "user agent"'
                        problem = f"found another format than that of access logs, expected {expected}"
                        yield Unreadable(source, number, problem, raw[:MAX_QUOTED_BYTES])
                    else:
                        yield Record(encode(_request(match)), source, number)
            number += 1


def _request(match: re.Match[str]) -> _Request:
    vhost, host, identity, user, time, line, status, size, referer, user_agent, rest = match.groups()
    request = _REQUEST(line)
    method, path, protocol = (None, None, None) if request is None else request.groups()
    return _Request(
        host=_value(host),
        identity=_value(identity),
        user=_value(user),
        time=_rfc_3339(time),
        method=method,
        path=_value(path),
        protocol=protocol,
        status=None if status == "-" else int(status),
        bytes=None if size == "-" else int(size),
        referer=_value(referer),
        user_agent=_value(user_agent),
        request=_value(line) if request is None else None,
        vhost=vhost,
        rest=rest,
    )


def _value(text: str | None) -> Any:
    """Return the text without escapes, None for `-` and for an empty one."""
    if not text or text == "-":
        return None
    return _unescape(text) if "\\" in text else text


def _unescape(text: str) -> str:
    try:
        return _ESCAPE.sub(_escaped, text.encode()).decode()
    except UnicodeDecodeError:
        return text  # bytes that aren't UTF-8 stay escaped


def _escaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes((int(code[1:], 16),)) if len(code) == 3 else _ESCAPED.get(code, code)


def _rfc_3339(time: str) -> str:
    """Return a time such as 10/Oct/2000:13:55:36 -0700 as RFC 3339; other text unchanged."""
    match = _TIME(time)
    if match is None or match[2] not in _MONTH_NUMBERS:
        return time
    day, month, year, clock, hours, minutes = match.groups()
    return f"{year}-{_MONTH_NUMBERS[month]}-{day}T{clock}{hours}:{minutes}"
