"""Apply the masks of a contract to canonical events, and to the bytes of rejected events. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from shared.contracts.masks import DROPPED, MaskKey
from shared.contracts.model import Contract, Field
from shared.validation.results import Finding

# What a finding quotes instead of a value.
QUOTED = "a masked value"

_encode = msgspec.json.Encoder().encode
ValueMask = Callable[[Any], Any]


class Masks:
    """The masks of one contract.

    Attributes:
        names: of the masked fields.
    """

    def __init__(self, contract: Contract, fields: Sequence[Field]) -> None:
        """Prepare the masks of these fields.

        Raises:
            SettingsError: a field has `mask = "hash"`, and there is no key.
        """
        self.names = frozenset(field.name for field in fields)
        self._fields = {field.name: field for field in fields}
        self._key = contract.mask_key
        contract.require_mask_key()
        self._user = contract.user
        self._key_fields = self.names & {*contract.id, contract.user}
        self._read_keys = {field.path[0] for field in contract.fields}

    def mask_of(self, name: str) -> ValueMask:
        """Return the function that masks the values of a masked field; a dropped one becomes None."""
        return partial(_hashed, self._key) if self._fields[name].mask == "hash" and self._key else _dropped

    def is_masked(self, name: str, value: Any) -> bool:
        """Return whether a value of a masked field was masked before, when its event was rejected."""
        if self._fields[name].mask == "drop":
            return type(value) is str and value == DROPPED
        return self._key is not None and self._key.is_masked(value)

    def unless_masked(self, name: str, function: Callable[..., Any], otherwise: Callable[[Any], Any]) -> Any:
        """Return the function that applies one function to values, and another to those that were masked before."""
        return lambda value, *rest: otherwise(value) if self.is_masked(name, value) else function(value, *rest)

    def apply(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a canonical event with its values masked."""
        masked = dict(event)
        for name in self.names & event.keys():
            value = self.mask_of(name)(event[name])
            if value is None:
                del masked[name]
            else:
                masked[name] = value
        return masked

    def mask_of_user(self, user: str) -> str:
        """Return a user as row keys have it."""
        return str(self.mask_of(self._user)(user)) if self._user in self.names else user

    def apply_to_keys(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a canonical event, valid or not, with the values masked that cell keys are made of."""
        return event | {name: self.mask_of(name)(event[name]) for name in self._key_fields & event.keys()}

    def rejected(self, record: dict[str, Any], event: dict[str, Any], findings: Iterable[Finding], raw: bytes) -> bytes:
        """Return the bytes to store of a rejected event: its record with masked values.

        A valid value becomes its masked value, with which the event can be replayed. An invalid one becomes null: once
        it is masked, it can't be validated again.

        Args:
            record: the event as received.
            event: the canonical event.
            findings: of the event.
            raw: the bytes of the record.
        """
        invalid = {finding.field for finding in findings if finding.severity == "reject"}
        masked = dict(record)
        for name, field in self._fields.items():
            if name not in self._read_keys and masked.get(name) is not None:
                masked[name] = None  # a field of that name isn't stored either
            *parents, last = field.path
            tree: Any = masked
            for key in parents:
                if type(tree.get(key)) is not dict:
                    tree = {}
                    break
                tree[key] = tree = dict(tree[key])
            if tree.get(last) is None:
                continue
            if name in invalid:
                tree[last] = None
            else:
                tree[last] = DROPPED if field.mask == "drop" else self.mask_of(name)(event.get(name, tree[last]))
        try:
            return _encode(masked)
        except (OverflowError, RecursionError, UnicodeEncodeError):
            return unreadable(raw)


def masks_of(contract: Contract) -> Masks | None:
    """Return the masks of a contract, None if it masks no field; raises SettingsError without the key it needs."""
    fields = [field for field in contract.fields if field.mask]
    return Masks(contract, fields) if fields else None


def unreadable(raw: bytes) -> bytes:
    """Return what is stored instead of bytes whose values can't be masked, since their fields aren't known."""
    return _encode({"unreadable": {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}})


def _hashed(key: MaskKey, value: Any) -> str | None:
    return None if value is None else key.mask(value)


def _dropped(_value: Any) -> None:
    return None
