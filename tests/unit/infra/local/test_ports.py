"""Ports are free, distinct, and checked before use."""

from __future__ import annotations

import socket

import pytest

from infra.local.ports import accepts, free_ports, require_free
from shared.errors import StackError


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert accepts(port)
        with pytest.raises(StackError, match=f"bigtable: found port {port} taken"):
            require_free("bigtable", port)
    assert not accepts(port)
    require_free("bigtable", port)


def test_free_ports_are_distinct_and_unprivileged() -> None:
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert min(ports) > 1023
