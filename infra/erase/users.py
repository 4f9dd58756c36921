"""The users to erase, and how they are recognised in rejected events and in the cells of aggregates. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from shared import json_nesting
from shared.contracts.model import Contract
from shared.contracts.patterns import compile_pattern
from shared.errors import SourceError
from shared.validation.masks import masks_of
from shared.validation.transform import Transform

# Users in one pattern; a larger one could exceed the memory that RE2 grants a pattern.
_USERS_PER_PATTERN = 200
# What may not adjoin a user in bytes that aren't JSON: otherwise "ann" would also be found in "joanna".
_NOT_A_WORD = r"[^\pL\pN_]"
_GZIP = b"\x1f\x8b"
# Bytes of a compressed message that are searched.
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024


class Users:
    """Users to erase.

    Attributes:
        stored: the users as row keys have them, not encoded.
    """

    def __init__(self, contract: Contract, users: Iterable[str]) -> None:
        """Prepare the recognition.

        Args:
            contract: of the events.
            users: as the contract's user field has them after the transform; if it masks them, before or after that.

        Raises:
            SourceError: there is no user, or an empty one.
            SettingsError: the contract needs a key for its masks and has none.
        """
        given = frozenset(users)
        if not given or "" in given:
            raise SourceError(f"users: found {'an empty user' if given else 'none'}, expected at least one user")
        masks = masks_of(contract)
        self.stored = given if masks is None else frozenset(masks.mask_of_user(user) for user in given)
        self._texts = given | self.stored
        self._user_field = contract.user
        self._transform = Transform(contract, masks)
        self._decode = msgspec.json.Decoder().decode
        # The state of `unique` marks numbers, and texts that sort before "\2": see `distinct_keys`.
        self._in_states = self._texts | {f"\0{kind}{user}" for user in self._texts for kind in "tn"}
        self._searches = [compile_pattern(pattern).search for pattern in _patterns(sorted(self._texts))]

    def __len__(self) -> int:
        return len(self.stored)

    def is_named_by(self, raw: bytes) -> bool:
        """Return whether a rejected event belongs to one of the users.

        An event with a readable user belongs to that user alone. All other bytes belong to every user that they contain
        as a token, that is without a letter, digit or underscore beside it.
        """
        user = self._user_of(raw)
        return user in self._texts if user is not None else self._contains_user(raw)

    def _user_of(self, raw: bytes) -> str | None:
        if json_nesting.too_deep(raw):
            return None
        try:
            record = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if type(record) is not dict:
            return None
        user = self._transform(record)[0].get(self._user_field)
        return str(user) if type(user) in (str, int, float) and user != "" else None

    def _contains_user(self, raw: bytes) -> bool:
        text = (_unpacked(raw) if raw.startswith(_GZIP) else raw).decode("utf-8", "replace")
        return any(search(text) for search in self._searches)

    def are_in(self, value: bytes) -> bool:
        """Return whether the JSON of a measure or of its state contains a user as a text."""
        return value[:1] in (b'"', b"[", b"{") and self._is_in(self._decode(value))

    def _is_in(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self._in_states
        if isinstance(value, dict):
            return any(map(self._is_in, value)) or any(map(self._is_in, value.values()))
        return isinstance(value, list) and any(map(self._is_in, value))


def _patterns(users: list[str]) -> list[str]:
    """Return patterns that find a user as a token, as plain text and as JSON escapes it."""
    import re2

    patterns = []
    for start in range(0, len(users), _USERS_PER_PATTERN):
        texts = {
            text
            for user in users[start : start + _USERS_PER_PATTERN]
            for text in (user, json.dumps(user)[1:-1], json.dumps(user, ensure_ascii=False)[1:-1])
        }
        valid = [text for text in sorted(texts) if not _has_surrogates(text)]
        escaped = "|".join(map(re2.escape, valid))
        patterns.append(f"(?:^|{_NOT_A_WORD})(?:{escaped})(?:{_NOT_A_WORD}|$)")
    return patterns


def _has_surrogates(text: str) -> bool:
    """Return whether a text has lone surrogates, which no bytes are decoded to; JSON's escape of them is searched."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _unpacked(raw: bytes) -> bytes:
    """Return the bytes of gzip members as far as they can be read, up to a limit."""
    parts, size, rest = [], 0, raw
    while rest and size < _MAX_UNPACKED_BYTES:
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(rest, _MAX_UNPACKED_BYTES - size))
        except zlib.error:
            break
        size += len(parts[-1])
        rest = member.unused_data
    return b"".join(parts) if parts else raw
