"""The page Contract shows the contract in use, and the verdicts on the events of its form."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from pytest_mock import MockerFixture
from starlette.testclient import TestClient

from infra.console.app import create_app
from infra.console.trial import validation
from shared.config import Settings
from tests.support.console_tables import HOSTILE
from tests.support.hostile import INVALID_JSON, UNUSUAL, content_of
from tests.support.html_page import Page, check_page
from tests.support.samples import MUSIC_CONTRACT, music_event

ORIGIN = {"origin": "http://127.0.0.1:8087"}
GOOD = json.dumps(music_event(1))
CSV = b"event_id,userId,timestamp,event_type,duration\n1,u,2024-01-15T10:00:00Z,like,7\n"


def post(client: TestClient, text: str = "", file: bytes | None = None, name: str = "events.json") -> Page:
    """Send the form as a browser does, with an empty file if none is chosen; return the checked page."""
    files = {"events": (None, text.encode()), "file": (name if file is not None else "", file or b"")}
    response = client.post("/contract", headers=ORIGIN, files=files)
    assert response.status_code == 200, response.text
    assert [each for each in response.text if not each.isprintable() and each != "\n"] == []
    return check_page(response.text)


def summary(page: Page) -> str:
    [element] = [each for each in page.all("p") if each.attributes.get("id") == "summary"]
    return element.text


def verdicts(page: Page) -> list[str]:
    return [text for text in page.texts("h3") if text not in ("Unreadable", "Contract file")]


def test_the_contract_in_use_is_shown(client: TestClient) -> None:
    page = check_page(client.get("/contract").text)
    rows = {row[0]: row[1:] for row in page.rows()}

    assert rows["File"] == [str(MUSIC_CONTRACT)]
    assert rows["Id"] == ["event_id"]
    assert rows["user_id"] == ["userId", "string", "yes", "reject", "max_length = 128"]
    assert rows["timestamp"][-1] == 'max_future = "5m"'
    assert rows["duration"] == ["duration", "number", "no", "warn", "min = 0max = 86400"]
    assert rows["song"][:2] == ["song_id", 'event_type is "song_play"']
    assert rows["all"] == [
        "the whole day",
        "",
        "total_events = countactive_users = unique(user_id)unique_songs = unique(song_id)"
        "listening_seconds = sum(duration)longest_seconds = max(duration)",
    ]
    assert page.all("pre")[-1].texts == [MUSIC_CONTRACT.read_text("utf-8")]
    assert summary(page) == ""


def test_the_text_is_that_of_the_contract_in_use(tmp_path: Path) -> None:
    """The file may change after the start; the console still validates against the contract of its start."""
    contract = tmp_path / "contract.toml"
    text = MUSIC_CONTRACT.read_text("utf-8")
    contract.write_text(text)
    with TestClient(create_app(Settings("p", "i", contract=contract)), base_url="http://localhost") as client:
        contract.unlink()
        assert check_page(client.get("/contract").text).all("pre")[-1].texts == [text]


def test_unusual_values_of_a_contract_are_shown(tmp_path: Path) -> None:
    contract = tmp_path / "contract.toml"
    many = json.dumps([f"value {number}" for number in range(1_000)])
    contract.write_text(
        MUSIC_CONTRACT.read_text("utf-8")
        + f'\n[fields.many]\ntype = "string"\none_of = {many}\n'
        + f"[fields.large]\ntype = 'integer'\nmax = {10**30}\n"
        + "[fields.late]\ntype = 'timestamp'\nmax_age = '1500ms'\nmax_future = '0s'\n"
    )
    with TestClient(create_app(Settings("p", "i", contract=contract)), base_url="http://localhost") as client:
        rows = {row[0]: row[-1] for row in check_page(client.get("/contract").text).rows()}

    assert rows["many"].endswith(" ...")
    assert len(rows["many"]) < 600
    assert rows["large"] == f"max = {10**30}"
    assert rows["late"] == 'max_future = "0d"max_age = "1500ms"'


def test_an_accepted_event_has_its_canonical_form_and_its_cell(client: TestClient) -> None:
    event = music_event(1, userId="zoë", timestamp="2024-01-15T23:59:59.999999Z", event_type=" LIKE ")
    page = post(client, json.dumps(event))

    assert summary(page) == "pasted text: 1 accepted."
    assert verdicts(page) == ["pasted text:1: accepted"]
    canonical = json.loads(page.texts("pre")[0])
    assert (canonical["user_id"], canonical["event_type"]) == ("zoë", "like")
    row_key, qualifier, timestamp = page.texts("code")[:3]
    assert row_key.endswith("#20240115#zo%C3%AB")
    assert qualifier == f"00000000000#{event['event_id']}"
    assert timestamp == "2024-01-15 23:59:59.999000"


def test_a_rejected_event_has_all_its_findings(client: TestClient) -> None:
    page = post(client, '{"event_id": 5, "userId": "u", "timestamp": "2024-01-15T10:00:00Z", "event_type": "x"}')

    assert summary(page) == "pasted text: 1 rejected."
    assert page.texts("li")[-2:] == [
        "type: event_id: found 5, expected string",
        'one_of: event_type: found "x", expected one of click, song_play, page_view, search, like',
    ]
    assert page.rows()[:2] == [["type", "event_id", "reject", "1"], ["one_of", "event_type", "reject", "1"]]


def test_a_warning_accepts_the_event(client: TestClient) -> None:
    page = post(client, json.dumps(music_event(1, duration=-1)))

    assert summary(page) == "pasted text: 1 accepted with warnings."
    assert page.texts("li")[-1] == "range (warning): duration: found -1, expected at least 0 and at most 86400"
    assert page.rows()[0] == ["range", "duration", "warn", "1"]


def parquet(events: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(events), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        (f"{GOOD}\r\n{GOOD}\r\n", None, ""),
        (f"[{GOOD}, {GOOD}]", None, ""),
        (CSV.decode() + "2,u,2024-01-15T10:00:00Z,like,7", None, ""),
        ("", f"{GOOD}\n{GOOD}".encode(), "events.ndjson"),
        ("", gzip.compress(f"{GOOD}\n{GOOD}".encode()), "events.json.gz"),
        ("", b"\xef\xbb\xbf" + CSV + b"2,u,2024-01-15T10:00:00Z,like,7", "events.csv"),
        ("", parquet([json.loads(GOOD)] * 2), "events.parquet"),
        ("a text beside a file", f"{GOOD}\n{GOOD}".encode(), "without suffix"),
    ],
)
def test_all_formats_of_source_files_are_read(client: TestClient, text: str, file: bytes | None, name: str) -> None:
    page = post(client, text, file, name)

    assert summary(page) == f"{name or 'pasted text'}: 2 accepted."


def test_an_urlencoded_form_is_read(client: TestClient) -> None:
    page = check_page(client.post("/contract", headers=ORIGIN, data={"events": GOOD}).text)

    assert summary(page) == "pasted text: 1 accepted."


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        (b"", "empty.json", "empty.json: found no events, expected at least one."),
        (b" \n\n", "blank.csv", "blank.csv: found no events, expected at least one."),
        ("é".encode("utf-16"), "marks.json", "marks.json: 1 rejected."),
        (b'{"event_id": "\xe9"}', "latin1.json", "latin1.json: 1 rejected."),
        (CSV + b"\xe9,u,,,\n", "latin1.csv", "latin1.csv: 1 accepted, 1 unreadable."),
        (bytes(range(256)) * 9, "binary.json", "binary.json: 10 rejected."),
        (bytes(range(256)) * 9, "binary", "binary, line 1: found the columns '\\x00\\x01"),
        (b"a,b\n1,2\n", "other.csv", "other.csv, line 1: found the columns 'a', 'b', expected a header with some of"),
        (gzip.compress(GOOD.encode() * 9)[:-9], "cut.json.gz", "cut.json.gz: "),
        (b"[" * 100_000, "deep.json", "deep.json: 1 unreadable."),
    ],
)
def test_files_that_are_no_events_are_explained(client: TestClient, file: bytes, name: str, expected: str) -> None:
    assert summary(post(client, file=file, name=name)).startswith(expected)


def test_a_form_without_events_says_so(client: TestClient) -> None:
    for content in ({}, {"headers": {**ORIGIN, "content-type": "text/plain"}, "content": b"x"}):
        response = client.post("/contract", **{"headers": ORIGIN, **content})
        assert summary(check_page(response.text)) == "pasted text: found no events, expected at least one."


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="events"\r\n\r\n' + b"x" * 2**21,
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("application/x-www-form-urlencoded", b"events=" + b"x" * 2**21),
        ("application/x-www-form-urlencoded", b"&".join(b"events=1" for _ in range(9))),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(client: TestClient, content_type: str, content: bytes) -> None:
    response = client.post("/contract", headers={**ORIGIN, "content-type": content_type}, content=content)

    assert response.status_code == 400
    text = check_page(response.text).texts("p")[-2]
    assert text.startswith("the form can't be read: ")
    assert text.endswith("Expected at most 1 MiB of text and one file.")


def test_many_events_are_counted_and_the_first_of_each_outcome_shown(client: TestClient) -> None:
    good = "\n".join([GOOD] * 2_500)
    warned = "\n".join([json.dumps(music_event(1, duration=-1))] * 30)
    page = post(client, file=f"{good}\n{warned}\n1\n2\n".encode())

    assert summary(page) == "events.json: 2,500 accepted, 30 accepted with warnings, 2 rejected."
    assert verdicts(page)[:3] == [
        "events.json:2531: rejected",
        "events.json:2532: rejected",
        "events.json:2501: accepted with warnings",
    ]
    assert len(verdicts(page)) == 42
    assert "Of each outcome the first 20 events are shown; 2,490 more are left out." in page.texts("p")


def test_large_events_and_many_findings_make_no_large_page(client: TestClient, tmp_path: Path) -> None:
    contract = tmp_path / "contract.toml"
    text = MUSIC_CONTRACT.read_text("utf-8").replace('unknown_fields = "keep"', 'unknown_fields = "reject"')
    contract.write_text(text)
    events = [{f"{number}-{field}" + "x" * 300: 1 for field in range(300)} for number in range(30)]
    with TestClient(create_app(Settings("p", "i", contract=contract)), base_url=ORIGIN["origin"]) as strict:
        response = strict.post("/contract", headers=ORIGIN, files={"file": ("f.json", json.dumps(events).encode())})

    page = check_page(response.text)
    assert page.texts("caption")[0] == "Events by rule and field, most first: the first 50 of 1,000"
    assert "75 more findings" in page.texts("li")
    assert len(response.text) < 400_000


def test_unreadable_pieces_are_counted_and_the_first_shown(client: TestClient) -> None:
    page = post(client, file=CSV + b"\xff,,,,\n" * 30, name="bad.csv")

    assert summary(page) == "bad.csv: 1 accepted, 30 unreadable."
    shown = [text for text in page.texts("li") if text.startswith("bad.csv:")]
    assert shown[0] == (
        "bad.csv:3: found byte 0xff at byte 1 of the row, expected UTF-8; "
        "if 'ÿ,,,,\\n' is right, set encoding = 'windows-1252' in [source]"
    )
    assert len(shown) == 20
    assert "10 more are left out." in page.texts("p")


@pytest.mark.parametrize(
    "data", [f"{GOOD}\n".encode() * 100_000, gzip.compress(b"\n" * 50_000_000)], ids=["events", "blank"]
)
def test_the_validation_ends_at_its_time_limit(client: TestClient, mocker: MockerFixture, data: bytes) -> None:
    mocker.patch.object(validation, "MAX_SECONDS", 0.0)

    page = post(client, file=data, name="large")

    assert "The validation ended after 20 seconds; the rest is left out." in summary(page)


def test_the_text_stays_in_the_form(client: TestClient) -> None:
    """Browsers drop one newline at its beginning; JSON reads the codes as the characters."""
    text = '\n{"a":\t"\u202e </textarea>é\u00a0\x07"}'

    response = client.post("/contract", headers=ORIGIN, data={"events": text})

    [area] = check_page(response.text).all("textarea")
    assert area.texts == ['\n\n{"a":\t"\\u202e </textarea>é\u00a0\\u0007"}']


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_events_and_names_are_text(client: TestClient, text: str) -> None:
    event = music_event(1, event_id=text, userId=text, page=text, event_type=text, **{text: text})
    for page in (
        post(client, json.dumps([event, {**event, "event_type": "like"}], ensure_ascii=False)),
        post(client, text),
        post(client, file=text.encode(), name=text),
        post(client, file=f"event_id,{text}\n{text},{text}".encode(), name=f"{text}.csv"),
    ):
        assert len(page.all("script")) == 1
        assert page.all("img") == []


@pytest.mark.slow
def test_hostile_messages_are_text(client: TestClient) -> None:
    for case in (*INVALID_JSON, *UNUSUAL):
        raw = content_of(case.body()) + b"</pre><script>alert(1)</script>"
        assert len(post(client, file=raw).all("script")) == 1


def test_validation_needs_no_permission_to_change_something(client: TestClient, tables: Any) -> None:
    """The console of the fixture is read-only; the tables have no method that writes."""
    assert summary(post(client, GOOD)) == "pasted text: 1 accepted."
