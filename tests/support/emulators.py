"""The emulators without the functions: the embedded ones, or Google's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from infra.local.emulators import Engine
from infra.local.stack import Stack
from shared.config import Settings
from shared.errors import MissingProgramError


def engine() -> Engine:
    """Return the emulators that tests use: Google's with EMULATORS=google, else the embedded ones."""
    return "google" if os.environ.get("EMULATORS") == "google" else "embedded"


def running_emulators(engine: Engine) -> Iterator[Settings]:
    """Yield the settings that reach them; without Google's programs the test is skipped, or fails where CI is set."""
    try:
        with Stack(functions=(), engine=engine) as stack:
            stack.make_schedule()
            yield stack.settings
    except MissingProgramError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
