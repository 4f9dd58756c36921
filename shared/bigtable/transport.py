"""The gRPC channel to Bigtable with the calls MutateRows and ReadRows; requests and responses are serialized bytes.

Google's generated client takes 0.6 s of CPU to import and holds 20 MiB. The rest of a function takes 1.2 s,
framework included. This module does what that client does for the two calls: credentials, routing headers, timeouts.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import grpc
import grpc.aio

from shared.errors import SettingsError

HOST = "bigtable.googleapis.com"
_SERVICE = "/google.bigtable.v2.Bigtable/"
# Scope to read and write data, not to create tables (https://cloud.google.com/bigtable/docs/authentication).
_SCOPES = ("https://www.googleapis.com/auth/bigtable.data",)
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default gRPC waits up to two minutes between attempts to reconnect, while a message waits.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Pings detect a dead connection, which happens when an instance has no CPU between requests. The intervals are
    # those of Google's Bigtable client; servers refuse more frequent pings.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class CallError(Exception):
    """A call or an entry failed.

    Attributes:
        code: the gRPC status code.
        message: the error message of the server or of gRPC.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> CallError:
        """Return the error of a failed call."""
        return cls(error.code(), error.details() or "")


class Transport:
    """A channel to Bigtable; belongs to the event loop in which it is created."""

    def __init__(self, emulator: str | None) -> None:
        """Open a channel.

        Args:
            emulator: `host:port` of an emulator; None for Google Cloud with application default credentials.

        Raises:
            SettingsError: no credentials are found.
        """
        self._channel = _emulated(emulator) if emulator else _authorized()
        self._mutate_rows = self._channel.unary_stream(f"{_SERVICE}MutateRows")
        self._read_rows = self._channel.unary_stream(f"{_SERVICE}ReadRows")

    def mutate_rows(self, request: bytes, table: str, app_profile: str, timeout: float) -> Any:
        """Send a serialized MutateRowsRequest.

        Args:
            request: names the same table and profile as the next arguments.
            table: full name.
            app_profile: empty for the instance's default.
            timeout: seconds for the whole call.

        Returns:
            The call, an async iterator of serialized responses that may raise `grpc.aio.AioRpcError`.
        """
        return self._mutate_rows(request, timeout=timeout, metadata=(_routing(table, app_profile),))

    def read_rows(
        self, request: bytes, table: str, app_profile: str, timeout: float, headers: Iterable[tuple[str, str]] = ()
    ) -> Any:
        """Send a serialized ReadRowsRequest with further headers; everything else is like `mutate_rows`."""
        return self._read_rows(request, timeout=timeout, metadata=(_routing(table, app_profile), *headers))

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


@lru_cache
def _routing(table: str, app_profile: str) -> tuple[str, str]:
    """Return the routing header of a table (https://google.aip.dev/4222)."""
    parameters = {"table_name": table} | ({"app_profile_id": app_profile} if app_profile else {})
    return "x-goog-request-params", urlencode(parameters, safe="/")


def _emulated(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


def _authorized() -> grpc.aio.Channel:
    """Return a channel to Google Cloud; only this function imports google-auth."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.grpc import AuthMetadataPlugin
    from google.auth.transport.requests import Request

    try:
        credentials, _ = google.auth.default(default_scopes=_SCOPES)
    except GoogleAuthError as error:
        raise SettingsError(f"credentials of Google Cloud: {error}") from None
    tokens = grpc.metadata_call_credentials(AuthMetadataPlugin(credentials, Request(), default_host=HOST))
    both = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), tokens)
    return grpc.aio.secure_channel(HOST, both, options=_OPTIONS)
