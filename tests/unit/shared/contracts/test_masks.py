"""Masked values depend on the key, and contracts with impossible masks are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.masks import DROPPED, MaskKey
from shared.errors import ContractError, SettingsError
from tests.support.samples import MUSIC_CONTRACT
from tests.support.small_messages import json_values, small_contract

SECRET = "k" * 32
KEY = MaskKey(SECRET)


@given(value=json_values)
def test_masking_a_masked_value_changes_nothing(value: Any) -> None:
    masked = KEY.mask(value)

    assert KEY.mask(masked) == masked
    assert KEY.is_masked(masked)
    assert MaskKey("another secret that is long enough").is_masked(masked) is False


@pytest.mark.parametrize(
    "value", ["ann", 7, None, True, "", "~", DROPPED, "~" + "A" * 32, "~" + "ä" * 32, "~" + "=" * 32]
)
def test_other_values_are_not_masked(value: Any) -> None:
    assert not KEY.is_masked(value)


def test_a_masked_value_depends_on_the_value_and_the_key() -> None:
    assert KEY.mask("ann") == MaskKey(SECRET).mask("ann") == "~2v5epy0HeLTG_vVf5ErEXOCag3I37qV6"
    assert len({KEY.mask("ann"), KEY.mask("Ann"), MaskKey(SECRET + "k").mask("ann")}) == 3
    assert KEY.mask(7) == KEY.mask("7")
    assert KEY.mask(True) == KEY.mask("true")
    assert KEY.mask("\ud800") != KEY.mask("?")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="SLUICE_MASK_KEY: found 31 characters, expected 32 or more"):
        _masked("user", "hash", "k" * 31)


def test_a_contract_without_hash_ignores_the_key() -> None:
    assert load_contract(MUSIC_CONTRACT, "short").mask_key is None


MAIL = '[fields.mail]\ntype = "string"\n'


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (MAIL + 'mask = "blur"', "fields.mail.mask: found 'blur', expected 'hash' or 'drop'"),
        (
            '[fields.x]\ntype = "number"\nmask = "hash"',
            "fields.x.mask: found 'hash', expected drop, or a field of type",
        ),
        (
            MAIL + 'mask = "drop"\n[aggregates.m]\nby = "mail"\nn = "count"',
            "aggregates.m.by: found 'mail', expected a field that is",
        ),
        (
            MAIL + 'mask = "drop"\n[aggregates.m]\nn = "unique(mail)"',
            "aggregates.m.n: found 'unique(mail)', expected a field without",
        ),
        (
            '[fields.x]\ntype = "integer"\nmask = "hash"\n[aggregates.m]\nn = "sum(x)"',
            "aggregates.m.n: found 'sum(x)', expected a field without",
        ),
        (
            MAIL + 'mask = "hash"\n[aggregates.m]\nwhere = { mail = "a" }\nn = "count"',
            "aggregates.m.where: found 'mail', expected a field without",
        ),
    ],
)
def test_an_impossible_mask_is_refused(extra: str, problem: str) -> None:
    with pytest.raises(ContractError) as refused:
        small_contract(extra)

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("name", "mask", "problem"),
    [
        ("id", "drop", "fields.id.mask: found 'drop', expected hash or no mask, since it is the event's id"),
        ("user", "drop", "fields.user.mask: found 'drop', expected hash or no mask, since it is the event's user"),
        ("time", "drop", "fields.time.mask: found 'drop', expected no mask, since it is the event's time"),
    ],
)
def test_the_fields_of_the_cell_key_are_not_dropped(name: str, mask: str, problem: str) -> None:
    with pytest.raises(ContractError) as refused:
        _masked(name, mask)

    assert problem in str(refused.value)


def test_hashed_fields_are_valid_in_by_and_unique() -> None:
    contract = small_contract(MAIL + 'mask = "hash"\n[aggregates.m]\nby = "mail"\nn = "unique(mail)"')

    assert contract.hashed == ("mail",)


def test_the_layout_covers_the_mask_of_key_fields_and_the_key() -> None:
    plain, masked, other = _masked("id", None), _masked("user", "hash"), _masked("user", "hash", "another" * 5)

    assert "mask_key" not in plain.fingerprint()
    assert masked.fingerprint()["mask_key"] == KEY.fingerprint
    assert len({repr(each.fingerprint()) for each in (plain, masked, other)}) == 3
    assert SECRET not in repr(masked)
    assert small_contract(MAIL).fingerprint() == small_contract(MAIL + 'mask = "drop"').fingerprint()


def _masked(name: str, mask: str | None, secret: str = SECRET) -> Any:
    kinds = {"id": "string", "user": "string", "time": "timestamp"}
    fields: dict[str, dict[str, Any]] = {key: {"type": kind} for key, kind in kinds.items()}
    if mask:
        fields[name]["mask"] = mask
    document = {"version": 1, "name": "n", "event": {key: key for key in kinds}, "fields": fields}
    return parse_contract(document, "m.toml", secret)
