"""Masked values are stored nowhere: not in events, findings, or the bytes of rejected events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contracts.loader import parse_contract
from shared.contracts.masks import DROPPED, MaskKey
from shared.errors import SettingsError
from shared.ingest.pipeline import validate_message
from shared.row_keys import user_of_row
from shared.validation.results import Accepted, Rejected
from shared.validation.validator import Validator
from tests.support.samples import message
from tests.support.small_messages import PUBLISHED, small_contract, small_event

SECRET = "s" * 32
KEY = MaskKey(SECRET)
DOCUMENT: dict[str, Any] = {
    "version": 1,
    "name": "masked",
    "event": {"id": ["id", "mail"], "user": "user", "time": "time"},
    "fields": {
        "id": {"type": "integer", "mask": "hash"},
        "user": {"type": "string", "case": "upper", "pattern": "[A-Z]+", "mask": "hash"},
        "time": {"type": "timestamp"},
        "mail": {"from": "contact.mail", "type": "string", "max_length": 20, "mask": "hash"},
        "phone": {"from": "contact.phone", "type": "integer", "severity": "warn", "mask": "hash"},
        "place": {"type": "object", "required": True, "mask": "drop"},
        "born": {"type": "timestamp", "max_age": "40000d", "mask": "drop"},
        "kind": {"type": "string", "one_of": ["click", "like"]},
    },
}
EVENT: dict[str, Any] = {
    "id": 7,
    "user": "ann",
    "time": "2024-01-15T10:00:00Z",
    "contact": {"mail": "ann@x.org", "phone": 5551234, "other": 1},
    "place": {"city": "Annstadt"},
    "born": "1990-05-05T00:00:00Z",
    "kind": "click",
}
PRIVATE = [b"ann", b"ANN", b"Annstadt", b"5551234", b"1990"]


@pytest.fixture
def validator() -> Validator:
    return Validator(parse_contract(DOCUMENT, "masked.toml", SECRET))


def both_ways(validator: Validator, raw: bytes) -> Accepted | Rejected:
    """Return the verdict, which is the same alone and in a batch."""
    alone = validator.validate(raw, PUBLISHED)
    assert validator.validate_all([raw, raw], PUBLISHED) == [alone, alone]
    return alone


def test_an_accepted_event_has_masked_values_in_its_value_and_its_cell_key(validator: Validator) -> None:
    verdict = both_ways(validator, msgspec.json.encode(EVENT))

    assert isinstance(verdict, Accepted)
    assert msgspec.json.decode(verdict.value) == {
        "id": KEY.mask(7),
        "user": KEY.mask("ANN"),
        "time": "2024-01-15T10:00:00Z",
        "mail": KEY.mask("ann@x.org"),
        "phone": KEY.mask(5551234),
        "kind": "click",
        "contact": {"other": 1},
    }
    assert user_of_row(verdict.cell_key.row_key) == KEY.mask("ANN")
    assert verdict.cell_key.qualifier[12:].decode() == f"{KEY.mask(7)}:{KEY.mask('ann@x.org')}"
    assert not any(private in repr(verdict).encode() for private in PRIVATE)


def test_a_warning_about_a_masked_value_does_not_quote_it(validator: Validator) -> None:
    event = {**EVENT, "contact": {"mail": "ann@x.org", "phone": {"of": "ann"}}}

    verdict = both_ways(validator, msgspec.json.encode(event))

    assert isinstance(verdict, Accepted)
    assert [(each.field, each.found) for each in verdict.warnings] == [("phone", "a masked value")]
    assert not any(private in repr(verdict).encode() for private in PRIVATE)


def test_a_rejected_event_keeps_valid_values_masked_and_invalid_ones_not_at_all(validator: Validator) -> None:
    event = {**EVENT, "kind": "dance", "contact": {"mail": "ann" * 9, "phone": 5551234}, "mail": "ann@y.org"}

    verdict = both_ways(validator, msgspec.json.encode(event))

    assert isinstance(verdict, Rejected)
    assert [(each.field, each.found) for each in verdict.findings] == [("mail", "a masked value"), ("kind", '"dance"')]
    assert msgspec.json.decode(verdict.raw) == {
        "id": KEY.mask(7),
        "user": KEY.mask("ANN"),
        "time": "2024-01-15T10:00:00Z",
        "contact": {"mail": None, "phone": KEY.mask(5551234)},
        "place": DROPPED,
        "born": DROPPED,
        "kind": "dance",
        "mail": None,
    }
    assert not any(private in repr(verdict).encode() for private in PRIVATE)


def test_a_replayed_event_is_stored_as_if_it_had_been_accepted_at_once(validator: Validator) -> None:
    """Values are masked once, although the digests break the rules of their fields."""
    raw = msgspec.json.encode({**EVENT, "kind": "dance"})
    rejected = validator.validate(raw, PUBLISHED)
    fields = {**DOCUMENT["fields"], "kind": {"type": "string"}}
    corrected = Validator(parse_contract({**DOCUMENT, "fields": fields}, "corrected.toml", SECRET))
    assert isinstance(rejected, Rejected)

    assert both_ways(corrected, rejected.raw) == both_ways(corrected, raw)
    assert isinstance(corrected.validate(rejected.raw, PUBLISHED), Accepted)
    assert both_ways(validator, rejected.raw) == rejected


@pytest.mark.parametrize(
    "raw",
    [
        b'{"user": "ann", ',
        b'["ann"]',
        b"\xffann",
        b"[" * 200 + b'"ann"' + b"]" * 200,
        b'{"user": "ann", "x": [' + b"1," * 60_000 + b"1]}",
        b'{"user": "ann", "x": "' + b"x" * 2**20 + b'"}',
    ],
)
def test_bytes_without_readable_fields_are_not_kept(validator: Validator, raw: bytes) -> None:
    verdict = both_ways(validator, raw)

    assert isinstance(verdict, Rejected)
    kept = msgspec.json.decode(verdict.raw)["unreadable"]
    assert (len(kept["sha256"]), kept["bytes"]) == (64, len(raw))
    assert b"ann" not in repr(verdict).encode()
    assert isinstance(validator.validate(verdict.raw, PUBLISHED), Rejected)


def test_a_message_that_cannot_be_unpacked_is_not_kept(validator: Validator) -> None:
    (verdict,) = validate_message(validator, message(b"\n".join([b'{"user":"ann"}'] * 10_001)))

    assert isinstance(verdict, Rejected)
    assert b"ann" not in verdict.raw


def test_a_record_that_json_cannot_represent_again_is_not_kept(validator: Validator) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    verdict = validator.validate_record({**EVENT, "kind": "dance", "deep": deep}, PUBLISHED, b"ann")

    assert isinstance(verdict, Rejected)
    assert b"unreadable" in verdict.raw


def test_the_bytes_of_a_contract_without_masks_are_kept() -> None:
    raw = b'{"user":  "ann"}'

    assert Validator(small_contract()).validate(raw, PUBLISHED)[0] == raw


def test_a_producer_cannot_make_a_masked_value(validator: Validator) -> None:
    forged = MaskKey("another secret that is long enough").mask("ANN")
    fields = {name: table for name, table in DOCUMENT["fields"].items() if name in ("id", "time", "mail")}
    fields["user"] = {"type": "string", "mask": "hash"}
    open_contract = parse_contract({**DOCUMENT, "fields": fields}, "open.toml", SECRET)

    verdict = both_ways(Validator(open_contract), msgspec.json.encode({**EVENT, "user": forged}))

    assert isinstance(verdict, Accepted)
    assert user_of_row(verdict.cell_key.row_key) == KEY.mask(forged) != forged


def masked_user(**settings: Any) -> Validator:
    """Return a validator of small events with a masked user."""
    user = {"type": "string", "mask": "hash", **settings}
    fields = {"id": {"type": "string"}, "user": user, "time": {"type": "timestamp"}}
    event = {"id": "id", "user": "user", "time": "time"}
    return Validator(parse_contract({"version": 1, "name": "n", "event": event, "fields": fields}, "n.toml", SECRET))


def test_a_long_user_fits_once_it_is_masked() -> None:
    assert isinstance(both_ways(masked_user(), msgspec.json.encode(small_event(user="ü" * 5_000))), Accepted)


def test_the_transform_leaves_a_masked_value_unchanged() -> None:
    verdict = both_ways(masked_user(case="upper"), msgspec.json.encode(small_event(user=KEY.mask("ANN"))))

    assert isinstance(verdict, Accepted)
    assert user_of_row(verdict.cell_key.row_key) == KEY.mask("ANN")


def test_a_contract_with_hash_needs_the_key_to_validate() -> None:
    contract = parse_contract(DOCUMENT, "masked.toml")

    with pytest.raises(SettingsError, match=r"SLUICE_MASK_KEY: found nothing, expected .* since masked\.toml has mask"):
        Validator(contract)


def test_a_contract_that_only_drops_needs_no_key() -> None:
    contract = small_contract('[fields.mail]\ntype = "string"\nmask = "drop"')

    verdict = both_ways(Validator(contract), msgspec.json.encode(small_event(mail="ann@x.org")))

    assert isinstance(verdict, Accepted)
    assert msgspec.json.decode(verdict.value) == small_event()
