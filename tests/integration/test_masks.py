"""No table has a masked value, also after a replay; masked users are read and erased by their plain names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.batch.replay import replay_rejected
from infra.erase.erasure import Eraser
from infra.erase.plan import make_plan
from infra.erase.survey import Counts
from infra.erase.users import Users
from shared.aggregate.pipeline import AggregatePipeline
from shared.bigtable.client import Bigtable
from shared.bigtable_client import BigTableClient
from shared.config import Settings
from shared.contracts.loader import load_contract, parse_contract, parse_toml
from shared.contracts.model import Contract
from shared.errors import LayoutChangedError, SettingsError
from shared.ingest.pipeline import IngestPipeline
from shared.pubsub.message import Message
from tests.support.samples import MUSIC_CONTRACT, dump, lines, message, music_event

SECRET = "not a secret outside of these tests"
DAY = date(2024, 1, 15)
PUBLISHED = datetime(2024, 1, 15, 12, tzinfo=UTC)
TABLES = ("events", "rejected", "aggregates", "state")
TEXT = (
    MUSIC_CONTRACT.read_text("utf-8")
    .replace("[fields.user_id]", '[fields.user_id]\nmask = "hash"\npattern = "[a-z]+"')
    .replace("[fields.query]", '[fields.query]\nmask = "drop"')
    .replace("[fields.artist]", '[fields.artist]\nmask = "hash"')
)


def contract(text: str = TEXT, secret: str = SECRET) -> Contract:
    return parse_contract(parse_toml(text, "masked.toml"), "masked.toml", secret)


def event(number: int, user: str = "annabel", **changes: Any) -> dict[str, Any]:
    return music_event(
        number,
        userId=user,
        query="flowers for annabel",
        artist="annabel & co",
        timestamp=f"{DAY}T10:00:0{number}Z",
        **changes,
    )


async def ingest(bigtable: Bigtable, made: Contract, *events: dict[str, Any] | bytes) -> None:
    pipeline = IngestPipeline(bigtable, made)
    for each in events:
        data = each if isinstance(each, bytes) else lines([each])
        await pipeline.process(message(data, published=PUBLISHED))


def everything(settings: Settings) -> str:
    return repr([dump(settings, table) for table in TABLES])


async def test_masked_values_are_in_no_table(bigtable: Bigtable, settings: Settings) -> None:
    warned = TEXT.replace("[fields.artist]", '[fields.artist]\nseverity = "warn"')
    await ingest(
        bigtable,
        contract(warned),
        event(1),
        event(2, event_type="dance"),
        event(3, "ANNABEL"),
        {**event(4), "artist": {"of": "annabel"}},
        b'{"userId": "annabel", ',
        b"\x1f\x8bannabel",
    )
    summary = await AggregatePipeline(bigtable, contract(warned), cpu=1.0).run(DAY)

    assert (summary.events, summary.rejected) == (2, 4)
    assert "annabel" not in everything(settings).lower()


async def test_a_replayed_event_is_masked_once(bigtable: Bigtable, settings: Settings) -> None:
    strict, corrected = contract(), contract(TEXT.replace('"click"', '"click", "dance"'))
    await ingest(bigtable, strict, event(1, event_type="dance"))

    class Topic:
        events_topic = "events"

        async def publish(self, _topic: str, messages: list[Any]) -> list[str]:
            for each in messages:
                await IngestPipeline(bigtable, corrected).process(
                    Message(each.data, "1", PUBLISHED, dict(each.attributes))
                )
            return []

    topic: Any = Topic()
    replay = await replay_rejected(bigtable, topic, corrected)
    replayed = dump(settings, "events")
    await ingest(bigtable, corrected, event(1, event_type="dance"))

    assert (replay.passing, replay.stored) == (1, 1)
    assert len(replayed) == 1
    assert dump(settings, "events") == replayed
    assert dump(settings, "rejected") == {}


async def test_a_masked_user_is_erased_by_the_plain_name(bigtable: Bigtable, settings: Settings) -> None:
    made = contract()
    await ingest(
        bigtable, made, event(1), event(2, "bob"), event(3, event_type="dance"), event(4, "bob", event_type="x")
    )
    await AggregatePipeline(bigtable, made, cpu=1.0).run(DAY)
    users = Users(made, ["annabel"])
    plan = await make_plan(bigtable, made, users, None)

    outcome = await Eraser(bigtable, made, cpu=1.0).erase(users, plan)

    counts = plan.survey.counts
    assert (counts.events, counts.rejected, counts.aggregates, outcome.left) == (1, 1, 1, Counts())
    (masked,) = users.stored
    assert masked not in everything(settings)
    assert (len(dump(settings, "events")), len(dump(settings, "rejected"))) == (1, 1)


async def test_another_key_is_refused_like_another_layout(bigtable: Bigtable, settings: Settings) -> None:
    await ingest(bigtable, contract(), event(1))

    with pytest.raises(LayoutChangedError, match="mask_key"):
        await ingest(bigtable, contract(secret=SECRET + "!"), event(1))
    with pytest.raises(LayoutChangedError, match="mask_key"):
        await make_plan(
            bigtable, contract(secret=SECRET + "!"), Users(contract(secret=SECRET + "!"), ["annabel"]), None
        )


def test_the_client_reads_a_masked_user_by_either_name(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "masked.toml"
    path.write_text(TEXT, "utf-8")
    masked = replace(settings, contract=path, mask_key=SECRET)
    with BigTableClient(settings=masked) as client:
        client.write_event("annabel", "1", {"event_type": "click", "query": "q", "timestamp": f"{DAY}T10:00:00Z"})

        (found,) = client.get_user_events("annabel", PUBLISHED.replace(hour=0), PUBLISHED)

        assert found["user_id"] == load_contract(path, SECRET).mask_key.mask("annabel")  # type: ignore[union-attr] - it has the key
        assert "query" not in found
        assert client.get_user_events(found["user_id"], PUBLISHED.replace(hour=0), PUBLISHED) == [found]
    with pytest.raises(SettingsError, match="SLUICE_MASK_KEY: found nothing"):
        BigTableClient(settings=replace(masked, mask_key=""))
