"""ETag, If-None-Match and HEAD as RFC 9110 describes them."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from shared.query import caching


def request(*tags: str, method: str = "GET") -> Request:
    headers = [(b"if-none-match", tag.encode("latin-1")) for tag in tags]
    return Request({"type": "http", "method": method, "headers": headers})


TAG = caching.etag(b"version")


def test_a_tag_is_a_quoted_function_of_the_version() -> None:
    assert TAG == caching.etag(b"version") != caching.etag(b"other")
    assert TAG[0] == TAG[-1] == '"'
    assert TAG[1:-1].isalnum()


@pytest.mark.parametrize(
    ("tags", "current"),
    [
        ((TAG,), True),
        ((f"W/{TAG}",), True),
        ((f'"a,b", {TAG}',), True),
        (('"other"', TAG), True),
        (("*",), True),
        ((), False),
        (("",), False),
        (('"other"',), False),
        ((TAG.strip('"'),), False),
        ((f'"{TAG}',), False),
    ],
)
def test_a_client_with_the_current_version_gets_304(tags: tuple[str, ...], current: bool) -> None:
    response = caching.respond(request(*tags), b"{}", TAG)

    assert response.status_code == (304 if current else 200)
    assert response.headers["etag"] == TAG
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.body == (b"" if current else b"{}")


def test_head_has_the_length_of_the_body_without_it() -> None:
    get, head = (caching.respond(request(method=method), b'{"events":[]}') for method in ("GET", "HEAD"))

    assert (head.body, head.raw_headers) == (b"", get.raw_headers)
    assert get.headers["content-length"] == "13"
