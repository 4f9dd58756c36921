"""A day is requested by one message, within a time limit, and never of a project that the pages don't show."""

from __future__ import annotations

import asyncio

import pytest
from google.auth.exceptions import DefaultCredentialsError
from msgspec.structs import replace
from pytest_mock import MockerFixture

from infra.console.changes import publishing
from infra.console.changes.publishing import request_day
from shared.config import Settings
from shared.errors import SettingsError, StoreUnavailableError
from tests.support.console_tables import DAY

SETTINGS = Settings("p", "i", bigtable_emulator="127.0.0.1:1", pubsub_emulator="127.0.0.1:1")


async def test_one_day_is_requested(mocker: MockerFixture) -> None:
    requested = mocker.patch("shared.aggregate.fan_out.request_days")

    await request_day(SETTINGS, DAY)

    assert [call.args for call in requested.await_args_list] == [(SETTINGS, [DAY])]


async def test_pubsub_without_an_answer_is_an_error(mocker: MockerFixture) -> None:
    async def wait(*_arguments: object) -> None:
        await asyncio.Event().wait()

    mocker.patch("shared.aggregate.fan_out.request_days", side_effect=wait)
    mocker.patch.object(publishing, "_DEADLINE", 0.01)

    with pytest.raises(StoreUnavailableError, match=r"2024-01-15: Pub/Sub didn't accept the request within 0\.01 s"):
        await request_day(SETTINGS, DAY)


async def test_emulators_are_not_mixed_with_google_cloud(mocker: MockerFixture) -> None:
    requested = mocker.patch("shared.aggregate.fan_out.request_days")

    with pytest.raises(SettingsError, match="found BIGTABLE_EMULATOR_HOST without PUBSUB_EMULATOR_HOST"):
        await request_day(replace(SETTINGS, pubsub_emulator=None), DAY)
    assert requested.await_count == 0


async def test_missing_credentials_are_an_error_with_the_command(mocker: MockerFixture) -> None:
    mocker.patch("google.auth.default", side_effect=DefaultCredentialsError("none"))

    with pytest.raises(SettingsError, match="gcloud auth application-default login"):
        await request_day(Settings("p", "i"), DAY)
