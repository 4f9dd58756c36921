"""The last messages have the verdict of the function on their events, in bounded time and size."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from infra.console.flow.messages import LastMessages, last_message
from infra.emulators.protos import pubsub_pb2 as pb
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.pubsub.message import FIRST_PUBLISHED
from shared.validation.validator import Validator
from tests.support.hostile import INVALID_JSON, UNUSUAL, content_of
from tests.support.samples import MUSIC_CONTRACT, lines, music_event

PUBLISHED = 1_705_399_200  # 2024-01-16T10:00:00Z
BAD = music_event(duration="long", userId=...)


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator(load_contract(MUSIC_CONTRACT))


def pushed(data: bytes, **attributes: str) -> pb.PubsubMessage:
    message = pb.PubsubMessage(data=data, message_id="7", attributes=attributes)
    message.publish_time.seconds = PUBLISHED
    return message


def test_a_message_has_the_verdicts_and_the_findings_of_its_events(validator: Validator) -> None:
    found = last_message(validator, pushed(lines([music_event(1), BAD, music_event(2)])))

    assert (found.verdict, found.more_findings) == ("2 accepted, 1 rejected", 0)
    assert {(each.rule, each.field) for each in found.findings} == {("required", "user_id"), ("type", "duration")}
    assert f"{found.published:%Y-%m-%d %H:%M}" == "2024-01-16 10:00"
    assert msgspec.json.decode(found.event) == music_event(1)


def test_a_large_message_is_validated_in_part(validator: Validator) -> None:
    found = last_message(validator, pushed(gzip.compress(lines([BAD] * 5_000))))

    assert found.verdict == "100 rejected, 4,900 not validated here"
    assert (len(found.findings), found.more_findings) == (3, 197)


def test_a_replayed_message_has_the_time_of_its_first_publication(validator: Validator) -> None:
    attributes = {FIRST_PUBLISHED: "2024-01-15T10:00:00Z"}
    found = last_message(validator, pushed(lines([music_event(timestamp="2024-01-15T20:00:00Z")]), **attributes))

    assert found.verdict == "1 rejected"
    assert [each.rule for each in found.findings] == ["future"]


def test_hostile_messages_have_a_verdict(validator: Validator) -> None:
    contents = [content_of(case.body()) for case in (*INVALID_JSON, *UNUSUAL)]
    for content in [*contents, b"", b"\x1f\x8bnothing", b"[]", b'{"a":"' + b"x" * 100_000 + b'"}']:
        found = last_message(validator, pushed(content))
        assert len(found.event) < 1_000
        assert len(found.findings) <= 3


async def test_without_the_embedded_pubsub_the_messages_are_unknown() -> None:
    for emulator in (None, "127.0.0.1:9"):
        messages = LastMessages(Settings("p", "i", pubsub_emulator=emulator), load_contract(MUSIC_CONTRACT))
        assert await messages.read() is None
        await messages.close()
