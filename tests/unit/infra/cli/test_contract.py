"""The commands of contracts through the entry point: output, exit codes and errors."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from infra.cli.main import main
from shared.contracts.loader import load_contract
from tests.support.command_line import Sluice, command_line
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY_CONTRACT

CLICKS = ROOT / "tests" / "data" / "logs" / "clickstream" / "clickstream.csv"
MUSIC = str(MUSIC_CONTRACT)


@pytest.fixture
def sluice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sluice:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLUICE_CONTRACT", raising=False)

    return partial(command_line(monkeypatch, capsys), "contract")


def test_infer_writes_a_contract_that_check_accepts(
    sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = sluice("infer", str(CLICKS), "--output", "clicks.toml", "--name", "clicks")

    assert (done.code, done.out) == (0, "")
    assert done.err == "16 records read: id a digest of the record, user user_id, time ts\n"
    assert load_contract(tmp_path / "clicks.toml").name == "clicks"
    monkeypatch.setattr(sys, "argv", ["sluice", "check", "--source", str(CLICKS), "--contract", "clicks.toml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "16 events read: 16 stored, 0 rejected" in capsys.readouterr().out


def test_infer_overwrites_no_file(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("mine")

    done = sluice("infer", str(CLICKS), "--output", "mine.toml")

    assert (done.code, done.err) == (
        1,
        "sluice: mine.toml: found a file, expected a new name; infer overwrites nothing\n",
    )
    assert (tmp_path / "mine.toml").read_text() == "mine"


def test_infer_reads_standard_input(sluice: Sluice) -> None:
    records = b'{"id": "a", "user": "u", "ts": 1705314645}\n{"id": "b", "user": "u", "ts": 1705314646}\n'

    done = sluice("infer", "-", "--id", "id", "--user", "user", "--time", "ts", stdin=records)

    assert done.code == 0
    assert done.out.startswith('# Inferred from all 2 records of stdin.\nversion = 1\nname = "stdin"\n')


def test_infer_shows_the_fields_if_it_finds_no_user(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("ts,page\n1705314645,home\n")

    done = sluice("infer", "log.csv")

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "sluice: found no field that is the user of the events, expected a text or an integer that names a person or "
        "a machine; name it with --user. Fields: ts: '1705314645' (1 different values); "
        "page: 'home' (1 different values)\n"
    )


@pytest.mark.parametrize(("name", "reason"), [("gone.csv", "No such file or directory"), ("folder", "")])
def test_infer_needs_a_file(sluice: Sluice, tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()

    done = sluice("infer", name)

    assert done.code in (1, 2)
    assert name in done.err
    assert reason in done.err


def test_schema_describes_events_or_contract_files(sluice: Sluice) -> None:
    events, contracts = sluice("schema", "--contract", MUSIC), sluice("schema", "--editor")

    assert json.loads(events.out)["title"] == "music"
    assert json.loads(contracts.out)["title"] == "Contract of Sluice"
    assert "type" not in json.loads(events.out)["properties"]["duration"]
    strict = sluice("schema", "--contract", MUSIC, "--strict")
    assert json.loads(strict.out)["properties"]["duration"]["type"] == ["number", "null"]


@pytest.mark.parametrize("option", ["--strict", "--contract=mine.toml"])
def test_the_editor_schema_has_no_options(sluice: Sluice, option: str) -> None:
    done = sluice("schema", "--editor", option)

    assert done.code == 2
    assert "expected --editor alone" in done.err


def test_diff_fails_on_request_if_cell_keys_move(sluice: Sluice) -> None:
    shown = sluice("diff", MUSIC, str(SPARKIFY_CONTRACT))
    checked = sluice("diff", MUSIC, str(SPARKIFY_CONTRACT), "--check")

    assert (shown.code, checked.code) == (0, 1)
    assert shown.out == checked.out
    assert shown.out.startswith("event.id: moves cell keys, event_id → session_id, item_in_session\n")


def test_diff_prints_json(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(MUSIC_CONTRACT.read_text().replace("max = 86400", "max = 60"))

    done = sluice("diff", MUSIC, "new.toml", "--json", "--check")

    assert done.code == 0
    assert json.loads(done.out) == {
        "differences": [{"key": "fields.duration.max", "effect": "tightened", "before": 86400, "after": 60}],
        "stored": None,
    }


def test_equal_contracts_have_no_differences(sluice: Sluice) -> None:
    assert sluice("diff", MUSIC, MUSIC, "--check") == (0, "no differences\n", "")


def test_test_runs_the_cases_beside_the_contract(sluice: Sluice) -> None:
    assert sluice("test", "--contract", MUSIC) == (0, "10 cases passed, 0 failed\n", "")


def test_test_fails_with_what_was_found(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(
        '{"name": "good", "text": "1", "verdict": "rejected"}\n{"name": "bad", "text": "1", "verdict": "stored"}\n'
    )

    done = sluice("test", "--contract", MUSIC, "--cases", "c.jsonl")

    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "failed: bad\n"
        "    verdict: found rejected (not_an_object: found int, expected a JSON object), expected stored\n"
        "1 cases passed, 1 failed\n"
    )
    as_json = sluice("test", "--contract", MUSIC, "--cases", "c.jsonl", "--json")
    assert as_json.code == 1
    assert [bool(each["problems"]) for each in json.loads(as_json.out)] == [False, True]


def test_a_contract_without_cases_is_an_error(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MUSIC_CONTRACT.read_text())

    done = sluice("test", "--contract", "mine.toml")

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "sluice: mine.toml: found no cases beside it, expected mine.cases.toml or mine.cases.jsonl; or --cases\n"
    )
