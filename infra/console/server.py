"""Serves the console on a port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from infra.console.app import create_app
from shared.config import Settings
from shared.errors import StackError

HOST = "127.0.0.1"
# Seconds that open event streams get to end at shutdown.
_GRACE = 1


def serve(settings: Settings, port: int, show: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: of the pipeline to show.
        port: the port; 0 for a free one.
        show: called with the address once the port is bound.

    Raises:
        ContractError: the contract of the settings is invalid.
        StackError: the port is taken.
    """
    app = create_app(settings)
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise StackError(f"console: port {port} can't be used: {error.strerror}") from None
    with listener:
        show(f"http://{HOST}:{listener.getsockname()[1]}/")
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=_GRACE)
        uvicorn.Server(config).run(sockets=[listener])
