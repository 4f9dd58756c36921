"""The console validates the sample and the real events as the commands and the function do, and stores nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from starlette.testclient import TestClient

from infra.batch.check import check_files
from infra.console.app import create_app
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.sources.columns import columns
from shared.sources.files import SourceReader
from tests.support.console_server import sample_settings, serving
from tests.support.html_page import Page, check_page
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY, SPARKIFY_CONTRACT, cells, dump

needs_sparkify = pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"found no real logs at {SPARKIFY}")
ORIGIN = {"origin": "http://localhost"}


@pytest.fixture(scope="module")
def samples(emulators: Settings) -> Settings:
    return sample_settings(emulators)


def validate(settings: Settings, name: str, data: bytes) -> Page:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        response = client.post("/contract", headers=ORIGIN, files={"file": (name, data)})
    assert response.status_code == 200, response.text
    return check_page(response.text)


def counts(page: Page) -> dict[str, int]:
    """Return the numbers of the summary by outcome."""
    [text] = [each.text for each in page.all("p") if each.attributes.get("role") == "status"]
    found = re.findall(r"([\d,]+) ([a-z ]+)", text.partition(": ")[2])
    return {outcome: int(number.replace(",", "")) for number, outcome in found}


@pytest.mark.parametrize(
    ("contract", "files"),
    [
        (MUSIC_CONTRACT, [ROOT / "data" / "sample_events.csv"]),
        (MUSIC_CONTRACT, [ROOT / "data" / "sample_events.json"]),
        pytest.param(SPARKIFY_CONTRACT, sorted(SPARKIFY.glob("*.json")), marks=needs_sparkify),
    ],
    ids=["csv", "json", "sparkify"],
)
def test_the_verdicts_are_those_of_check(tmp_path: Path, contract: Path, files: list[Path]) -> None:
    file = tmp_path / f"events{files[0].suffix}"
    file.write_bytes(b"".join(each.read_bytes() for each in files))
    loaded = load_contract(contract)
    report = check_files(SourceReader([file], columns=columns(loaded)), loaded)

    page = validate(Settings("p", "i", contract=contract), file.name, file.read_bytes())

    found = counts(page)
    assert sum(found.values()) == report.published
    assert report.published > 400
    assert found.get("rejected", 0) == report.rejected_events
    rules = {row[0] for row in page.rows() if len(row) == 4 and row[2] == "reject"}
    assert rules == set(report.rejected)


def test_an_accepted_event_has_the_cell_that_ingestion_gives_it(samples: Settings) -> None:
    page = validate(samples, "sample_events.json", (ROOT / "data" / "sample_events.json").read_bytes())

    stored = {
        (row_key.decode(), qualifier.decode()) for row_key, qualifier, _, _ in cells(dump(samples, "events"), "e")
    }
    texts = page.texts("code")
    shown = [texts[at : at + 2] for at, text in enumerate(texts) if re.match(r"[0-9a-f]{2}#\d{8}#", text)]
    assert len(shown) >= 20
    assert {tuple(cell) for cell in shown} <= stored


def test_an_edited_contract_changes_verdicts_and_no_table(samples: Settings) -> None:
    before = {table: dump(samples, table) for table in ("events", "rejected", "aggregates", "state")}
    text = MUSIC_CONTRACT.read_text("utf-8")
    edited = text.replace("max_length = 128", "max_length = 100000").replace("\none_of =", "\n# one_of =")
    with TestClient(create_app(samples), base_url="http://localhost") as client:
        unchanged = client.post("/rejected/try", headers=ORIGIN, data={"contract": text})
        changed = client.post("/rejected/try", headers=ORIGIN, data={"contract": edited})

    assert counts(check_page(unchanged.text)) == {"rejected": 16}
    assert counts(check_page(changed.text)) == {"accepted": 2, "rejected": 14}
    assert {table: dump(samples, table) for table in before} == before


def test_pages_are_served_while_a_large_file_is_validated(samples: Settings) -> None:
    count = 20_000  # a twentieth of what an idle machine validates within the time limit
    line = b'{"event_id":"a","userId":"u","timestamp":"2024-01-15T00:00:00Z","event_type":"click","extra":1}\n'
    with serving(samples) as address, httpx2.Client(base_url=address) as client:
        done: list[Page] = []

        def upload() -> None:
            files = {"file": ("large.json", line * count)}
            response = httpx2.post(f"{address}/contract", headers={"origin": address}, files=files, timeout=60)
            done.append(check_page(response.text))

        thread = Thread(target=upload)
        thread.start()
        durations: list[float] = []
        while thread.is_alive():
            started = time.perf_counter()
            assert client.get("/contract").status_code == 200
            durations.append(time.perf_counter() - started)
        thread.join()

    assert counts(done[0]) == {"accepted": count}
    assert len(durations) >= 3
    assert max(durations) < sum(durations) / 2
