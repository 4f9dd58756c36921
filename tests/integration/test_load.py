"""Files in a bucket reach the tables like those of one undisturbed `ingest`, whatever interrupts their load."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from infra.batch.load import load_files
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import load_contract, parse_contract, parse_toml
from shared.contracts.model import Contract
from shared.errors import StoreUnavailableError
from shared.ingest.pipeline import IngestPipeline
from shared.load.objects import StorageObjects
from shared.load.pipeline import LoadPipeline
from shared.pubsub import load_requests
from shared.pubsub.load_requests import ObjectVersion
from shared.pubsub.message import MAX_UNPACKED_BYTES, Message
from shared.sources.columns import columns
from shared.sources.files import SourceReader
from shared.sources.records import MAX_QUOTED_BYTES
from shared.tables.loads import LoadsTable, LoadState
from tests.support.samples import MUSIC_CONTRACT, cells, dump, lines, music_event, parquet
from tests.support.storage import Bucket

CONTRACT = load_contract(MUSIC_CONTRACT)
KIB = 1024


class Loader:
    """A load pipeline whose requests for ranges are delivered by the test.

    Attributes:
        requested: the starts of the requested ranges that are not delivered.
    """

    def __init__(self, settings: Settings, bigtable: Bigtable, storage: str) -> None:
        self.loads = LoadsTable(bigtable)
        self.requested: list[tuple[ObjectVersion, int]] = []
        self.objects = StorageObjects(replace(settings, storage_emulator=storage))
        self.ingestion = IngestPipeline(bigtable, CONTRACT)
        self._bigtable, self._numbers = bigtable, count(1)

    def pipeline(
        self, *, deadline: float = 60.0, range_bytes: int = 64 << 20, contract: Contract = CONTRACT
    ) -> LoadPipeline:
        return LoadPipeline(
            self._bigtable,
            contract,
            self.objects,
            self._request,
            ingestion=self.ingestion if contract is CONTRACT else IngestPipeline(self._bigtable, contract),
            deadline=deadline,
            range_bytes=range_bytes,
        )

    async def _request(self, object: ObjectVersion, starts: Sequence[int]) -> None:
        self.requested += [(object, start) for start in starts]

    async def announce(self, object: ObjectVersion, pipeline: LoadPipeline | None = None) -> str:
        """Deliver the notification of an object."""
        return await self._deliver(load_requests.notification(object), pipeline)

    async def deliver_range(self, object: ObjectVersion, start: int, pipeline: LoadPipeline | None = None) -> str:
        return await self._deliver(load_requests.range_request(object, start), pipeline)

    async def deliver_all(self, pipeline: LoadPipeline | None = None) -> list[str]:
        """Deliver the requested ranges until there are no more."""
        outcomes = []
        while self.requested:
            outcomes.append(await self.deliver_range(*self.requested[0], pipeline))
            del self.requested[0]
        return outcomes

    async def state(self, object: ObjectVersion) -> LoadState:
        state = await self.loads.find(object)
        assert state is not None
        return state

    async def _deliver(self, attributes: dict[str, str], pipeline: LoadPipeline | None) -> str:
        message = Message(b"", str(next(self._numbers)), datetime.now(UTC), attributes)
        return await (pipeline or self.pipeline()).process(message)


@pytest.fixture
async def loader(settings: Settings, bigtable: Bigtable, storage: str) -> Loader:
    return Loader(settings, bigtable, storage)


def csv_rows(events: Sequence[dict[str, Any]]) -> bytes:
    names = list(events[0])
    rows = [",".join(names), *(",".join(str(event[name]) for name in names) for event in events)]
    return "\n".join(rows).encode() + b"\n"


EVENTS = [music_event(number) for number in range(1, 4_001)]
MIXED = [{**event, "userId": ""} if number % 100 == 0 else event for number, event in enumerate(EVENTS)]
FILES = {
    "events.csv": csv_rows(MIXED),
    "events.jsonl": lines(MIXED) + b"\n",
    "events.json": json.dumps(MIXED, indent=1).encode(),
    "events.jsonl.gz": gzip.compress(lines(MIXED)),
    "events.csv.gz": gzip.compress(csv_rows(MIXED)),
    "events.jsonl.zst": zstandard.compress(lines(MIXED)),
    "events.parquet": parquet(MIXED),
}


async def ingested(settings: Settings, path: Path, published: datetime) -> tuple[Any, Any]:
    """Return the tables after one undisturbed `ingest` of a file."""
    bigtable = Bigtable(settings)
    await load_files(
        SourceReader([path], source_format=CONTRACT.source, columns=columns(CONTRACT)),
        bigtable,
        CONTRACT,
        published=published,
    )
    await bigtable.close()
    return tables(settings)


def tables(settings: Settings) -> tuple[Any, Any]:
    """Return the cells of the events, and those of the rejected ones without their positions."""
    rejected = [cell for cell in cells(dump(settings, "rejected"), "r") if cell[1] != b"source"]
    return dump(settings, "events"), rejected


@pytest.mark.parametrize("name", FILES)
async def test_a_file_in_a_bucket_is_stored_like_by_ingest(
    settings: Settings, other_settings: Settings, bucket: Bucket, loader: Loader, tmp_path: Path, name: str
) -> None:
    object = bucket.upload(f"day 1/{name}", FILES[name])
    (tmp_path / name).write_bytes(FILES[name])

    assert await loader.announce(object) == "range_done"

    state = await loader.state(object)
    total = state.progress()
    assert (state.finished, total.stored, total.rejected, total.unreadable) == (True, 3_960, 40, 0)
    assert tables(settings) == await ingested(other_settings, tmp_path / name, bucket.created(object.name))
    sources = [value.decode() for _, name, _, value in cells(dump(settings, "rejected"), "r") if name == b"source"]
    assert all(source.startswith(f"{object.uri}, line ") for source in sources)


RANGES = ("events.csv", "events.jsonl")


@pytest.mark.parametrize("name", RANGES)
async def test_a_large_file_is_divided_and_its_ranges_give_the_same_tables_in_any_order(
    settings: Settings, other_settings: Settings, bucket: Bucket, loader: Loader, tmp_path: Path, name: str
) -> None:
    object = bucket.upload(name, FILES[name])
    (tmp_path / name).write_bytes(FILES[name])
    pipeline = loader.pipeline(range_bytes=48 * KIB)

    assert await loader.announce(object, pipeline) == "divided"
    starts = [start for _, start in loader.requested]
    assert len(starts) == len(FILES[name]) // (48 * KIB) + 1
    assert all(start == 0 or FILES[name][start - 1 : start] == b"\n" for start in starts)
    loader.requested.reverse()
    assert set(await loader.deliver_all(pipeline)) == {"range_done"}

    state = await loader.state(object)
    total = state.progress()
    assert (state.finished, total.stored, total.rejected, total.unreadable) == (True, 3_960, 40, 0)
    assert tables(settings) == await ingested(other_settings, tmp_path / name, bucket.created(name))


async def test_the_position_of_a_rejected_record_is_found_in_its_range(
    settings: Settings, bucket: Bucket, loader: Loader
) -> None:
    data = FILES["events.csv"]
    object = bucket.upload("events.csv", data)
    pipeline = loader.pipeline(range_bytes=48 * KIB)
    await loader.announce(object, pipeline)
    await loader.deliver_all(pipeline)

    rejected = dump(settings, "rejected").values()
    assert len(rejected) == 40
    in_ranges = 0
    for columns_ in rejected:
        source = columns_["r", b"source"][0][1].decode()
        raw = json.loads(columns_["r", b"raw"][0][1])
        where, _, byte = source.partition(" from byte ")
        number = int(where.removeprefix(f"{object.uri}, line "))
        in_ranges += bool(byte)
        line = data[int(byte or 0) :].split(b"\n")[number - 1].decode()
        assert line.startswith(f"{raw['event_id']},")
    assert in_ranges > 20


async def test_a_second_notification_of_a_file_changes_nothing(
    settings: Settings, bucket: Bucket, loader: Loader
) -> None:
    object = bucket.upload("events.jsonl", FILES["events.jsonl"])
    pipeline = loader.pipeline(range_bytes=100 * KIB)
    assert await loader.announce(object, pipeline) == "divided"
    first, *others = loader.requested
    loader.requested = []
    assert await loader.deliver_range(*first, pipeline) == "range_done"

    assert await loader.announce(object, pipeline) == "divided"  # requests only what isn't done
    assert loader.requested == others
    await loader.deliver_all(pipeline)
    before = dump(settings, "state"), dump(settings, "events")
    bucket.delete(object.name)

    assert await loader.announce(object, pipeline) == "repeated"
    assert await loader.deliver_range(*first, pipeline) == "repeated"
    assert (dump(settings, "state"), dump(settings, "events")) == before


async def test_an_overwritten_file_is_a_new_load(bucket: Bucket, loader: Loader) -> None:
    old = bucket.upload("events.jsonl", lines(EVENTS[:10]))
    new = bucket.upload("events.jsonl", lines(EVENTS[:20]))

    assert await loader.announce(new) == "range_done"
    assert await loader.announce(old) == "failed"

    assert (await loader.state(new)).progress().stored == 20
    assert f"{old.uri}: found generation {new.generation}, expected {old.generation}" in (await loader.state(old)).error


INTERRUPTED = ("events.csv", "events.json", "events.jsonl.gz")


@pytest.mark.parametrize("name", INTERRUPTED)
async def test_a_request_stops_at_its_time_limit_and_its_continuation_goes_on(
    settings: Settings,
    other_settings: Settings,
    bucket: Bucket,
    loader: Loader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """The clock of the pipeline moves by a second whenever it is read."""
    object = bucket.upload(name, FILES[name])
    (tmp_path / name).write_bytes(FILES[name])
    clock = count()
    monkeypatch.setattr("shared.load.pipeline.time", Clock(clock))
    monkeypatch.setattr("shared.load.range_run.time", Clock(clock))
    pipeline = loader.pipeline(deadline=8)

    assert await loader.announce(object, pipeline) == "continued"
    partial_state = await loader.state(object)
    assert 0 < partial_state.progress().items < 4_000
    assert not partial_state.finished
    outcomes = await loader.deliver_all(pipeline)

    assert outcomes[-1] == "range_done"
    assert outcomes.count("continued") >= 1
    total = (await loader.state(object)).progress()
    assert (total.items, total.stored, total.rejected) == (4_000, 3_960, 40)
    assert tables(settings) == await ingested(other_settings, tmp_path / name, bucket.created(name))


class Clock:
    """Stands for the module `time`."""

    def __init__(self, seconds: Iterator[int]) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return next(self._seconds)


@pytest.mark.parametrize("name", ["events.csv", "events.jsonl.gz"])
async def test_a_load_that_fails_half_way_goes_on_with_the_redelivery(
    settings: Settings,
    other_settings: Settings,
    bucket: Bucket,
    loader: Loader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    object = bucket.upload(name, FILES[name])
    (tmp_path / name).write_bytes(FILES[name])
    pipeline = loader.pipeline(range_bytes=48 * KIB if name == "events.csv" else 64 << 20)
    monkeypatch.setattr("shared.load.range_run._CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("shared.load.objects.CHUNK_BYTES", 8 * KIB)
    failing, reads, failures = ({3, 12, 15, 18} if name == "events.csv" else {2, 4}), count(1), 0
    read = loader.objects.read

    def fail_sometimes(object: ObjectVersion, start: int, end: int) -> bytes:
        if next(reads) in failing:
            raise StoreUnavailableError("Cloud Storage didn't answer")
        return read(object, start, end)

    monkeypatch.setattr(loader.objects, "read", fail_sometimes)
    deliver: Callable[[], Any] = partial(loader.announce, object, pipeline)
    while not (state := await loader.loads.find(object)) or not state.finished:
        try:
            await deliver()
            deliver = partial(loader.deliver_all, pipeline)
        except StoreUnavailableError:
            failures += 1
    assert failures == len(failing)

    assert tables(settings) == await ingested(other_settings, tmp_path / name, bucket.created(name))


_GZIP = FILES["events.jsonl.gz"]
HOSTILE = {
    "cut.jsonl.gz": (_GZIP[:-20], "", "damaged data"),
    "zeros.jsonl.gz": (_GZIP[:-9_000] + bytes(9_000), "", "damaged data"),
    "no header.csv": (b"1,2,3\n4,5,6\n", "expected a header with some of", ""),
    "image.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 40, "expected", ""),
    "text.json": (lines(EVENTS[:3]).decode().encode("utf-16"), "", ""),
    "blank.json": (b"\n" * 100_000, "", ""),
    "archive.zip": (b"PK\x03\x04" + bytes(100), "", "ZIP archive"),
    "empty.csv": (b"", "", ""),
    "folder/": (b"", "", ""),
    "quote.csv": (b"event_id,userId\n" + b'"' + b"x,y\n" * 1_000, "", "quote that is never closed"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_object_ends_with_a_clear_state(bucket: Bucket, loader: Loader, name: str) -> None:
    data, error, problem = HOSTILE[name]
    object = bucket.upload(name, data)

    outcome = await loader.announce(object, loader.pipeline(range_bytes=4 * KIB))
    await loader.deliver_all()

    state = await loader.state(object)
    assert (error in state.error) if error else (outcome != "failed" and state.finished)
    problems = state.progress().problems
    assert [each for each in problems if problem in each and each.startswith(object.uri)] or not problem


async def test_a_deleted_object_is_recorded_as_failed(bucket: Bucket, loader: Loader) -> None:
    object = bucket.upload("events.jsonl", FILES["events.jsonl"])
    pipeline = loader.pipeline(range_bytes=100 * KIB)
    await loader.announce(object, pipeline)
    bucket.delete(object.name)

    assert (await loader.deliver_all(pipeline))[0] == "failed"
    state = await loader.state(object)
    assert f"{object.uri}: found no generation {object.generation}; it was deleted or overwritten" in state.error
    assert len(state.load.starts) > 1
    assert await loader.announce(object, pipeline) == "repeated"


async def test_a_record_that_no_message_could_carry_is_rejected(
    settings: Settings, bucket: Bucket, loader: Loader
) -> None:
    huge = json.dumps(music_event(2, page="x" * MAX_UNPACKED_BYTES)).encode()
    object = bucket.upload("events.jsonl", b"\n".join([lines(EVENTS[:1]), huge, lines(EVENTS[2:3])]))

    await loader.announce(object)

    total = (await loader.state(object)).progress()
    assert (total.stored, total.rejected) == (2, 1)
    [columns_] = dump(settings, "rejected").values()
    [finding] = json.loads(columns_["r", b"findings"][0][1])
    assert (finding["rule"], len(columns_["r", b"raw"][0][1])) == ("too_large", MAX_QUOTED_BYTES)


async def test_rows_with_quoted_line_ends_are_divided_only_between_rows(
    settings: Settings, other_settings: Settings, bucket: Bucket, loader: Loader, tmp_path: Path
) -> None:
    """In the second MiB every row contains line ends; in the others none has a quote."""
    plain = [f"evt-{n:06d},user-{n % 7},2024-01-15T00:00:00Z,like,{'x' * 2_000}\n" for n in range(2_700)]
    quoted = [row.replace("x" * 2_000, '"' + "a line, 1, 2, 3\n" * 100 + '"') for row in plain[900:1_200]]
    rows = [*plain[:900], *quoted, *plain[1_200:]]
    data = ("event_id,userId,timestamp,event_type,note\n" + "".join(rows)).encode()
    object = bucket.upload("events.csv", data)
    (tmp_path / "events.csv").write_bytes(data)
    pipeline = loader.pipeline(range_bytes=512 * KIB)

    assert await loader.announce(object, pipeline) == "divided"
    starts = (await loader.state(object)).load.starts
    first, last = data.index(b'"'), data.rindex(b'"')
    assert [start for start in starts if 0 < start <= first]
    assert not [start for start in starts if first < start < last + (1 << 20)]
    assert [start for start in starts if start > last]
    await loader.deliver_all(pipeline)

    assert (await loader.state(object)).progress().stored == 2_700
    assert tables(settings) == await ingested(other_settings, tmp_path / "events.csv", bucket.created(object.name))


async def test_a_log_of_a_web_server_is_divided_at_any_line(
    settings: Settings, other_settings: Settings, bucket: Bucket, loader: Loader, tmp_path: Path
) -> None:
    """Its records are no events of the contract, so each is rejected; every tenth line isn't a record."""
    form = '10.0.0.{} - - [15/Jan/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 1'
    data = "".join(f"broken {n}\n" if n % 10 == 1 else form.format(n % 250, n) + "\n" for n in range(300)).encode()
    object = bucket.upload("access", data)
    (tmp_path / "access").write_bytes(data)
    pipeline = loader.pipeline(range_bytes=KIB)

    assert await loader.announce(object, pipeline) == "divided"
    starts = [start for _, start in loader.requested]
    assert any(data[start:].startswith(b"broken") for start in starts)
    await loader.deliver_all(pipeline)

    total = (await loader.state(object)).progress()
    assert (total.rejected, total.unreadable) == (270, 30)
    assert tables(settings) == await ingested(other_settings, tmp_path / "access", bucket.created(object.name))


async def test_an_object_whose_records_come_too_slowly_fails_instead_of_looping(
    bucket: Bucket, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    object = bucket.upload("events.jsonl.gz", FILES["events.jsonl.gz"])
    monkeypatch.setattr("shared.load.pipeline.time", Clock(count()))
    monkeypatch.setattr("shared.load.range_run.time", Clock(count()))

    assert await loader.announce(object, loader.pipeline(deadline=1)) == "failed"
    assert (
        "reading up to item 0, where the load continues, takes more than the limit of 1 s"
        in (await loader.state(object)).error
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("no header.csv", b"1,annabel,2024-01-15T00:00:00Z\n2,annabel,2024-01-15T00:00:00Z\n"),
        ("bytes.csv", b"event_id,userId,timestamp,event_type\n1,annabel \xe9,2024-01-15T00:00:00Z,click\n"),
        ("huge.jsonl", json.dumps(music_event(1, userId="annabel", page="x" * MAX_UNPACKED_BYTES)).encode()),
    ],
    ids=["header", "encoding", "size"],
)
async def test_a_contract_with_masks_keeps_no_content_of_what_cannot_be_read(
    settings: Settings, bucket: Bucket, loader: Loader, name: str, data: bytes
) -> None:
    text = MUSIC_CONTRACT.read_text("utf-8").replace("[fields.user_id]", '[fields.user_id]\nmask = "hash"')
    masked = parse_contract(parse_toml(text, "masked.toml"), "masked.toml", "not a secret outside of these tests")
    object = bucket.upload(name, data)

    await loader.announce(object, loader.pipeline(contract=masked))

    state = await loader.state(object)
    assert state.error or state.progress().rejected or state.progress().problems
    for table in ("events", "rejected", "state"):
        values = [value for _, value in chain(*chain(*(row.values() for row in dump(settings, table).values())))]
        assert b"annabel" not in b"".join(values)
