"""The load pipeline: plan the load of a new object, store its ranges, and record the progress of each.

A request is idempotent: the position of a range comes from the table `state`, and an event that is stored again
overwrites its own cell.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import BinaryIO, Literal

from msgspec import structs

from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.errors import OverloadedError, PermanentError, SourceError
from shared.ingest.pipeline import IngestPipeline
from shared.load.objects import ObjectInfo, ObjectMissingError, RangeFile, ReadRange, StorageObjects
from shared.load.planning import plan
from shared.load.range_run import RangeRun, limited
from shared.load.ranges import JSON_LINES_PREFIX
from shared.pubsub.load_requests import LoadRequest, ObjectVersion, parse
from shared.pubsub.message import Message
from shared.sources.access_log import is_access_log
from shared.sources.columns import columns
from shared.sources.files import SourceReader, format_of
from shared.sources.records import Record, Unreadable
from shared.tables.loads import Layout, Load, LoadsTable, LoadState, Progress
from shared.timestamps import EPOCH, now

# What a request did. repeated: the object or range was done before.
Outcome = Literal["ignored", "repeated", "divided", "continued", "range_done", "failed"]

RequestRanges = Callable[[ObjectVersion, Sequence[int]], Awaitable[None]]
Report = Callable[[ObjectVersion, Outcome, LoadState | None], None]


class TooSlowError(PermanentError):
    """A request's time limit ends before an object can be read up to the position where its load continues."""


class LoadPipeline:
    """Loads objects under one contract."""

    def __init__(
        self,
        bigtable: Bigtable,
        contract: Contract,
        objects: StorageObjects,
        request_ranges: RequestRanges,
        *,
        ingestion: IngestPipeline,
        deadline: float,
        range_bytes: int,
        report: Report = lambda _object, _outcome, _state: None,
    ) -> None:
        """Prepare; the first message connects.

        Args:
            bigtable: where the progress is stored.
            contract: what events are validated against.
            objects: reads the objects.
            request_ranges: requests the ranges that start at some bytes, each by a message of its own.
            ingestion: stores the events.
            deadline: seconds after which a request stops and requests its own continuation.
            range_bytes: the size of a range, and the largest object that isn't divided.
            report: is called with the outcome of each request, and the state of the load.
        """
        self._objects, self._ingestion = objects, ingestion
        self._source, self._columns = contract.source, columns(contract)
        self._loads = LoadsTable(bigtable)
        self._request_ranges, self._report = request_ranges, report
        self._deadline, self._range_bytes = deadline, range_bytes
        self._busy = False
        self._masked = any(field.mask for field in contract.fields)

    async def process(self, message: Message) -> Outcome:
        """Load the object or the range that a message requests, as far as the time limit allows.

        What can't succeed later either, such as a deleted object, is recorded as failed.

        Raises:
            RequestError: the message requests nothing.
            OverloadedError: another request is being processed, and two could exceed the memory.
            TransientError: a later delivery may succeed.
            PermanentError: an operator has to change something first.
        """
        deadline = time.monotonic() + self._deadline
        request = parse(message)
        if request is None:
            return "ignored"
        if self._busy:
            raise OverloadedError("at capacity: another object or range is being loaded")
        self._busy = True
        try:
            return await self._load(request, deadline)
        finally:
            self._busy = False

    async def _load(self, request: LoadRequest, deadline: float) -> Outcome:
        object, state = request.object, await self._loads.find(request.object)
        try:
            outcome = await self._process(object, request.start, state, deadline)
        except (ObjectMissingError, TooSlowError, SourceError) as error:
            quotes = isinstance(error, SourceError)
            load = state.load if state else Load(object, 0, EPOCH, now(), [0])
            await self._loads.fail(load, self._describe(str(error)) if quotes else str(error))
            outcome = "failed"
        self._report(object, outcome, await self._loads.find(object))
        return outcome

    async def _process(
        self, object: ObjectVersion, start: int | None, state: LoadState | None, deadline: float
    ) -> Outcome:
        if state and (state.finished or state.error):
            return "repeated"
        info = await asyncio.to_thread(self._objects.describe, object)
        state = state or LoadState(await self._begin(object, info), {}, {}, "")
        load = state.load
        if start is None and len(load.starts) > 1:
            await self._request_ranges(object, [each for each in load.starts if each not in state.done])
            return "divided"
        start = start or 0
        if start in state.done or start not in load.starts:
            return "repeated"
        return await self._load_range(load, start, state.positions.get(start, Progress()), deadline)

    async def _begin(self, object: ObjectVersion, info: ObjectInfo) -> Load:
        load = await asyncio.to_thread(
            plan,
            object,
            info,
            partial(self._objects.read, object),
            lambda sample, layout: self._reader(object, io.BytesIO(sample), layout),
            access_log=partial(self._is_access_log, object),
            range_bytes=self._range_bytes,
            started=now(),
        )
        await self._loads.begin(load)
        return load

    def _describe(self, problem: str) -> str:
        """Return what is kept of the text of a problem, which may quote values that the contract masks."""
        if not self._masked:
            return problem
        return "can't be read; its contract masks fields, so run `sluice check` on the file for the reason"

    def _is_access_log(self, object: ObjectVersion, sample: bytes) -> bool:
        """Return whether the reader takes an object for an access log."""
        if self._source.format != "auto":
            return self._source.format == "access_log"
        return format_of(object.uri) is None and is_access_log(sample.lstrip().split(b"\n", 1)[0])

    async def _load_range(self, load: Load, start: int, progress: Progress, deadline: float) -> Outcome:
        """Store a range from its progress on; request its continuation if the time limit ends before the range."""
        read = limited(partial(self._objects.read, load.object), deadline)
        prefix = await asyncio.to_thread(_prefix, load, start, read)
        file = RangeFile(read, start, load.end_of(start), prefix)
        reader = iter(self._reader(load.object, file, load.layout))
        with closing(reader):
            run = RangeRun(
                self._ingestion,
                islice(reader, 1, None) if prefix == JSON_LINES_PREFIX else reader,
                progress,
                published=load.created,
                position=partial(_position, load.object, start, prefix.count(b"\n")),
                describe=self._describe,
                deadline=deadline,
            )
            ended = await run.run(partial(self._loads.checkpoint, load, start))
        if ended:
            await self._loads.finish(load, start, structs.replace(run.progress, updated=now()))
            return "range_done"
        if not run.moved:
            raise TooSlowError(
                f"{load.object.uri}: reading up to item {progress.items:,}, where the load continues, takes more than "
                f"the limit of {self._deadline:g} s; expected smaller files, or plain lines, which are divided"
            )
        await self._loads.checkpoint(load, start, run.progress)
        await self._request_ranges(load.object, [start])
        return "continued"

    def _reader(self, object: ObjectVersion, file: BinaryIO | io.RawIOBase, layout: Layout = "whole") -> SourceReader:
        return SourceReader(
            [None],
            format="access_log" if layout == "access_log" else "auto",
            source_format=self._source,
            columns=self._columns,
            stdin=file,
            stdin_name=object.uri,
        )


def _prefix(load: Load, start: int, read: ReadRange) -> bytes:
    """Return the bytes that precede those of a range when it is read."""
    if start and load.layout == "json_lines":
        return JSON_LINES_PREFIX
    return read(0, load.header_bytes) if start and load.header_bytes else b""


def _position(object: ObjectVersion, start: int, prefix_lines: int, item: Record | Unreadable) -> str:
    """Return the position of an item for people: its line in the object, or in the range that begins at a byte."""
    if not start:
        return f"{object.uri}, line {item.line}"
    return f"{object.uri}, line {item.line - prefix_lines} from byte {start}"
