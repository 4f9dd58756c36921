"""A contract is inferred from a file: it is valid, accepts the file, and says what to check."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.contracts.inference.infer import Choices, Inferred, infer_file
from shared.contracts.loader import load_contract
from shared.errors import SourceError
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.support.samples import SPARKIFY, SPARKIFY_CONTRACT, sparkify_records

NOW = datetime(2024, 1, 16, tzinfo=UTC)
Infer = Callable[..., Inferred]


@pytest.fixture
def infer(tmp_path: Path) -> Infer:
    """Return a function that infers the contract of records, or of the text of a file."""

    def infer(source: str | Sequence[Mapping[str, Any]], name: str = "log.json", **choices: Any) -> Inferred:
        path = tmp_path / name
        text = source if isinstance(source, str) else "".join(json.dumps(record) + "\n" for record in source)
        path.write_text(text, "utf-8")
        return infer_file(path, "auto", most=choices.pop("most", 1_000), name=None, choices=Choices(**choices))

    return infer


def plays(count: int = 60, **changes: Any) -> list[dict[str, Any]]:
    """Return events of three users."""
    return [
        {
            "event_id": f"e{number}",
            "user_id": f"u{number % 3}",
            "time": f"2024-01-15T10:{number % 60:02d}:07Z",
            "action": ["play", "pause"][number % 2],
            "seconds": number / 2,
            **changes,
        }
        for number in range(count)
    ]


def test_a_log_with_plain_names_is_described(infer: Infer) -> None:
    assert infer(plays()).text == (
        "# Inferred from all 60 records of log.json.\n"
        "version = 1\n"
        'name = "log"\n'
        "\n"
        "[event]\n"
        'id = "event_id"  # unique in the sample\n'
        'user = "user_id"  # 3 different values\n'
        'time = "time"\n'
        "\n"
        "[fields.event_id]  # 60 different values, 2 to 3 characters\n"
        'type = "string"\n'
        "\n"
        "[fields.user_id]  # 3 different values, 2 to 2 characters\n"
        'type = "string"\n'
        "\n"
        "[fields.time]  # from 2024-01-15 10:00:07 to 2024-01-15 10:59:07 UTC\n"
        'type = "timestamp"\n'
        "\n"
        "[fields.action]\n"
        'type = "string"\n'
        'one_of = ["pause", "play"]\n'
        'severity = "warn"\n'
        "\n"
        "[fields.seconds]  # from 0.0 to 29.5\n"
        'type = "number"\n'
        "min = 0\n"
        'severity = "warn"\n'
        "\n"
        "[aggregates.all]\n"
        'events = "count"\n'
        'users = "unique(user_id)"\n'
        "\n"
        "[aggregates.user]\n"
        'by = "user_id"\n'
        'events = "count"\n'
        "\n"
        "[aggregates.action]\n"
        'by = "action"\n'
        'events = "count"\n'
        'users = "unique(user_id)"\n'
    )


def test_the_same_file_gives_the_same_text(infer: Infer) -> None:
    assert infer(plays()).text == infer(plays()).text


@pytest.mark.skipif(not SPARKIFY.exists(), reason="needs the real log")
def test_the_real_log_gets_the_cell_keys_of_the_shipped_contract(tmp_path: Path) -> None:
    records = sparkify_records()[:2_500]  # of ten days; the whole log gives the same contract, in twice the time
    raws = [json.dumps(record).encode() for record in records]
    log = tmp_path / "log.json"
    log.write_bytes(b"\n".join(raws))

    inferred = infer_file(log, "auto", most=10_000, name=None, choices=Choices())

    visitors = sum(not record["userId"] for record in records)
    assert (inferred.records, inferred.rejected) == (2_500, visitors)
    keys = [
        [verdict.cell_key if isinstance(verdict, Accepted) else None for verdict in validator.validate_all(raws, NOW)]
        for validator in (Validator(inferred.contract), Validator(load_contract(SPARKIFY_CONTRACT)))
    ]
    assert keys[0] == keys[1]


def test_an_id_of_several_fields_is_found(infer: Infer) -> None:
    records = [
        {"order_id": number // 4, "line": number % 4, "customer": f"c{number // 40}", "ts": 1705314645 + number // 4}
        for number in range(100)
    ]

    assert infer(records).contract.id == ("order_id", "line")


def test_fields_that_repeat_together_are_no_id(infer: Infer) -> None:
    records = [
        {"order_id": number // 4, "line": number % 3, "customer": "c", "ts": 1705314645 + number}
        for number in range(40)
    ]

    inferred = infer(records)
    assert inferred.contract.id == ()
    assert 'id = "digest(record)"  # check: no id was found, so equal records are one event' in inferred.text


def test_an_id_is_unique_among_distinct_records_only(infer: Infer) -> None:
    records = plays()

    assert infer(records + records[:30]).contract.id == ("event_id",)


def test_an_id_of_a_session_is_not_that_of_an_event(infer: Infer) -> None:
    records = [{key: value for key, value in each.items() if key != "event_id"} for each in plays()]
    records = [{**each, "session_id": number} for number, each in enumerate(records[:10])]

    assert infer(records).contract.id != ("session_id",)


def test_times_of_copies_are_not_the_time_of_the_event(infer: Infer) -> None:
    records = [{"synced_at": "2024-02-01T00:00:00Z", **each} for each in plays()]

    inferred = infer(records)
    assert inferred.contract.time == "time"
    assert 'time = "time"  # check: or synced_at' in inferred.text


def test_nested_keys_and_keys_with_dots_have_paths(infer: Infer) -> None:
    records = [{**each, "device": {"os.name": "x", "size": {"w": 1}}} for each in plays()]

    fields = {each.name: each.path for each in infer(records).contract.fields}
    assert fields["os_name"] == ("device", "os.name")
    assert fields["w"] == ("device", "size", "w")


def test_null_users_are_rejected_and_counted(infer: Infer) -> None:
    records = [{**each, "user_id": "" if number % 10 == 0 else each["user_id"]} for number, each in enumerate(plays())]

    inferred = infer(records)
    assert inferred.rejected == 6
    assert "[fields.user_id]  # 10.0% null: these events are rejected; 3 different values" in inferred.text


def test_values_of_several_types_are_kept_as_they_are(infer: Infer) -> None:
    records = [{**each, "mixed": [1, "a"][number % 2]} for number, each in enumerate(plays())]

    inferred = infer(records)
    assert "mixed" not in {each.name for each in inferred.contract.fields}
    assert "# mixed: values of several types (integer, string)" in inferred.text
    assert inferred.rejected == 0


def test_a_field_that_the_rules_cannot_hold_is_left_out(infer: Infer) -> None:
    records = plays(large=-(2**64))

    inferred = infer(records)
    assert inferred.rejected == 0
    assert "large" not in {each.name for each in inferred.contract.fields}


@pytest.mark.parametrize(("missing", "role"), [("user_id", "user"), ("time", "time")])
def test_a_log_without_a_user_or_a_time_is_an_error(infer: Infer, missing: str, role: str) -> None:
    records = [{key: value for key, value in each.items() if key != missing} for each in plays()]

    with pytest.raises(SourceError, match=f"found no field that is the {role} of the events") as caught:
        infer(records)
    assert f"name it with --{role}. Fields: event_id: 'e0' (60 different values); " in str(caught.value)


def test_a_person_decides_on_id_user_and_time(infer: Infer) -> None:
    records = [{**each, "seen": "2024-02-01T00:00:00Z"} for each in plays()]

    contract = infer(records, ids=("event_id", "action"), user="action", time="seen").contract
    assert (contract.id, contract.user, contract.time) == (("event_id", "action"), "action", "seen")


def test_a_choice_that_is_no_field_is_an_error(infer: Infer) -> None:
    with pytest.raises(SourceError, match="--user: found 'nobody', expected one of the fields event_id, user_id"):
        infer(plays(), user="nobody")
    with pytest.raises(SourceError, match=r"--time seconds: found '0.0' .*, expected times in a notation of contracts"):
        infer(plays(), time="seconds")


@pytest.mark.parametrize("text", ["", "not json\n", "[]\n"])
def test_a_file_without_records_is_an_error(infer: Infer, text: str) -> None:
    with pytest.raises(SourceError, match=r"log\.json: .*expected records to infer a contract from"):
        infer(text)


CSV = (
    "event_id,user_id,time,amount,zip,day,paid,properties\n"
    '1,u1,2024-01-15 10:30:45,1.5,01234,20240115,true,"{""a"": 1}"\n'
    '2,u2,2024-01-15 10:31:45,2,99999,20240116,false,"{}"\n'
    "3,u1,2024-01-15 10:32:45,,00001,20240117,true,\n"
)


def test_cells_get_the_types_that_all_of_their_column_have(infer: Infer) -> None:
    inferred = infer(CSV, "log.csv")

    assert {each.name: (each.type, each.format) for each in inferred.contract.fields} == {
        "event_id": ("integer", None),
        "user_id": ("string", None),
        "time": ("timestamp", None),
        "amount": ("number", None),
        "zip": ("string", None),
        "day": ("timestamp", "%Y%m%d"),
        "paid": ("boolean", None),
        "properties": ("object", None),
    }
    assert inferred.rejected == 0


BANK = (
    '"Girokonto";"DE99999999999999999999"\n'
    '""\n'
    '"Kontostand vom 30.06.2023:";"5.000,01 EUR"\n'
    '""\n'
    '"Datum";"Status";"Kunde";"Customer ID";"Betrag (€)"\n'
    '"13.06.23";"Gebucht";"COMPANY INC";"K1";"1.000,25"\n'
    '"15.06.23";"Gebucht";"ISSUER";"K2";"-8,67"\n'
    '"01.07.23";"Gebucht";"MAX";"K1";"-1.450,00"\n'
)


def test_what_a_reader_cannot_know_of_the_file_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_bytes(BANK.encode("cp1252"))

    inferred = infer_file(path, "auto", most=100, name=None, choices=Choices())

    source = inferred.contract.source
    assert (source.encoding, source.skip_lines, source.decimal, source.thousands) == ("windows-1252", 4, ",", ".")
    fields = {each.name: (each.path, each.type, each.format) for each in inferred.contract.fields}
    assert fields["Betrag"] == (("Betrag (€)",), "number", None)
    assert fields["Datum"] == (("Datum",), "timestamp", "%d.%m.%y")
    assert (inferred.records, inferred.rejected) == (3, 0)


def test_columns_without_names_can_be_chosen(infer: Infer) -> None:
    rows = "".join(f"u{number % 5},{1705314645 + number},{number * 1.5}\n" for number in range(40))

    contract = infer(rows, "log.csv", user="column_1", time="column_2").contract
    assert contract.source.columns == ("column_1", "column_2", "column_3")
    assert (contract.user, contract.time, contract.field("column_2").unit) == ("column_1", "column_2", "s")


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))

    inferred = infer_file(path, "auto", most=100, name=None, choices=Choices())

    assert (inferred.contract.name, inferred.records) == ("log", 3)


def test_the_name_of_the_contract_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(CSV)

    assert infer_file(path, "auto", most=100, name="orders", choices=Choices()).contract.name == "orders"


@pytest.mark.parametrize("name", ["log.json", "log.csv"])
def test_a_large_file_is_sampled_all_over(infer: Infer, name: str) -> None:
    rows = [(f"e{number}", f"u{number % 9}", 1705314645 + number, "x" * 80) for number in range(40_000)]
    keys = ("event_id", "user_id", "ts", "padding")
    text = (
        "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)
        if name.endswith("json")
        else ",".join(keys) + "\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows)
    )

    inferred = infer(text, name, most=400)

    assert inferred.records == 400
    assert "# Inferred from a sample of 400 records of" in inferred.text
    assert inferred.contract.id == ("event_id",)
    latest = datetime.fromtimestamp(1705314645 + 36_000, UTC)
    assert f" to {latest:%Y-%m-%d %H}" in inferred.text
