"""Pages of lists, whose tokens are the encoded name of the last resource of a page."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable

from infra.emulators.errors import invalid


def page(names: Iterable[str], size: int, token: str, *, largest: int = 1_000) -> tuple[list[str], str]:
    """Return a page of names in order, and the token of the next page or "".

    Args:
        names: of all resources.
        size: the size that the request asks for; 0 means the largest.
        token: the token of the request; "" for the first page.
        largest: the size of the largest page.
    """
    if size < 0:
        raise invalid(f"page_size: found {size}, expected 0 or more")
    last = _decode(token)
    rest = sorted(name for name in names if name > last)
    some = rest[: min(size or largest, largest)]
    return some, urlsafe_b64encode(some[-1].encode()).decode() if len(rest) > len(some) else ""


def _decode(token: str) -> str:
    try:
        return b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise invalid(f"page_token: found {token!r}, expected the next_page_token of a response") from None
