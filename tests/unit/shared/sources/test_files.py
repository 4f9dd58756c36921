"""Source files are found, decompressed and split into records; damaged data affects as few records as possible."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SourceError
from shared.sources import json_reader
from shared.sources.files import Record, SourceReader, Unreadable, find_sources
from tests.support.open_files import open_files

Format = Literal["auto", "csv", "json"]


def read(data: bytes, format: Format = "auto") -> list[Record | Unreadable]:
    return list(SourceReader([None], format=format, stdin=io.BytesIO(data)))


def values(data: bytes, format: Format = "auto") -> list[Any]:
    found = read(data, format)
    assert not [item for item in found if isinstance(item, Unreadable)]
    assert not [item for item in found if b"\n" in item.raw]
    return [json.loads(item.raw) for item in found]


def outline(found: list[Record | Unreadable]) -> list[tuple[int, bytes | None]]:
    """Return line and bytes of each record, line and None of each unreadable item."""
    return [(item.line, None if isinstance(item, Unreadable) else item.raw) for item in found]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a directory of source files below the current directory, and return its relative path."""
    for name in (
        "b.json",
        "a.csv",
        "c.JSONL.gz",
        "d.ndjson",
        "notes.txt",
        ".hidden.csv",
        "day=2/e.csv.gz",
        ".git/f.json",
    ):
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return Path("logs")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("-", [None]),
        ("logs/notes.txt", ["logs/notes.txt"]),
        ("logs", ["logs/a.csv", "logs/b.json", "logs/c.JSONL.gz", "logs/d.ndjson", "logs/day=2/e.csv.gz"]),
        ("logs/*.[cj]s[vo]*", ["logs/a.csv", "logs/b.json"]),
        ("logs/d*", ["logs/d.ndjson", "logs/day=2/e.csv.gz"]),
        ("logs/**/*.gz", ["logs/c.JSONL.gz", "logs/day=2/e.csv.gz"]),
    ],
)
@pytest.mark.usefixtures("logs")
def test_a_source_is_a_file_a_directory_a_pattern_or_standard_input(source: str, expected: list[str | None]) -> None:
    assert find_sources(source) == [None if name is None else Path(name) for name in expected]


@pytest.mark.usefixtures("logs")
def test_a_file_name_with_pattern_characters_is_not_a_pattern() -> None:
    Path("logs/x[1].csv").touch()

    assert find_sources("logs/x[1].csv") == [Path("logs/x[1].csv")]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", ["''", "a file, a directory, a glob pattern or -"]),
        ("logs/none.csv", ["logs/none.csv", "found nothing"]),
        ("logs/a.csv/b.csv", ["logs/a.csv/b.csv", "found nothing"]),
        ("logs/*.parquet", ["logs/*.parquet", "no file"]),
        ("empty", ["empty", "found no files", "*.ndjson"]),
        ("texts", ["texts", "found 2 other files", "1.txt, 2.txt"]),
    ],
)
@pytest.mark.usefixtures("logs")
def test_a_source_without_matching_files_is_an_error_that_says_what_was_found(source: str, words: list[str]) -> None:
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/1.txt").touch()
    Path("texts/2.txt").touch()

    with pytest.raises(SourceError) as raised:
        find_sources(source)

    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("name", ["logs", "gone.csv", "broken.csv"])
@pytest.mark.usefixtures("logs")
def test_unreadable_files_are_an_error_before_the_first_file_is_read(name: str) -> None:
    Path("broken.csv").symlink_to("nowhere.csv")

    with pytest.raises(SourceError, match=name):
        SourceReader([Path("logs/a.csv"), Path(name)])


@pytest.mark.usefixtures("logs")
def test_a_broken_link_that_matches_a_pattern_is_an_error() -> None:
    Path("logs/aa.csv").symlink_to("nowhere.csv")

    with pytest.raises(SourceError, match=r"logs/aa\.csv"):
        SourceReader(find_sources("logs/*.csv"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
@pytest.mark.usefixtures("logs")
def test_files_without_permission_are_an_error_with_the_name() -> None:
    Path("logs/a.csv").chmod(0)
    Path("logs/day=2").chmod(0)
    try:
        with pytest.raises(SourceError, match=r"logs/a\.csv: Permission denied"):
            SourceReader([Path("logs/a.csv")])
        with pytest.raises(SourceError, match="logs/day=2: Permission denied"):
            find_sources("logs")
        with pytest.raises(SourceError, match=r"logs/day=2/e\.csv\.gz: Permission denied"):
            find_sources("logs/day=2/e.csv.gz")
    finally:
        Path("logs/day=2").chmod(0o700)


def test_a_file_that_disappears_before_it_is_read_is_an_error_with_the_name(logs: Path) -> None:
    reader = SourceReader([logs / "a.csv", logs / "b.json"])
    (logs / "b.json").unlink()

    with pytest.raises(SourceError, match=r"logs/b\.json: No such file"):
        list(reader)


def test_files_are_read_in_order_with_their_names_and_progress_in_bytes_on_disk(logs: Path) -> None:
    contents = {"a.csv": b"n\n1\n", "b.json": b'[{"n": "2"}]', "c.JSONL.gz": gzip.compress(b'{"n":"3"}\n{"n":"4"}')}
    for name, data in contents.items():
        (logs / name).write_bytes(data)

    reader = SourceReader([logs / name for name in contents])
    found = list(reader)

    assert found == [
        Record(b'{"n":"1"}', "logs/a.csv", 2),
        Record(b'{"n":"2"}', "logs/b.json", 1),
        Record(b'{"n":"3"}', "logs/c.JSONL.gz", 1),
        Record(b'{"n":"4"}', "logs/c.JSONL.gz", 2),
    ]
    assert reader.total_bytes == reader.bytes_read == sum(map(len, contents.values()))
    assert list(reader) == found
    assert reader.bytes_read == reader.total_bytes


def test_standard_input_has_progress_but_no_total_size(logs: Path) -> None:
    reader = SourceReader([logs / "a.csv", None], stdin=io.BytesIO(b'{"n":1}\n'))

    assert list(reader) == [Record(b'{"n":1}', "stdin", 1)]
    assert reader.total_bytes is None
    assert reader.bytes_read == 8


@pytest.mark.parametrize(("name", "records"), [("a.csv", [b'{"n":"1"}']), ("a.JSON.gz", [b"n", b"1"])])
def test_the_name_of_standard_input_determines_its_format(name: str, records: list[bytes]) -> None:
    found = list(SourceReader([None], stdin=io.BytesIO(b"n\n1\n"), stdin_name=name))

    assert [item.raw for item in found] == records
    assert {item.source for item in found} == {name}


def test_events_of_a_pipe_are_yielded_as_they_arrive() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        events = iter(SourceReader([None], stdin=stdin))
        for number in range(3):
            pipe.write(b'{"n":%d}\n' % number)
            assert next(events) == Record(b'{"n":%d}' % number, "stdin", number + 1)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["array.json", "lines.jsonl", "rows.csv"])
def test_an_abandoned_reader_closes_its_file(tmp_path: Path, name: str, pack: Any) -> None:
    layout = {"array.json": "array", "lines.jsonl": "lines", "rows.csv": "csv"}[name]
    (tmp_path / name).write_bytes(pack(LAYOUTS[layout][0]))
    items = iter(SourceReader([tmp_path / name]))
    next(items)
    assert open_files(tmp_path) == [tmp_path / name]

    items.close()

    assert open_files(tmp_path) == []


def test_a_named_pipe_is_opened_once_and_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert SourceReader([path]).total_bytes is None


@pytest.mark.parametrize(
    ("name", "format", "data", "expected"),
    [
        ("a.csv", "auto", b"{x\n1\n", b'{"{x":"1"}'),
        ("a.CSV.GZ", "auto", b"{x\n1\n", b'{"{x":"1"}'),
        ("a.jsonl", "auto", b"x\n", b"x"),
        ("a.log", "auto", b'\n {"n":1}\n', b' {"n":1}'),
        ("a.log", "auto", b"[1]", b"1"),
        ("a", "auto", b"n\n1\n", b'{"n":"1"}'),
        ("a.json", "csv", b"n\n1\n", b'{"n":"1"}'),
        ("a.csv", "json", b'{"n":1}\n', b'{"n":1}'),
    ],
)
def test_the_format_is_the_option_or_detected_by_name_or_by_content(
    tmp_path: Path, name: str, format: Format, data: bytes, expected: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    [record] = SourceReader([path], format=format)

    assert isinstance(record, Record)
    assert record.raw == expected


def test_the_name_of_a_stream_tells_its_format_and_is_in_its_records() -> None:
    stream = io.BytesIO(gzip.compress(b"n\n1\n"))

    [record] = SourceReader([None], stdin=stream, stdin_name="gs://bucket/a.csv.gz")

    assert record == Record(b'{"n":"1"}', "gs://bucket/a.csv.gz", 2)


def test_column_types_are_passed_to_the_csv_reader() -> None:
    reader = SourceReader([None], columns={"n": "integer"}, stdin=io.BytesIO(b"n\n1\n"))

    assert [item.raw for item in reader] == [b'{"n":1}']


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\xef\xbb\xbfn\r\n1\r\n", [(2, b'{"n":"1"}')], id="csv"),
        pytest.param(b'\xef\xbb\xbf{"n":1}\r\n{"n":2}\r\n', [(1, b'{"n":1}'), (2, b'{"n":2}')], id="lines"),
        pytest.param(b'\xef\xbb\xbf\r\n[{"n":1}\r\n]', [(1, b'{"n":1}')], id="array"),
        pytest.param(b"\xef\xbb\xbf", [], id="nothing else"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_a_byte_order_mark_crlf_and_gzip_do_not_change_the_records(
    pack: Any, data: bytes, expected: list[tuple[int, bytes]]
) -> None:
    assert outline(read(pack(data))) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"\n \n", [], id="blank"),
        pytest.param(b'\n{"n": 1}\n\n  \r\n{"n":2}', [(2, b'{"n": 1}'), (5, b'{"n":2}')], id="blank lines"),
        pytest.param(b'{"n":1}\noops\n{"n":2}\n', [(1, b'{"n":1}'), (2, b"oops"), (3, b'{"n":2}')], id="bad line"),
        pytest.param(b'oops\n{"n":2}\n', [(1, b"oops"), (2, b'{"n":2}')], id="bad first line"),
        pytest.param(b'{"n":\n\n{"n":2}\n', [(1, b'{"n":'), (3, b'{"n":2}')], id="cut first line"),
        pytest.param(b'{"n":\n', [(1, b'{"n":')], id="cut only line"),
        pytest.param(b'{"n":\n\n', [(1, b'{"n":')], id="cut only line, then a blank one"),
        pytest.param(
            b'{"n":1}{"n":2}\n{"n":3}\n',
            [(1, b'{"n":1}{"n":2}'), (2, b'{"n":3}')],
            id="two on the first of several lines",
        ),
        pytest.param(b'{"n":1}}\n', [(1, b'{"n":1}}')], id="a surplus bracket on the only line"),
        pytest.param(b'{"n":"\xff"}\n', [(1, b'{"n":"\xff"}')], id="not UTF-8"),
        pytest.param(b'{"n":1}\n[2]\n', [(1, b'{"n":1}'), (2, b"[2]")], id="an array among lines"),
    ],
)
def test_lines_are_yielded_unchanged(data: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert outline(read(data, "json")) == expected


@given(
    st.lists(st.sampled_from([b'{"a":1}', b'{"b":"x y"}', b"{", b"", b"  ", b"\t", b"\r", b'{"c":2}\r', b"3" * 70])),
    st.sampled_from([b"", b"\n", b"\r\n"]),
    st.integers(1, 80),
)
def test_lines_do_not_depend_on_the_read_boundaries(lines: list[bytes], end: bytes, buffer: int) -> None:
    first = b'{"a":0}'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "BUFFER_BYTES", buffer)
        found = outline(read(b"\n".join([first, *lines]) + end, "json"))

    lines = [line.strip(b"\r") for line in lines]
    assert found == [(number, line) for number, line in enumerate([first, *lines], 1) if line.strip()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"[]", [], id="no elements"),
        pytest.param(b'[{"n":1},{"n":2}]', [{"n": 1}, {"n": 2}], id="an array on a line"),
        pytest.param(b'[\n{"n":\n1}\n,\n{"n":2}\n]\n', [{"n": 1}, {"n": 2}], id="an array over lines"),
        pytest.param(
            b'[1, -2.5e3, "a\\"],[", true, null, [], [[3]], {}]', [1, -2500.0, 'a"],[', True, None, [], [[3]], {}]
        ),
        pytest.param(b'[{"n":1},]', [{"n": 1}], id="a trailing comma"),
        pytest.param(b"[1]\n[2]\n", [1, 2], id="two arrays"),
        pytest.param(b'[{"n":1}]{"n":2}', [{"n": 1}, {"n": 2}], id="an array and an object"),
        pytest.param(b'{\n"n": {"m": "}"}\n}', [{"n": {"m": "}"}}], id="an object over lines"),
        pytest.param(b'{\n\n"n": 1\n}\n{\n"n": 2\n}\n', [{"n": 1}, {"n": 2}], id="objects over lines"),
        pytest.param(b'{"n":1} {"n":2}{"n":3}\n', [{"n": 1}, {"n": 2}, {"n": 3}], id="objects on one line"),
    ],
)
def test_values_are_found_in_any_layout(data: bytes, expected: list[Any]) -> None:
    assert values(data) == expected


def test_values_keep_the_spelling_of_numbers_and_lose_whitespace() -> None:
    text = b'{"big":123456789012345678901234567890,"float":1541105830796.0,"small":1e-400,"text":"a  b\\u00e9"}'

    assert outline(read(b"[\n" + text.replace(b",", b" ,\r\n\t") + b"]")) == [(1, text)]


@pytest.mark.parametrize(
    ("data", "expected", "problem"),
    [
        (b'[{"n":1},{"n":},{"n":3}]', [(1, b'{"n":1}'), (2, None), (3, b'{"n":3}')], "invalid character"),
        (
            b'[{"n":1}\n{"n":2}]',
            [(1, b'{"n":1}'), (2, None)],
            "found { after an array element, expected a comma or ]",
        ),
        (b'[{"n":1},{"n":2', [(1, b'{"n":1}'), (2, None)], "expected a complete JSON value"),
        (b'[{"n":1}', [(1, b'{"n":1}'), (2, None)], "the end of the file"),
        (b'["abc', [(1, None)], "expected a complete JSON value"),
        (b"[1,,2]", [(1, b"1"), (2, None)], "found ','"),
        (b"[,1]", [(1, None)], "found ','"),
        (b"[1]}", [(1, b"1"), (2, None)], "found '}'"),
        (b"[nul]", [(1, None)], "no JSON value"),
        (b'{\n"n":1\n},\n{\n"n":2\n}', [(1, b'{"n":1}'), (2, None)], "found ','"),
        (b"[" + b"[" * 100_000 + b"]" * 100_000 + b",1]", [(1, None), (2, b"1")], "levels of nesting"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_a_syntax_error_is_reported_with_the_ordinal_of_its_element(
    data: bytes, expected: list[tuple[int, bytes | None]], problem: str
) -> None:
    found = read(data)
    [unreadable] = [item for item in found if isinstance(item, Unreadable)]

    assert outline(found) == expected
    assert problem in unreadable.problem
    assert len(unreadable.raw) <= 4096


def test_the_file_after_a_broken_file_is_read(logs: Path) -> None:
    (logs / "a.csv").write_bytes(b'[{"n":')
    (logs / "b.json").write_bytes(b'[{"n":2}]')

    found = list(SourceReader([logs / "a.csv", logs / "b.json"], format="json"))

    assert [(type(item), item.source) for item in found] == [(Unreadable, "logs/a.csv"), (Record, "logs/b.json")]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "MAX_VALUE_BYTES", 1000)
    monkeypatch.setattr(json_reader, "BUFFER_BYTES", 64)


@pytest.mark.usefixtures("small_limits")
def test_a_line_above_the_size_limit_is_skipped() -> None:
    long = b'{"n":"' + b"x" * 5000 + b'"}'

    found = read(b'{"n":1}\n' + long + b'\n{"n":2}\n' + long)

    assert outline(found) == [(1, b'{"n":1}'), (2, None), (3, b'{"n":2}'), (4, None)]
    assert isinstance(found[1], Unreadable)
    assert "longer than 64 MiB" in found[1].problem


@pytest.mark.usefixtures("small_limits")
def test_a_first_line_above_the_size_limit_is_skipped() -> None:
    assert outline(read(b'{"n":"' + b"x" * 5000 + b'"}\n{"n":2}\n')) == [(1, None), (2, b'{"n":2}')]


@pytest.mark.usefixtures("small_limits")
def test_a_value_above_the_size_limit_ends_its_file() -> None:
    found = read(b'[{"n":1},{"n":"' + b"x" * 5000 + b'"},{"n":3}]')

    assert outline(found) == [(1, b'{"n":1}'), (2, None)]
    assert isinstance(found[1], Unreadable)
    assert "longer than 64 MiB" in found[1].problem


@pytest.mark.usefixtures("small_limits")
def test_an_array_on_one_line_may_be_longer_than_the_limit_of_a_line() -> None:
    assert len(values(json.dumps([{"n": number} for number in range(1000)]).encode())) == 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(json_values, max_size=8), st.sampled_from([None, 0, 2]), st.booleans(), st.integers(1, 64))
def test_an_array_does_not_depend_on_the_read_boundaries(
    array: list[Any], indent: int | None, ascii_only: bool, buffer: int
) -> None:
    data = json.dumps(array, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "BUFFER_BYTES", buffer)

        assert values(data) == array


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=4), max_size=8), st.integers(1, 64)
)
def test_pretty_printed_objects_do_not_depend_on_the_read_boundaries(objects: list[Any], buffer: int) -> None:
    data = "\n".join(json.dumps(item, indent=2) for item in objects).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "BUFFER_BYTES", buffer)

        assert values(data) == objects


@given(st.binary(max_size=100) | st.text('[]{}",:1e\\ \n', max_size=100).map(str.encode))
def test_arbitrary_bytes_are_read_without_an_exception(data: bytes) -> None:
    for item in read(data, "json"):
        assert b"\n" not in item.raw or isinstance(item, Unreadable)


LAYOUTS = {
    "csv": (b"n\n" + b"".join(b"%d\n" % number for number in range(1000)), 1000),
    "lines": (b"".join(b'{"n":"%d"}\n' % number for number in range(1000)), 1000),
    "array": (b"[" + b",".join(b'{"n":"%d"}' % number for number in range(1000)) + b"]", 1000),
}


def damaged_variants(packed: bytes) -> Iterator[tuple[str, bytes]]:
    for end in (*range(3, 30), *range(30, len(packed), 97), len(packed) - 1):
        yield f"cut at {end}", packed[:end]
    for at in range(12, len(packed), 97):
        yield f"changed at {at}", packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :]
    yield "trailing bytes", packed + b"rubbish"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_gzip_file_yields_the_records_before_the_damage_and_one_error(layout: str) -> None:
    data, count = LAYOUTS[layout]
    whole = read(data)
    assert len(whole) == count

    for case, packed in damaged_variants(gzip.compress(data)):
        found = read(packed)

        assert isinstance(found[-1], Unreadable), case
        if not case.startswith("changed"):  # a changed byte may make the JSON invalid before the checksum fails
            assert "damaged data" in found[-1].problem, case
        if case.startswith("cut"):
            assert found[:-1] == whole[: len(found) - 1], case
            assert found[-1].line >= len(found), case

    without_last_byte = read(gzip.compress(data)[:-1])
    assert len(without_last_byte) >= count


def test_a_gzip_file_cut_in_its_header_is_damaged() -> None:
    [item] = read(b"\x1f\x8b")

    assert isinstance(item, Unreadable)
    assert (item.source, item.line) == ("stdin", 1)


class FailingDisk(io.BytesIO):
    """Stands in for a disk that fails after the given data."""

    def read1(self, size: int | None = -1) -> bytes:
        if data := super().read1(size):
            return data
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [(1, None)], id="at once"),
        pytest.param(b'{"n":1}\n{"n', [(1, b'{"n":1}'), (2, None)], id="in a line"),
        pytest.param(b"[1,2", [(1, b"1"), (2, None)], id="in an array"),
        pytest.param(
            b'["' + b"x" * 100 + b'",1,2',
            [(1, b'"' + b"x" * 100 + b'"'), (2, b"1"), (3, None)],
            id="after a long value",
        ),
    ],
)
@pytest.mark.usefixtures("small_limits")
def test_a_failing_disk_yields_the_records_before_the_failure(
    data: bytes, expected: list[tuple[int, bytes | None]]
) -> None:
    found = list(SourceReader([None], stdin=FailingDisk(data)))

    assert outline(found) == expected
    assert isinstance(found[-1], Unreadable)
    assert "Input/output error" in found[-1].problem


def test_an_invalid_first_byte_is_reported_without_further_reads() -> None:
    [item] = SourceReader([None], stdin=FailingDisk(b"[,1"))

    assert isinstance(item, Unreadable)
    assert "found ','" in item.problem
