"""The connection of a process to its Bigtable instance."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from shared.bigtable.client import Bigtable
from shared.config import Settings


async def test_leaving_the_context_closes_the_connection_after_an_error(mocker: MockerFixture) -> None:
    bigtable = Bigtable(Settings("project", "instance"))
    close = mocker.patch.object(bigtable, "close")

    async def fail() -> None:
        async with bigtable as entered:
            assert entered is bigtable
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await fail()

    close.assert_awaited_once_with()
