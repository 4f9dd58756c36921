"""Requests the computation of a day from the function `aggregate`."""

from __future__ import annotations

import asyncio
from datetime import date

from shared.config import Settings
from shared.errors import StoreUnavailableError

# Seconds until a page gives up on Pub/Sub; the request may still arrive, which does no harm.
_DEADLINE = 15.0


async def request_day(settings: Settings, day: date) -> None:
    """Publish the request for a day.

    Raises:
        SettingsError: the settings mix emulators and Google Cloud, or the topic or credentials are missing.
        StoreUnavailableError: Pub/Sub doesn't answer.
    """
    settings.emulated("bigtable", "pubsub")
    await load_publisher(settings)
    from shared.aggregate.fan_out import request_days

    try:
        async with asyncio.timeout(_DEADLINE):
            await request_days(settings, [day])
    except TimeoutError:
        raise StoreUnavailableError(f"{day}: Pub/Sub didn't accept the request within {_DEADLINE:g} s") from None


async def load_publisher(settings: Settings) -> None:
    """Import Pub/Sub's client and find credentials in a thread: each may take seconds, in which pages have to answer.

    Raises:
        SettingsError: there are no credentials of Google Cloud.
    """
    await asyncio.to_thread(_load_publisher, settings)


def _load_publisher(settings: Settings) -> None:
    import google.auth

    import shared.pubsub.publisher  # noqa: F401 - later imports of it return at once
    from infra.provision.google_api import PUBSUB, translate_errors

    if not settings.pubsub_emulator:
        with translate_errors("Pub/Sub", settings, PUBSUB):
            google.auth.default()
