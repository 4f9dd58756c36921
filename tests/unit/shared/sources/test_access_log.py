"""Access logs of web servers are read with fixed field names."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from shared.contracts.source import SourceFormat
from shared.sources.files import Record, SourceReader, Unreadable

COMBINED = (
    '192.0.2.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /index.html?q=a%20b HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)
EXPECTED = {
    "host": "192.0.2.7",
    "identity": None,
    "user": "frank",
    "time": "2000-10-10T13:55:36-07:00",
    "method": "GET",
    "path": "/index.html?q=a%20b",
    "protocol": "HTTP/1.0",
    "status": 200,
    "bytes": 2326,
    "referer": "http://www.example.com/start.html",
    "user_agent": "Mozilla/4.08 [en] (Win98; I ;Nav)",
}


def read(data: str | bytes, name: str = "access.log", **options: Any) -> list[Record | Unreadable]:
    data = data.encode() if isinstance(data, str) else data
    return list(SourceReader([None], stdin=io.BytesIO(data), stdin_name=name, source_format=SourceFormat(**options)))


def value(line: str) -> Any:
    [item] = read(line, format="access_log")
    assert isinstance(item, Record), item
    return json.loads(item.raw)


def test_the_format_combined_is_read_and_recognised_by_its_first_line() -> None:
    assert [json.loads(item.raw) for item in read(f"\n{COMBINED}\r\n{COMBINED}\n")] == [EXPECTED, EXPECTED]
    assert [item.line for item in read(f"\n{COMBINED}\n\n{COMBINED}\n")] == [2, 4]


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        pytest.param(COMBINED.split(' "http:')[0], {"referer": None, "user_agent": None}, id="common"),
        pytest.param(COMBINED.replace("2326", "-"), {"bytes": None}, id="no bytes"),
        pytest.param(COMBINED.replace('"http://www.example.com/start.html"', '"-"'), {"referer": None}, id="dash"),
        pytest.param(COMBINED.replace('"http://www.example.com/start.html"', '""'), {"referer": None}, id="empty"),
        pytest.param(
            COMBINED.replace("Win98", r"\"Win\"98\\\t"), {"user_agent": 'Mozilla/4.08 [en] ("Win"98\\\t; I ;Nav)'}
        ),
        pytest.param(
            COMBINED.replace("Win98", r"caf\xc3\xa9"), {"user_agent": "Mozilla/4.08 [en] (café; I ;Nav)"}, id="hex"
        ),
        pytest.param(
            COMBINED.replace("Win98", r"\xe9"), {"user_agent": r"Mozilla/4.08 [en] (\xe9; I ;Nav)"}, id="not UTF-8"
        ),
        pytest.param(COMBINED.replace("192.0.2.7", "2001:db8::1"), {"host": "2001:db8::1"}, id="IPv6"),
        pytest.param(COMBINED.replace("frank", "Frank van Dyk"), {"user": "Frank van Dyk"}, id="a user with blanks"),
        pytest.param(f"www.example.com:443 {COMBINED}", {"vhost": "www.example.com:443"}, id="virtual host"),
        pytest.param(f'{COMBINED} "198.51.100.1" 0.003', {"rest": '"198.51.100.1" 0.003'}, id="further fields"),
        pytest.param(
            COMBINED.replace("GET /index.html?q=a%20b HTTP/1.0", r"\x16\x03\x01"),
            {"method": None, "path": None, "protocol": None, "request": "\x16\x03\x01"},
            id="TLS to a plain port",
        ),
        pytest.param(
            COMBINED.replace("GET /index.html?q=a%20b HTTP/1.0", "-"),
            {"method": None, "path": None, "protocol": None},
            id="a closed connection",
        ),
        pytest.param(COMBINED.replace(" HTTP/1.0", ""), {"protocol": None}, id="HTTP/0.9"),
        pytest.param(COMBINED.replace("Oct/2000", "Okt/2000"), {"time": "10/Okt/2000:13:55:36 -0700"}, id="odd month"),
    ],
)
def test_variants_of_the_format_are_read(line: str, changes: dict[str, Any]) -> None:
    assert value(line) == {**EXPECTED, **changes}


def test_lines_of_other_formats_are_reported_and_reading_continues() -> None:
    found = read(f"{COMBINED}\nno access log\n{COMBINED}\n")

    assert [type(item) for item in found] == [Record, Unreadable, Record]
    assert found[1] == Unreadable(
        "access.log",
        2,
        "found another format than that of access logs, "
        'expected host identity user [time] "request" status bytes, and "referer" "user agent"',
        b"no access log",
    )


def test_bytes_that_are_not_utf_8_are_reported_or_converted() -> None:
    data = COMBINED.replace("Win98", "café").encode("latin-1")

    assert "expected UTF-8; if" in read(COMBINED.encode() + b"\n" + data)[1].problem  # type: ignore[union-attr]
    [item] = read(data, encoding="latin-1")
    assert json.loads(item.raw)["user_agent"] == "Mozilla/4.08 [en] (café; I ;Nav)"


def test_a_json_log_is_no_access_log() -> None:
    assert read('{"n":1}\n')[0].raw == b'{"n":1}'


@pytest.mark.parametrize("end", [-1, -20, -60, COMBINED.index(' "http') - len(COMBINED) + 3])
def test_a_cut_line_is_reported(end: int) -> None:
    [item] = read(COMBINED[:end], format="access_log")

    assert isinstance(item, Unreadable)


def test_a_long_line_of_quotes_and_backslashes_takes_linear_time() -> None:
    [open_quote] = read(COMBINED[:-1] + '\\"' * 200_000 + "\n", format="access_log")
    [closed] = read(COMBINED[:-1] + '\\"' * 200_000 + '"\n', format="access_log")

    assert isinstance(open_quote, Unreadable)
    assert isinstance(closed, Record)
