"""`sluice export` and `sluice sql`: output, exit codes, and the limits of a query."""

from __future__ import annotations

import csv
import io
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import IngestPipeline
from tests.support.command_line import Sluice, environment
from tests.support.samples import MUSIC_CONTRACT, ROOT, lines, message, music_event

DAYS = ["--from", "2024-01-15", "--to", "2024-01-16"]


@pytest.fixture
async def stored(bigtable: Bigtable, settings: Settings) -> Settings:
    """An instance with 300 events of two days, a rejected one, and their aggregates."""
    contract = load_contract(MUSIC_CONTRACT)
    events = [
        music_event(number, timestamp=f"2024-01-{15 + number % 3 // 2}T10:00:00Z", duration=number / 10)
        for number in range(300)
    ]
    await IngestPipeline(bigtable, contract).process(message(lines([*events, {"userId": "u"}])))
    for day in (15, 16):
        await AggregatePipeline(bigtable, contract).run(date(2024, 1, day))
    return settings


@pytest.fixture
def exported(stored: Settings, sluice: Sluice, tmp_path: Path) -> str:
    """A folder with the exported days."""
    assert sluice("export", *DAYS, "--into", str(tmp_path / "exported")).code == 0
    return str(tmp_path / "exported")


@pytest.mark.usefixtures("stored")
def test_export_prints_each_day(sluice: Sluice, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = sluice("export", "--what", "events", "--what", "aggregates", *DAYS, "--into", str(folder))
    [unaggregated] = sluice(
        "export", "--what", "aggregates", "--date", "2024-01-17", "--into", str(folder), "--json"
    ).json
    partial = sluice("export", "--what", "rejected", "--date", "today", "--into", str(folder))

    assert first.code == 0
    printed = first.out.splitlines()
    assert len(printed) == 4
    assert printed[0].startswith("events of 2024-01-15: 200 rows, ")
    assert printed[0].endswith(f" bytes → {folder}/events/day=2024-01-15/part-000.parquet")
    assert printed[3].startswith("aggregates of 2024-01-16: ")
    assert (unaggregated["status"], unaggregated["rows"]) == ("not_computed", 0)
    assert partial.out.startswith("rejected of 20")
    assert ": 1 rows, " in partial.out
    assert " bytes, partial → " in partial.out


def test_a_query_of_bigtable_equals_the_same_query_of_an_export(exported: str, sluice: Sluice) -> None:
    queries = [
        "select * from events order by _event_id",
        "select day, event_type, count(*) n, exact_sum(list(duration)) from events group by all order by all",
        "select * from aggregates order by all",
        "select * from aggregates_song order by all",
        "select count(*) n from events a join events b using (user_id)",
        "select * from rejected",
    ]

    for query in queries:
        live, file = sluice("sql", query, *DAYS, "--json"), sluice("sql", query, "--source", exported, "--json")

        assert (live.code, file.code) == (0, 0), live.err + file.err
        assert live.json == file.json
    assert len(sluice("sql", queries[0], *DAYS, "--json").json) == 300


def test_views_have_the_measures_of_sluice_aggregates(exported: str, sluice: Sluice) -> None:
    found = sluice("sql", "select * from aggregates_song where song_id = 'song-3' order by day", *DAYS, "--json").json
    expected = sluice("aggregates", "song", "song-3", *DAYS, "--json").json

    assert {row.pop("day"): row for row in found} == {
        day: {"song_id": "song-3", **measures} for day, measures in expected.items()
    }


def test_the_sums_of_events_equal_the_aggregates_to_the_last_bit(exported: str, sluice: Sluice) -> None:
    query = """
        select * from (select day, user_id, count(*) total_events, count(distinct song_id) unique_songs,
                              exact_sum(list(duration)) listening_seconds from events group by all) e
        full join aggregates_user a using (day, user_id)
        where (e.total_events, e.unique_songs, e.listening_seconds)
              is distinct from (a.total_events, a.unique_songs, a.listening_seconds)"""
    naive = query.replace("exact_sum(list(duration))", "sum(duration) + 1e-9")

    assert sluice("sql", query, "--source", exported, "--json").json == []
    assert sluice("sql", naive, "--source", exported, "--json").json != []


def test_the_output_is_a_table_json_or_csv(exported: str, sluice: Sluice) -> None:
    query = "select user_id, timestamp, duration, null as nothing, [1, 2] as list from events order by duration limit 2"
    options = ["--source", exported]

    table = sluice("sql", query, *options)
    lines_of_json = sluice("sql", query, *options, "--json")
    as_csv = sluice("sql", query, *options, "--csv")
    cut = sluice("sql", "select * from events", *options, "--limit", "3")

    assert "│ user-0  │ 2024-01-15T10:00:00Z │      0.0 │         │ [1,2] │" in table.out
    assert lines_of_json.json[1] == {
        "user_id": "user-1",
        "timestamp": "2024-01-15T10:00:00Z",
        "duration": 0.1,
        "nothing": None,
        "list": [1, 2],
    }
    assert list(csv.reader(io.StringIO(as_csv.out)))[2] == ["user-1", "2024-01-15T10:00:00Z", "0.1", "", "[1,2]"]
    assert cut.out.count("user-") == 3
    assert cut.err == "the first 3 rows; --limit, --json or --csv shows more\n"
    assert sluice("sql", "select 1 where false", *options, "--json").json == []


def test_integers_stay_exact(exported: str, sluice: Sluice) -> None:
    query = "select sum(9223372036854775807) s, 1.50::decimal(9,2) d from range(3)"

    result = sluice("sql", query, "--source", exported, "--json")

    assert '"s":27670116110564327421,"d":1.50' in result.out


WRONG = [
    ("selec 1", 'Parser Error: syntax error at or near "selec"'),
    (
        "select * from nothing",
        "Catalog Error: Table with name nothing does not exist; the tables are events, rejected, aggregates, "
        "aggregates_user, aggregates_song, aggregates_event_type, aggregates_all",
    ),
    ("select nothing from events", 'Binder Error: Referenced column "nothing" not found in FROM clause!'),
    ("select cast('a' as integer)", "Conversion Error: Could not convert string 'a' to INT32"),
    ("select 1; select 2", "found 2 statements, expected one"),
    ("", "found 0 statements, expected one"),
    ("set threads = 1", "Invalid Input Error: Cannot change configuration option"),
    ("select * from read_csv('/etc/passwd')", "Permission Error: Cannot access file"),
    ("select * from '{folder}/events/day=2024-01-15/part-000.parquet'", "Permission Error: Cannot access file"),
    ("copy events to '{folder}/events/day=2024-01-15/part-000.parquet'", "Permission Error: Cannot access file"),
    ("attach '{folder}/x.db'", "Permission Error: Cannot access file"),
    ("install httpfs", "Permission Error: "),
    ("load httpfs", "Permission Error: "),
    ("select * from settings", "Catalog Error: Table with name settings does not exist"),
]


def test_a_refused_query_is_one_line_with_the_message_of_duckdb(exported: str, sluice: Sluice) -> None:
    for query, expected in WRONG:
        result = sluice("sql", query.replace("{folder}", exported), "--source", exported)

        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(f"sluice: {expected}")
        assert result.err.count("\n") == 1


def test_an_error_of_bigtable_is_the_message(stored: Settings, sluice: Sluice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_NAME", "gone")

    result = sluice("sql", "select count(*) from events", *DAYS)

    assert result.code == 1
    assert result.err.startswith("sluice: reading gone-state: ")
    assert result.err.count("\n") == 1


def test_wrong_sources_and_folders_are_refused(exported: str, sluice: Sluice, tmp_path: Path) -> None:
    absent = sluice("sql", "select 1", "--source", str(tmp_path / "absent"))
    other_day = sluice("sql", "select 1", "--source", exported, "--date", "2024-02-01")
    one_day = sluice("sql", "select distinct day from events", "--source", exported, "--date", "2024-01-16", "--csv")
    (tmp_path / "file").touch()
    into_file = sluice("export", "--date", "2024-01-15", "--into", str(tmp_path / "file"))
    both = sluice("sql", "select 1", "--source", exported, "--json", "--csv")

    assert "found no exported tables, expected a folder that `sluice export` wrote" in absent.err
    assert "found no exported tables of these days" in other_day.err
    assert one_day.out == "day\n2024-01-16\n"
    assert into_file.err == f"sluice: {tmp_path / 'file'}: can't be written: File exists\n"
    assert (both.code, absent.code, into_file.code) == (2, 1, 1)


def test_a_file_that_no_export_wrote_is_named(exported: str, sluice: Sluice) -> None:
    path = Path(exported, "events", "day=2024-01-15", "part-000.parquet")
    path.write_bytes(b"PAR1 and nothing else")

    result = sluice("export", "--what", "events", "--date", "2024-01-15", "--into", exported)

    assert result.code == 1
    assert str(path) in result.err
    assert "expected a Parquet file that `sluice export` wrote" in result.err
    assert result.err.count("\n") == 1


def start(settings: Settings, arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from infra.cli.main import main; main()", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_closed_pipe_ends_a_query_without_an_error(exported: str, settings: Settings) -> None:
    query = "select a.* from events a, events b"
    with start(settings, ["sql", query, "--source", exported, "--csv"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("event_id,user_id,")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""

    assert process.returncode == 128 + signal.SIGPIPE


def test_the_documented_queries_print_what_the_page_shows(
    sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sample events."""
    page = (ROOT / "docs" / "export.md").read_text("utf-8").partition("## BigQuery")[0]
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    shown = re.findall(r"^\$ (sluice .*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
    assert sluice("ingest", "--source", str(ROOT / "data")).code == 0
    assert sluice("aggregate", "--from", "2024-01-15", "--to", "2024-01-17").code == 0

    monkeypatch.chdir(tmp_path)
    for line, output in shown:
        result = sluice(*shlex.split(line)[1:])
        assert (result.out + result.err).strip() == output.strip()
    assert len(shown) == 7
