"""The key of `mask = "hash"`, and the masked values that it makes. Pure.

A masked value is a digest of the value and a tag of that digest, both with the key. The tag proves that a value is
masked already, since it can't be made without the key. Masking such a value again returns it unchanged.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any, Literal

from shared.errors import SettingsError

Mask = Literal["hash", "drop"]

VARIABLE = "SLUICE_MASK_KEY"
# 128 random bits as hexadecimal digits. Values such as e-mail addresses can be guessed, so the key must not be.
MIN_KEY_CHARS = 32
# What stands for a valid value of a field with `mask = "drop"` in a rejected event.
DROPPED = "~dropped"
# Masked values and `DROPPED` begin with it.
PREFIX = "~"

_DIGEST_BYTES, _TAG_BYTES = 16, 8
_MASKED_CHARS = len(PREFIX) + (_DIGEST_BYTES + _TAG_BYTES) * 4 // 3


class MaskKey:
    """The key of one pipeline.

    Attributes:
        fingerprint: tells keys apart and says nothing else of the key.
    """

    def __init__(self, secret: str) -> None:
        """Use a secret text.

        Raises:
            SettingsError: the secret is too short.
        """
        if len(secret) < MIN_KEY_CHARS:
            raise SettingsError(f"{VARIABLE}: found {len(secret)} characters, expected {MIN_KEY_CHARS} or more")
        self._key = secret.encode("utf-8", "surrogatepass")
        self.fingerprint = self._hmac(b"fingerprint\0").hex()[:16]

    def mask(self, value: Any) -> str:
        """Return the masked value of a JSON value; an integer has that of its text."""
        if self.is_masked(value):
            return str(value)
        digest = self._hmac(b"value\0" + _text(value).encode("utf-8", "surrogatepass"))[:_DIGEST_BYTES]
        return PREFIX + base64.urlsafe_b64encode(digest + self._tag(digest)).decode()

    def is_masked(self, value: Any) -> bool:
        """Return whether a value is one that `mask` returned."""
        if type(value) is not str or len(value) != _MASKED_CHARS or value[0] != PREFIX:
            return False
        try:
            parts = base64.b64decode(value[1:], b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(parts[_DIGEST_BYTES:], self._tag(parts[:_DIGEST_BYTES]))

    def _tag(self, digest: bytes) -> bytes:
        return self._hmac(b"tag\0" + digest)[:_TAG_BYTES]

    def _hmac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    return str(value) if type(value) is int else json.dumps(value, sort_keys=True)
