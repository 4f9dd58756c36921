"""Cases of a contract are read from TOML or JSON lines, run, and described where they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.contracts.cases import cases_beside, load_cases, run_cases
from shared.contracts.loader import load_contract
from shared.errors import SourceError
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY_CONTRACT

MUSIC = load_contract(MUSIC_CONTRACT)
PLAY = (
    'event = { event_id = "e1", userId = "u1", timestamp = 2024-01-15T10:30:00Z, event_type = "Click", duration = 9 }\n'
)


def problems(text: str, path: Path) -> list[tuple[str, ...]]:
    path.write_text(text, "utf-8")
    return [outcome.problems for outcome in run_cases(MUSIC, load_cases(path))]


@pytest.mark.parametrize("contract", [MUSIC_CONTRACT, SPARKIFY_CONTRACT], ids=lambda path: path.stem)
def test_the_cases_of_the_shipped_contracts_pass(contract: Path) -> None:
    outcomes = run_cases(load_contract(contract), load_cases(cases_beside(contract)))

    assert len(outcomes) >= 5
    assert [outcome for outcome in outcomes if outcome.problems] == []


def test_a_case_passes_if_all_that_it_expects_is_found(tmp_path: Path) -> None:
    text = f"""
        [[cases]]
        name = "stored"
        {PLAY}
        verdict = "stored"
        rules = []
        fields = []
        stored.event_id = "e1"
        stored.user_id = "u1"
        stored.timestamp = 2024-01-15T10:30:00Z
        stored.event_type = "click"
        stored.duration = 9
        row = "36#20240115#u1"
        qualifier = "48599999999#e1"
    """

    assert problems(text, tmp_path / "c.toml") == [()]


def test_json_lines_are_cases_too(tmp_path: Path) -> None:
    text = '{"name": "a", "text": "{", "verdict": "rejected", "rules": ["not_json"]}\n\n'

    assert problems(text, tmp_path / "c.jsonl") == [()]


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ('verdict = "rejected"', "verdict: found stored, expected rejected"),
        ('verdict = "stored"\nrules = ["range"]', "rules: found none, expected range"),
        ('verdict = "stored"\nfields = ["duration"]', "fields: found none, expected duration"),
        ('verdict = "stored"\nrow = "00#"', "row: found 36#20240115#u1, expected 00#"),
        ('verdict = "stored"\nqualifier = "x"', "qualifier: found 48599999999#e1, expected x"),
    ],
)
def test_a_failing_case_says_what_was_found(tmp_path: Path, expected: str, problem: str) -> None:
    assert problems(f'[[cases]]\nname = "a"\n{PLAY}{expected}', tmp_path / "c.toml") == [(problem,)]


def test_a_different_stored_event_is_described_key_by_key(tmp_path: Path) -> None:
    text = (
        f'[[cases]]\nname = "a"\n{PLAY}verdict = "stored"\nstored = {{ event_id = "e1", user_id = "u2", page = "x" }}'
    )

    assert problems(text, tmp_path / "c.toml") == [
        (
            'stored.user_id: found "u1", expected "u2"',
            'stored.timestamp: found "2024-01-15T10:30:00Z", expected nothing',
            'stored.event_type: found "click", expected nothing',
            "stored.duration: found 9, expected nothing",
            'stored.page: found nothing, expected "x"',
        )
    ]


def test_a_case_that_should_be_stored_shows_the_findings(tmp_path: Path) -> None:
    text = f'[[cases]]\nname = "a"\n{PLAY.replace("Click", "buy")}verdict = "stored"'

    assert problems(text, tmp_path / "c.toml") == [
        (
            'verdict: found rejected (one_of event_type: found "buy", expected one of click, song_play, page_view, '
            "search, like), expected stored",
        )
    ]


def test_the_time_of_publication_decides_over_future_times(tmp_path: Path) -> None:
    case = f'[[cases]]\nname = "a"\n{PLAY}published = 2024-01-15T10:20:00Z\n'

    assert problems(case + 'verdict = "rejected"\nrules = ["future"]', tmp_path / "c.toml") == [()]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", "", "c.toml: found no cases, expected only tables [[cases]]"),
        ("c.toml", "cases = []", "c.toml: found no cases, expected at least one"),
        ("c.toml", "case = 1", "c.toml: found case, expected only tables [[cases]]"),
        ("c.toml", "[", "c.toml: not TOML: "),
        ("c.toml", "cases = [1]", "c.toml: case 1: found 1, expected a table [case 1]"),
        ("c.toml", "[[cases]]\ntext = '1'", "c.toml: case 1.name: found nothing, expected text"),
        (
            "c.toml",
            '[[cases]]\nname = "a"\nverdict = "good"',
            "c.toml: case 1 (a).verdict: found 'good', expected 'stored' or 'rejected'",
        ),
        (
            "c.toml",
            '[[cases]]\nname = "a"\nverdict = "stored"',
            "c.toml: case 1 (a).event: found nothing, expected either event or text",
        ),
        (
            "c.toml",
            '[[cases]]\nname = "a"\nverdict = "stored"\ntext = "1"\nrules = ["ranges"]',
            "c.toml: case 1 (a).rules: found 'ranges', expected rules among not_json, ",
        ),
        (
            "c.toml",
            '[[cases]]\nname = "a"\nverdict = "rejected"\ntext = "1"\nrow = "x"',
            "c.toml: case 1 (a).row: found 'x', expected no row, since the verdict is \"rejected\"",
        ),
        (
            "c.toml",
            '[[cases]]\nname = "a"\nevents = {}',
            "c.toml: case 1 (a).events: found {}, expected only the keys name",
        ),
        ("c.jsonl", '{"name": "a"}\n{', "c.jsonl: line 1 (a).verdict: found nothing, expected 'stored' or 'rejected'"),
        ("c.jsonl", "{", "c.jsonl, line 1: not JSON: "),
    ],
)
def test_an_invalid_case_file_names_file_case_and_key(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(SourceError) as caught:
        load_cases(path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")

    with pytest.raises(SourceError, match=r"latin\.toml: byte 2 isn't UTF-8; expected a file of cases"):
        load_cases(tmp_path / "latin.toml")
    with pytest.raises(SourceError, match=r"gone\.toml: can't be read: No such file or directory"):
        load_cases(tmp_path / "gone.toml")


def test_the_cases_are_beside_the_contract(tmp_path: Path) -> None:
    contract = tmp_path / "mine.toml"

    with pytest.raises(
        SourceError, match=r"found no cases beside it, expected .*mine\.cases\.toml or .*mine\.cases\.jsonl"
    ):
        cases_beside(contract)
    (tmp_path / "mine.cases.jsonl").touch()
    assert cases_beside(contract) == tmp_path / "mine.cases.jsonl"
