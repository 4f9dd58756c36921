"""Free ports of this machine, and checks of ports."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

from shared.errors import StackError


def free_ports(count: int) -> list[int]:
    """Return distinct ports that are free at this moment."""
    with contextlib.ExitStack() as probes:
        found = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in found:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in found]


def require_free(part: str, port: int) -> None:
    """Raise StackError if the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(f"{part}: found port {port} taken ({error.strerror}), expected it free") from None


def accepts(port: int) -> bool:
    """Return whether a server on this machine accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(port: int) -> bool:
    """Return whether a server answers HTTP, with any status: a function that is pushed to has no answer to a GET."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def are_free(ports: Mapping[str, int]) -> bool:
    """Return whether no program uses any of the ports, given by part."""
    try:
        for part, port in ports.items():
            require_free(part, port)
    except StackError:
        return False
    return True
