"""Validates many events in a thread, until a time limit; nothing is stored."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from threading import Event
from typing import Any, BinaryIO, TypeVar

from infra.batch.check import position, validate_source
from infra.console.trial.outcomes import Outcomes
from shared.config import mask_key
from shared.contracts.loader import parse_contract, parse_toml
from shared.contracts.model import Contract
from shared.errors import ContractError, SourceError
from shared.sources.columns import columns
from shared.sources.files import SourceReader
from shared.sources.records import batches_of
from shared.tables.rejected import RejectedEvent
from shared.validation.validator import Validator

# Seconds until the rest of the events is left out: a small compressed file can have any number of them.
MAX_SECONDS = 20.0
# Bytes per read of a file. Compressed data can expand a thousandfold, and the time limit is checked at each read.
_READ_BYTES = 16 * 1024
# Rejected events, and their bytes, that are validated between two checks of the time limit.
_BATCH_EVENTS, _BATCH_BYTES = 1_000, 1024 * 1024
# Bounds of an edited contract. A dotted key takes quadratic time, 5 s at this size. RE2 compiles a pattern in up to
# 50 ms, to several megabytes.
MAX_CONTRACT_BYTES, MAX_PATTERNS = 32 * 1024, 100
EDITED = "the edited contract"  # its name in error texts

Result = TypeVar("Result")


class TimeIsUpError(Exception):
    """The time limit is reached."""


class Clock:
    """The time limit of one validation, which another thread can end early."""

    def __init__(self) -> None:
        self._end = time.monotonic() + MAX_SECONDS
        self._stopped = Event()

    def stop(self) -> None:
        """End the validation at its next check."""
        self._stopped.set()

    def check(self) -> None:
        """Raise TimeIsUpError if the time is up."""
        if self._stopped.is_set() or time.monotonic() >= self._end:
            raise TimeIsUpError


async def in_thread(function: Callable[[Clock], Result]) -> Result:
    """Return the result of a function that runs in a thread; a cancelled caller stops its clock."""
    clock = Clock()
    try:
        return await asyncio.to_thread(function, clock)
    finally:
        clock.stop()


class _TimedFile(io.RawIOBase):
    """A file that is read in small pieces, each after a check of the clock."""

    def __init__(self, file: BinaryIO, clock: Clock) -> None:
        self._file, self._clock = file, clock

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        self._clock.check()
        data = self._file.read(min(len(buffer), _READ_BYTES))
        buffer[: len(data)] = data
        return len(data)


def validate_file(name: str, file: BinaryIO, contract: Contract, clock: Clock) -> Outcomes:
    """Validate the events of a file with the current time as the publish time, as `sluice check` does.

    Args:
        name: of the file; its suffix determines the format.
        file: a source file with `seek`.
        contract: the contract to validate against.
        clock: ends the validation.
    """
    outcomes = Outcomes()
    reader = SourceReader(
        [None],
        source_format=contract.source,
        columns=columns(contract),
        stdin=_TimedFile(file, clock),
        stdin_name=name,
    )
    try:
        with closing(validate_source(reader, Validator(contract), datetime.now(UTC), outcomes.report)) as batches:
            for batch in batches:
                for record, verdict in batch:
                    outcomes.add(position(record.source, record.line), record.raw, verdict)
                clock.check()
    except SourceError as error:
        outcomes.problem = str(error)
    except TimeIsUpError:
        outcomes.is_complete = False
    return outcomes


def validate_rejected(events: Sequence[RejectedEvent], text: str, clock: Clock) -> Outcomes:
    """Validate rejected events against the text of an edited contract, each with its own publish time.

    Raises:
        ContractError: the contract is invalid or too large.
    """
    validator, outcomes = Validator(_edited_contract(text)), Outcomes()
    try:
        for batch in batches_of(events, _BATCH_EVENTS, _BATCH_BYTES):
            clock.check()
            verdicts = validator.validate_all([event.raw for event in batch], [event.publish_time for event in batch])
            for event, verdict in zip(batch, verdicts, strict=True):
                outcomes.add(event.source, event.raw, verdict)
    except TimeIsUpError:
        outcomes.is_complete = False
    return outcomes


def _edited_contract(text: str) -> Contract:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_CONTRACT_BYTES:
        raise ContractError(f"{EDITED}: found {size:,} bytes, expected at most {MAX_CONTRACT_BYTES:,}")
    document = parse_toml(text, EDITED)
    fields = document.get("fields")
    tables = fields.values() if isinstance(fields, dict) else ()
    patterns = sum("pattern" in table for table in tables if isinstance(table, dict))
    if patterns > MAX_PATTERNS:
        raise ContractError(f"{EDITED}: fields: found {patterns:,} patterns, expected at most {MAX_PATTERNS}")
    return parse_contract(document, EDITED, mask_key())
