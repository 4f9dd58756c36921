"""Texts of stored bytes, shortened for a page."""

from __future__ import annotations

_LONGEST = 2_000  # bytes


def shown(data: bytes) -> str:
    """Return bytes as text; what isn't UTF-8 as codes, and only the beginning of many bytes."""
    text = data[:_LONGEST].decode("utf-8", "backslashreplace")
    return f"{text} ... and {len(data) - _LONGEST:,} more bytes" if len(data) > _LONGEST else text
