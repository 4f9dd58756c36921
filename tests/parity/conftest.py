"""The servers that the parity suite compares."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from infra.local import emulators
from infra.local.ports import accepts
from infra.local.supervisor import Supervisor
from shared.errors import MissingProgramError
from tests.support.bigtable_emulator import serving
from tests.support.processes import free_port


@pytest.fixture(scope="session")
async def embedded() -> AsyncIterator[str]:
    """The address of the embedded Bigtable emulator."""
    async with serving() as address:
        yield address


@pytest.fixture(scope="session")
def google() -> Iterator[str]:
    """The address of Google's Bigtable emulator; without it tests are skipped, or fail where CI is set."""
    port = free_port()
    with Supervisor() as supervisor:
        try:
            emulators.start_bigtable(supervisor, port)
        except MissingProgramError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        supervisor.wait_until(partial(accepts, port), "the Bigtable emulator doesn't answer")
        yield f"127.0.0.1:{port}"
