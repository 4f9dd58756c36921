"""gRPC channels to Bigtable: options, credentials, and the way to open a fresh connection."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import grpc.aio

from shared.errors import SettingsError

HOST = "bigtable.googleapis.com"
# Scope to read and write data, not to create tables (https://cloud.google.com/bigtable/docs/authentication).
_SCOPES = ("https://www.googleapis.com/auth/bigtable.data",)
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default gRPC waits up to two minutes between attempts to reconnect, while a message waits.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Without a pool of its own, a new channel would share the connection of the old one.
    ("grpc.use_local_subchannel_pool", 1),
    # The intervals of Google's Bigtable client; servers refuse more frequent pings.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


def channel_factory(emulator: str | None) -> Callable[[], grpc.aio.Channel]:
    """Return a function that opens a channel with a connection of its own.

    Args:
        emulator: `host:port` of an emulator; None for Google Cloud with application default credentials.

    Raises:
        SettingsError: no credentials are found.
    """
    if emulator:
        return lambda: grpc.aio.insecure_channel(emulator, options=_OPTIONS)
    credentials = _credentials()
    return lambda: grpc.aio.secure_channel(HOST, credentials, options=_OPTIONS)


def _credentials() -> grpc.ChannelCredentials:
    """Return the application default credentials; only this function imports google-auth."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.grpc import AuthMetadataPlugin
    from google.auth.transport.requests import Request

    try:
        credentials, _ = google.auth.default(default_scopes=_SCOPES)
    except GoogleAuthError as error:
        raise SettingsError(f"credentials of Google Cloud: {error}") from None
    tokens = grpc.metadata_call_credentials(AuthMetadataPlugin(credentials, Request(), default_host=HOST))
    return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), tokens)
