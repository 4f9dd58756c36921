"""Attempts of jobs with an HTTP target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from infra.emulators.errors import ApiError, invalid
from infra.emulators.protos.scheduler_pb2 import HttpMethod

if TYPE_CHECKING:
    import aiohttp

# https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#HttpTarget
_URI = re.compile(r"https?://[^/\s?#]+\S*")
_MAX_URI_CHARS = 2_083
_MAX_HEADERS_BYTES = 80 * 1024
_METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
_DEFAULT_HEADERS = {"User-Agent": "Google-Cloud-Scheduler"}
# Headers that the service sets itself, or removes.
_RESERVED = re.compile(r"(?i)host|content-length|x-google-.*|x-appengine-.*|x-cloudscheduler.*")
# https://cloud.google.com/apis/design/errors#handling_errors
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def complete_http_target(target: Any) -> None:
    """Set the default method of a target; raises ApiError if the target is invalid."""
    if not _URI.fullmatch(target.uri) or len(target.uri) > _MAX_URI_CHARS:
        raise invalid(
            f"http_target.uri: found {target.uri[:100]!r}, expected http:// or https://, a host and a path, with "
            f"{_MAX_URI_CHARS} characters at most"
        )
    target.http_method = target.http_method or HttpMethod.POST
    method = HttpMethod.Name(target.http_method)
    if target.body and method not in _METHODS_WITH_BODY:
        raise invalid(f"http_target.body: found a body for {method}, expected one of {', '.join(_METHODS_WITH_BODY)}")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in target.headers.items())
    if size > _MAX_HEADERS_BYTES:
        raise invalid(f"http_target.headers: found {size} bytes, expected {_MAX_HEADERS_BYTES} at most")
    for name in [name for name in target.headers if _RESERVED.fullmatch(name)]:
        del target.headers[name]


def request_headers(job: Any, due: datetime) -> Mapping[str, str]:
    """Return the headers of an attempt. The emulator can't sign tokens, so there is no Authorization header."""
    time = Timestamp()
    time.FromDatetime(due)
    own = {
        "X-CloudScheduler": "true",
        "X-CloudScheduler-JobName": job.name.rsplit("/", 1)[1],
        "X-CloudScheduler-ScheduleTime": time.ToJsonString(),
    }
    given = dict(job.http_target.headers)
    if job.http_target.body and not any(name.lower() == "content-type" for name in given):
        own["Content-Type"] = "application/octet-stream"
    return {**_DEFAULT_HEADERS, **given, **own}


class HttpTargets:
    """Sends the requests of jobs over one session."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def attempt(self, job: Any, due: datetime) -> None:
        """Send the request of a job.

        Raises:
            ApiError: the response isn't a success, or there is none within the attempt deadline.
        """
        import aiohttp  # slow to import, and only needed for HTTP targets

        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        target = job.http_target
        timeout = aiohttp.ClientTimeout(total=job.attempt_deadline.ToTimedelta().total_seconds())
        try:
            async with self._http.request(
                HttpMethod.Name(target.http_method),
                target.uri,
                data=target.body or None,
                headers=request_headers(job, due),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                await response.read()
                status = response.status
        except TimeoutError:
            text = f"{target.uri}: found no response within {timeout.total:g} s"
            raise ApiError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(grpc.StatusCode.UNAVAILABLE, f"{target.uri}: {error!r}") from None
        if not 200 <= status < 300:
            code = _CODES.get(status, grpc.StatusCode.UNKNOWN)
            raise ApiError(code, f"{target.uri}: found HTTP status {status}, expected 200 to 299")

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
