"""The `sluice` command against the emulators: output, table contents and exit codes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.provision.pubsub import provision_pubsub
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.pubsub.load_requests import ObjectVersion
from shared.tables.loads import Load, LoadsTable
from shared.timestamps import EPOCH
from tests.support.command_line import Sluice
from tests.support.samples import ROOT, SPARKIFY, SPARKIFY_CONTRACT, cells, dump, lines, music_event, sparkify_records

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"the Sparkify logs are missing: {SPARKIFY}")


@needs_sparkify
@pytest.mark.slow
def test_a_month_of_sparkify_has_the_users_of_a_plain_reading(sluice: Sluice) -> None:
    contract = ["--contract", str(SPARKIFY_CONTRACT)]
    assert sluice("ingest", "--source", str(SPARKIFY), *contract).code == 0
    assert sluice("aggregate", "--from", "2018-11-01", "--to", "2018-11-30", *contract).code == 0

    month = sluice("aggregates", "all", "all", "--month", "2018-11", "--json", *contract).json

    stored = [record for record in sparkify_records() if record["userId"]]
    assert month["days"] == 30
    assert month["measures"]["total_events"] == len(stored)
    assert month["measures"]["active_users"] == len({record["userId"] for record in stored})
    assert month["unmerged"] == {}


@needs_sparkify
def test_check_reports_the_same_as_ingest_for_the_sparkify_logs(sluice: Sluice, settings: Settings) -> None:
    options = ["--source", str(SPARKIFY), "--contract", str(SPARKIFY_CONTRACT), "--json"]

    predicted = sluice("check", *options).json
    found = sluice("ingest", *options).json
    again = sluice("ingest", *options).json

    assert (predicted["published"], predicted["stored"], predicted["rejected"]) == (8042, 7756, {"null": 286})
    assert len(predicted["days"]) == 30
    assert predicted["days"]["2018-11-15"] == {"events": 522, "users": 25}
    assert predicted["days"]["2018-11-21"] == {"events": 493, "users": 28}
    assert predicted == found == again
    assert len(list(cells(dump(settings, "events"), "e"))) == 7756
    assert len(dump(settings, "rejected")) == 286


def test_a_csv_file_is_ingested_aggregated_and_queried(sluice: Sluice, tmp_path: Path) -> None:
    source = tmp_path / "events.csv.gz"
    text = "event_id,userId,timestamp,event_type,songId,duration\n" + "".join(
        f"e{number},u{number % 3},2024-01-15T10:00:{number:02d}Z,song_play,s{number % 2},{number}.5\n"
        for number in range(30)
    )
    source.write_bytes(gzip.compress(text.encode()))

    ingested = sluice("ingest", "--source", str(source), "--format", "csv", "--batch-size", "7")
    assert ingested.code == 0
    assert "30 events read: 30 stored, 0 rejected, 0 duplicates" in ingested.out

    [summary] = sluice("aggregate", "--date", "2024-01-15", "--json").json
    assert (summary["day"], summary["events"]) == ("2024-01-15", 30)
    assert sluice("aggregates", "user", "u0", "--date", "2024-01-15", "--json").json == {
        "2024-01-15": {"total_events": 10, "unique_songs": 2, "listening_seconds": 140.0}
    }
    assert "total_events 30" in sluice("aggregates", "all", "all", "--from", "2024-01-14", "--to", "2024-01-15").out
    days = ["--from", "2024-01-14", "--to", "2024-01-16"]
    for options in (["--week", "2024-W03"], ["--month", "2024-01"], ["--merge", *days]):
        span = sluice("aggregates", "user", "u0", *options)
        assert "listening_seconds 140.0  total_events 10  unique_songs 2" in span.out
        assert "not computed" in span.err
    top = sluice("top", "song", "plays", "--date", "2024-01-15", "--limit", "1", "--json").json
    assert top == [{"value": "s0", "plays": 15, "unique_users": 3, "mean_seconds": 14.5}]
    assert sluice("top", "song", "plays", "--date", "2024-01-15").out.split() == ["15", "s0", "15", "s1"]
    events = sluice("events", "u1", "--start", "2024-01-15", "--limit", "2", "--json").json
    assert [event["event_id"] for event in events] == ["e28", "e25"]
    assert sluice("events", "u1", "--start", "2024-01-15T10:00:28Z").out.count("\n") == 1


def test_a_partial_day_is_named_on_standard_error(sluice: Sluice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.aggregate.pipeline.now", lambda: datetime(2024, 1, 15, 10, 45, 30, tzinfo=UTC))
    assert sluice("ingest", "--source", "-", stdin=lines([music_event(1), music_event(2)])).code == 0
    text = "2024-01-15 is partial, up to 10:45 UTC\n"

    computed = sluice("aggregate", "--date", "2024-01-15")
    top = sluice("top", "song", "plays", "--date", "2024-01-15", "--json")
    day = sluice("aggregates", "all", "all", "--from", "2024-01-14", "--to", "2024-01-16")
    span = sluice("aggregates", "all", "all", "--from", "2024-01-15", "--to", "2024-01-15", "--merge", "--json")

    assert (computed.err, top.err, day.err, span.err) == (text, text, text, text)
    assert len(top.json) == 2
    assert span.json["partial"] == {"2024-01-15": "2024-01-15T10:45:30Z"}


def test_rejected_events_are_shown_with_their_findings(sluice: Sluice) -> None:
    bad = lines([music_event(1, userId=""), music_event(2, event_type="dance"), music_event(3, userId=...)])
    assert sluice("ingest", "--source", "-", stdin=bad + b"\n\x1b[2J").code == 0

    assert len(sluice("rejected", "--json").json) == 4
    [shown] = sluice("rejected", "--rule", "one_of", "--json").json
    assert shown["source"] == "stdin:2"
    assert shown["findings"][0]["field"] == "event_type"
    text = sluice("rejected").out
    assert "required" in text
    assert "\x1b" not in text
    assert len(sluice("rejected", "--limit", "1", "--json").json) == 1
    assert sluice("rejected", "--date", "2024-01-15").err.startswith("no rejected events")


def test_no_quality_checks_stores_every_event_with_a_cell_key(sluice: Sluice, settings: Settings) -> None:
    data = lines([music_event(1, event_type="dance"), music_event(2, userId="")])

    report = sluice("ingest", "--source", "-", "--no-quality-checks", "--json", stdin=data).json

    assert (report["stored"], report["rejected"]) == (1, {"null": 1})


def test_a_file_of_large_events_is_ingested_within_the_memory_limit(
    sluice: Sluice, settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "large.jsonl"
    source.write_bytes(lines(music_event(number, notes="x" * 20_000) for number in range(3_000)))

    report = sluice("ingest", "--source", str(source), "--json").json

    assert (report["published"], report["stored"]) == (3_000, 3_000)
    assert len(list(cells(dump(settings, "events"), "e"))) == 3_000


def test_a_new_contract_for_nested_events(sluice: Sluice, settings: Settings, tmp_path: Path) -> None:
    contract = tmp_path / "hub.toml"
    contract.write_text(
        """
        version = 1
        name = "hub"
        [event]
        id = ["kind", "number"]
        user = "login"
        time = "created_at"
        bucket = "hour"
        [fields.kind]
        from = "type"
        type = "string"
        one_of = ["PushEvent", "WatchEvent"]
        [fields.number]
        from = "id"
        type = "integer"
        [fields.login]
        from = "actor.login"
        type = "string"
        [fields.repo]
        from = "repo.name"
        type = "string"
        pattern = "[^/]+/[^/]+"
        [fields.created_at]
        type = "timestamp"
        [fields.size]
        from = "payload.size"
        type = "integer"
        default = 0
        [aggregates.repo]
        by = "repo"
        where = { kind = "PushEvent" }
        pushes = "count"
        size = "sum(size)"
        people = "unique(login)"
        """
    )

    def record(number: int, **changes: Any) -> dict[str, Any]:
        event = {
            "id": number,
            "type": "PushEvent",
            "actor": {"id": 1, "login": f"dev{number % 2}"},
            "repo": {"name": "a/b"},
            "payload": {"size": number},
            "created_at": f"2015-01-01T15:00:{number:02d}Z",
        }
        return {**event, **changes}

    data = lines(
        [
            *(record(number) for number in range(10)),
            record(3),
            record(20, type="WatchEvent"),
            record(21, repo={}),
            record(22, repo={"name": "nope"}),
            record(23, actor="root"),
            record(24, payload={}),
        ]
    )
    options = ["--contract", str(contract)]

    report = sluice("ingest", "--source", "-", *options, "--json", stdin=data).json
    assert (report["published"], report["stored"], report["duplicates"]) == (16, 13, 1)
    assert report["rejected"] == {"pattern": 1, "required": 1}
    window = ["--start", "2015-01-01", "--end", "2015-01-01T15:00:10Z", "--limit", "1"]
    [event] = sluice("events", "dev1", *window, "--json", *options).json
    assert event == {
        "kind": "PushEvent",
        "number": 9,
        "login": "dev1",
        "repo": "a/b",
        "created_at": "2015-01-01T15:00:09Z",
        "size": 9,
        "actor": {"id": 1},
    }
    sluice("aggregate", "--date", "2015-01-01", *options)
    assert sluice("aggregates", "repo", "a/b", "--date", "2015-01-01", "--json", *options).json == {
        "2015-01-01": {"pushes": 11, "size": 45, "people": 2}
    }


def test_publish_packs_events_into_messages(sluice: Sluice, topics: Callable[[int], list[bytes]]) -> None:
    data = lines(music_event(number) for number in range(250))

    result = sluice("publish", "--source", "-", "--batch-size", "100", "--json", stdin=data)

    assert result.json == {"published": 250, "messages": 3, "unreadable": 0}
    messages = topics(3)
    assert sorted(message.count(b"\n") + 1 for message in messages) == [50, 100, 100]
    assert sorted(b"\n".join(messages).split(b"\n")) == sorted(data.split(b"\n"))


def test_unreadable_rows_are_reported_and_the_others_stored(sluice: Sluice, tmp_path: Path) -> None:
    source = tmp_path / "events.csv"
    source.write_bytes(
        b"event_id,userId,timestamp,event_type\n"
        b"e1,u,2024-01-15T10:00:00Z,click\n"
        b"e2,\xff,2024-01-15T10:00:00Z,click\n"
        b"e3,u,2024-01-15T10:00:00Z,click\n"
    )

    result = sluice("ingest", "--source", str(source))

    assert result.code == 0
    assert "2 events read: 2 stored" in result.out
    assert "events.csv:3" in result.out


def test_doctor_reports_existing_and_missing_tables(
    sluice: Sluice, empty_instance: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = sluice("doctor")
    assert complete.code == 0, complete.out
    assert "table rejected: can be read" in complete.out

    monkeypatch.setenv("BIGTABLE_INSTANCE", empty_instance.instance_id)
    incomplete = sluice("doctor", "--json")
    assert incomplete.code == 1
    missing = [each for each in incomplete.json if not each["ok"]]
    assert [each["what"] for each in missing] == [
        f"table {name}" for name in ("events", "rejected", "aggregates", "state")
    ]
    assert all(each["text"].endswith("; `sluice provision` makes it") for each in missing)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["check", "--source", "nowhere.csv"], 1, "nowhere.csv"),
        (["check", "--source", "*.nothing"], 1, "*.nothing"),
        (["check", "--source", "-", "--contract", "nowhere.toml"], 1, "nowhere.toml: can't be read"),
        (["ingest"], 2, "Missing option '--source'"),
        (["ingest", "--source", "-", "--batch-size", "0"], 2, "--batch-size"),
        (["publish", "--source", "-", "--topic", "nowhere"], 1, "sluice provision"),
        (["publish", "--source", "-", "--rate", "0"], 2, "--rate"),
        (["aggregate", "--date", "15.1.2024"], 2, "found '15.1.2024', expected a day such as 2024-01-15"),
        (["aggregate", "--from", "2024-01-15"], 2, "found one of --from and --to"),
        (["aggregate", "--from", "2024-01-16", "--to", "2024-01-15"], 1, "from 2024-01-16 to 2024-01-15"),
        (["aggregate", "--date", "2024-01-16", "--from", "2024-01-15"], 2, "found --date with --from or --to"),
        (["aggregates", "all", "all", "--week", "2024-W54"], 2, "found '2024-W54', expected a week such as 2024-W03"),
        (["aggregates", "all", "all", "--month", "2024-13"], 2, "found '2024-13', expected a month such as 2024-01"),
        (["aggregates", "all", "all", "--month", "2024-01", "--date", "2024-01-15"], 2, "found several ranges"),
        (
            ["aggregates", "all", "all", "--month", "2024-01"],
            0,
            "no aggregates of all 'all' from 2024-01-01",
        ),
        (["events", "u", "--start", "soon"], 2, "found 'soon'"),
        (["events", "u", "--start", "2024-01-16", "--end", "2024-01-15"], 2, "--end"),
        (["top", "user", "nothing", "--date", "2024-01-15"], 0, "the measures of user: total_events, unique_songs"),
        (["top", "nothing", "n", "--date", "2024-01-15"], 0, "the contract's dimensions: user, song, event_type, all"),
        (["rejected", "--rule", "nothing"], 2, "'nothing' is not one of 'not_json'"),
        (["events", "nobody"], 0, "no events of 'nobody'"),
        (["aggregates", "user", "nobody"], 0, "no aggregates of user 'nobody'"),
        (["fly"], 2, "No such command 'fly'"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(sluice: Sluice, arguments: list[str], code: int, text: str) -> None:
    result = sluice(*arguments, stdin=lines([music_event()]))

    assert (result.code, text in result.err) == (code, True), result


def test_the_help_of_every_command_has_an_example(sluice: Sluice) -> None:
    for command in (
        "run",
        "up",
        "publish",
        "ingest",
        "check",
        "aggregate",
        "events",
        "aggregates",
        "top",
        "rejected",
        "provision",
    ):
        assert f"Example: sluice {command}" in " ".join(sluice(command, "--help").out.split())


def test_the_sample_data_breaks_every_kind_of_rule(sluice: Sluice) -> None:
    report = sluice("check", "--source", str(ROOT / "data"), "--json").json

    assert report["published"] == report["stored"] + report["rejected_events"] + report["duplicates"]
    assert report["duplicates"] > 0
    assert {"required", "null", "type", "range", "length", "pattern", "one_of", "future", "not_json"} <= set(
        report["rejected"]
    )


def test_a_file_of_another_format_is_an_error(sluice: Sluice) -> None:
    result = sluice("check", "--source", "-", stdin=b"<xml>\n<a/>\n")

    assert (result.code, result.out) == (1, "")
    assert "stdin, line 1: found the columns '<xml>', expected a header with some of event_id, userId" in result.err


def test_a_source_without_readable_events_is_an_error(sluice: Sluice) -> None:
    result = sluice("check", "--source", "-", stdin=b"PK\x03\x04 and so on")

    assert result.code == 1
    assert "nothing could be read; the first problem: stdin:1: found a ZIP archive or a spreadsheet" in result.err


def test_utf_16_is_read(sluice: Sluice) -> None:
    result = sluice("check", "--source", "-", stdin=json.dumps(music_event(1)).encode("utf-16"))

    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("1 events read: 1 stored")


def test_provision_prints_planned_and_made_changes(sluice: Sluice, settings: Settings) -> None:
    """The fixture has created the tables before."""
    planned = sluice("provision", "--dry-run")
    assert planned.code == 0
    assert planned.out.splitlines() == [
        "+ topic events",
        "+ topic events-dead-letter",
        "+ topic aggregate-requests",
        "+ subscription events-ingest: of topic events",
        "+ subscription events-dead-letter-keep: of topic events-dead-letter",
        "+ subscription aggregate-run: of topic aggregate-requests",
        "+ job aggregate-daily: 0 1 * * * Etc/UTC",
    ]

    done = sluice("provision")
    assert (done.code, done.out) == (0, planned.out)
    again = sluice("provision")
    assert (again.code, again.out) == (0, "no changes\n")
    assert sluice("provision", "--json").json == []


# The tables of `settings` keep rejected events of any day.
KEPT = (
    "family r of table rejected: keeps everything, which stays; the default is 30 days, and [tables.rejected] of a "
    "file for --config sets another\n"
)


def test_provision_exits_with_1_after_a_refused_change(sluice: Sluice, settings: Settings) -> None:
    from infra.provision.pubsub import open_pubsub
    from infra.provision.resources import RESOURCES

    sluice("provision")
    with open_pubsub(settings, RESOURCES) as pubsub:
        subscription = f"projects/{settings.project_id}/subscriptions/events-ingest"
        message = pubsub.subscriber.get_subscription(subscription=subscription)
        pubsub.subscriber.delete_subscription(subscription=subscription)
        message.enable_message_ordering = True
        pubsub.subscriber.create_subscription(request=message)

    planned = sluice("provision", "--dry-run")
    assert (planned.code, planned.err) == (0, KEPT)
    assert planned.out.startswith("! subscription events-ingest: ordered: ")
    assert "refused without --force: " in planned.out
    assert sluice("provision") == (1, planned.out, KEPT)
    [plain] = sluice("provision", "--dry-run", "--json").json
    assert (plain["what"], plain["refused"]) == ("subscription events-ingest", True)
    forced = sluice("provision", "--dry-run", "--force").out
    assert forced.startswith("± subscription events-ingest: ordered: ")
    assert sluice("provision", "--force") == (0, forced, KEPT)
    assert sluice("provision").out == "no changes\n"


def test_erase_shows_the_plan_first_and_lists_erasures_without_users(
    sluice: Sluice, settings: Settings, tmp_path: Path
) -> None:
    events = [music_event(number, userId=f"user-{number % 3}") for number in range(30)]
    assert sluice("ingest", "--source", "-", stdin=lines(events)).code == 0
    assert sluice("aggregate", "--date", "2024-01-15").code == 0
    users = tmp_path / "users.txt"
    users.write_bytes(b"user-1\r\n\nuser-9\n")

    dry = sluice("erase", "--users-file", str(users))
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.startswith("2 users: 10 events in 1 rows, 0 of them with findings; 0 rejected events; 1 rows of agg")
    assert "1 days to compute again: 2024-01-15\nnothing was changed; --yes erases\nnot reached:\n" in dry.out
    assert len(list(cells(dump(settings, "events"), "e"))) == 30
    assert sluice("erasures").err == "no erasures\n"

    done = sluice("erase", "user-0", "--users-file", str(users), "--yes")
    assert (done.code, done.err) == (0, "")
    assert "computing 2024-01-15\n" in done.out
    assert "erased, and read that nothing is left: erasure " in done.out
    assert list(dump(settings, "events")) == [b"2e#20240115#user-2"]

    again = sluice("erase", "user-0", "user-1", "--yes", "--json").json
    assert (again["found"]["events"], again["days"], again["erasure"]["left"]["events"]) == (0, [], 0)
    listed = sluice("erasures")
    assert listed.out.count("nothing was left") == 2
    assert "3 users: 20 events" in listed.out
    assert "user-" not in listed.out + sluice("erasures", "--json").out


def test_erase_names_the_buckets_of_loaded_objects(sluice: Sluice, settings: Settings) -> None:
    async def begin_load() -> None:
        bigtable = Bigtable(settings)
        await LoadsTable(bigtable).begin(Load(ObjectVersion("drop", "a.csv", 7), 300, EPOCH, EPOCH, [0]))
        await bigtable.close()

    asyncio.run(begin_load())

    assert "  objects of the bucket drop that were loaded" in sluice("erase", "user-0").out
    unreached = sluice("erase", "user-0", "--yes", "--json").json["unreached"]
    assert [each["where"] for each in unreached if "bucket drop" in each["where"]]


def test_erase_without_a_user_is_refused(sluice: Sluice, tmp_path: Path) -> None:
    binary = tmp_path / "users"
    binary.write_bytes(b"ann\n\xff")

    assert sluice("erase").err == "sluice: users: found none, expected at least one user\n"
    assert "byte 4 isn't UTF-8" in sluice("erase", "--users-file", str(binary)).err


def test_doctor_checks_a_subscription_of_any_project(sluice: Sluice, settings: Settings) -> None:
    provision_pubsub(settings, RESOURCES.with_push({"ingest": "http://127.0.0.1:1/"}))
    full = f"projects/{settings.project_id}/subscriptions/events-ingest"

    good = sluice("doctor", "--subscription", "events-ingest", "--subscription", full)
    bad = sluice("doctor", "--subscription", "missing", "--json")

    assert (good.code, good.out.count("ok       events-ingest, ack deadline: 600 s\n")) == (0, 2)
    assert (bad.code, bad.json[0]["severity"]) == (1, "error")
    assert "expected only --project-id and --json" in sluice("doctor", "--subscription", "x", "--cloud").err
