"""Serves the console on a port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from infra.console.app import create_app
from shared.config import Settings
from shared.errors import StackError

HOST = "127.0.0.1"
# Open pages of live counts, and requests beside them.
_CONNECTIONS = 64
# Seconds that open event streams get to end at shutdown.
_GRACE = 3


class _Server(uvicorn.Server):
    """A server that ends the open event streams when a signal ends it; it would wait for them."""

    def __init__(self, config: uvicorn.Config, stop_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_streams = stop_streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._stop_streams()
        super().handle_exit(sig, frame)


def serve(settings: Settings, port: int, show: Callable[[str], None], *, allow_changes: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: of the pipeline to show.
        port: the port; 0 for a free one.
        show: called with the address once the port is bound.
        allow_changes: whether its pages may change something.

    Raises:
        ContractError: the contract of the settings is invalid.
        StackError: the port is taken.
    """
    app = create_app(settings, allow_changes=allow_changes)
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise StackError(f"console: port {port} can't be used: {error.strerror}") from None
    with listener:
        show(f"http://{HOST}:{listener.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
        )
        _Server(config, app.state.flow.stop).run(sockets=[listener])
