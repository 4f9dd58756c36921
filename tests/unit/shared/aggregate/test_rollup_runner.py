"""A day's figures are the same wherever they are measured, and whoever measures them comes to an end."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from shared.aggregate.rollup_runner import RollupRunner, _Elsewhere
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from tests.support.samples import MUSIC_CONTRACT, ROOT
from tests.support.small_messages import small_contract

MUSIC = load_contract(MUSIC_CONTRACT)


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several, and batches of about ten events."""
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: 2)
    monkeypatch.setattr("shared.aggregate.rollup_runner._TOGETHER", 1_000)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: 1)
    monkeypatch.setattr("shared.aggregate.rollup_runner._TOGETHER", 1_000)


def users(count: int) -> list[list[bytes]]:
    """Return the events of users."""
    dice = random.Random(1)
    return [
        [
            msgspec.json.encode(
                {
                    "user_id": f"user-{user}",
                    "event_type": dice.choice(["song_play", "like"]),
                    "song_id": dice.choice(["s1", "s2", "s3", None]),
                    "duration": dice.choice([dice.random(), 1e300, -1e300, 2**63 - 1, 7, None]),
                }
            )
            for _ in range(dice.randrange(5))
        ]
        for user in range(count)
    ]


async def measured(made: Contract, events: list[list[bytes]]) -> tuple[int, list[Any]]:
    """Return how many events were counted, and all figures, as JSON has them."""
    found: list[Any] = []
    async with RollupRunner(made) as measuring:
        for each in events:
            found += await measuring.add([each])
        async for figures in measuring.finish():
            found += figures
    return measuring.events, sorted(msgspec.json.decode(msgspec.json.encode(found)), key=repr)


async def test_figures_are_the_same_wherever_they_are_measured(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = await measured(MUSIC, users(200))
    monkeypatch.setattr(_Elsewhere, "_start", _not_asked_for)
    request.getfixturevalue("one_core")
    in_batches = await measured(MUSIC, users(200))
    monkeypatch.undo()
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: 2)
    monkeypatch.setattr("shared.aggregate.rollup_runner._TOGETHER", 1_000)

    elsewhere = await measured(MUSIC, users(200))

    assert at_once[0] == sum(map(len, users(200)))
    assert elsewhere == in_batches == at_once


async def _not_asked_for(self: Any) -> None:
    raise AssertionError("a process is begun")


async def test_a_day_of_less_than_a_batch_needs_no_other_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.aggregate.rollup_runner._cores", lambda: 2)
    monkeypatch.setattr(_Elsewhere, "_start", _not_asked_for)

    assert (await measured(MUSIC, users(20)))[0] > 0
    assert await measured(MUSIC, []) == (0, [["all", "all", dict(zip(ALL, (0, 0, 0, 0, None), strict=True))]])


ALL = ["total_events", "active_users", "unique_songs", "listening_seconds", "longest_seconds"]


async def test_more_values_than_one_answer_has(cores: None) -> None:
    made = small_contract('[fields.x]\ntype = "integer"\n[aggregates.x]\nby = "x"\nn = "count"\n')

    _, found = await measured(made, [[b'{"user":"ann","x":%d}' % number] for number in range(5_000)])

    assert len(found) == 5_000


@pytest.fixture
async def begun(cores: None) -> AsyncIterator[RollupRunner]:
    """A day that is measured elsewhere already."""
    async with RollupRunner(MUSIC) as measuring:
        for each in users(20):
            await measuring.add([each])
        assert isinstance(measuring._place, _Elsewhere)
        yield measuring


async def ask(measuring: RollupRunner) -> None:
    for each in users(20):
        await measuring.add([each])


async def three_wait(measuring: RollupRunner) -> None:
    while len(measuring._place._answers) < 3:  # type: ignore[union-attr]  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_whoever_waits_is_told_that_the_process_has_ended(begun: RollupRunner) -> None:
    process = begun._place._process  # type: ignore[union-attr]
    process.send_signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(ask(begun)) for _ in range(3)]
    await three_wait(begun)

    process.kill()

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"the process that measures events ended with exit code -9"}
    with pytest.raises(RuntimeError, match="exit code -9"):
        await ask(begun)


async def test_events_that_are_no_json_end_it(cores: None, capfd: pytest.CaptureFixture[str]) -> None:
    async with RollupRunner(MUSIC) as measuring:
        with pytest.raises(RuntimeError, match="exit code 1"):
            await measuring.add([[b"{" * 2_000]])

    assert "msgspec.DecodeError" in capfd.readouterr().err


async def test_who_is_cancelled_takes_no_answer_from_others(begun: RollupRunner) -> None:
    process = begun._place._process  # type: ignore[union-attr]
    process.send_signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(begun.add([users(400)[number] * 100])) for number in (1, 2, 3)]
    await three_wait(begun)
    waiting[0].cancel()
    process.send_signal(signal.SIGCONT)

    answers = await asyncio.gather(*waiting[1:])

    assert [figures[-1].value for figures in answers] == ["user-2", "user-3"]


async def test_leaving_ends_the_process(cores: None) -> None:
    async with RollupRunner(MUSIC) as measuring:
        await ask(measuring)
        process = measuring._place._process  # type: ignore[union-attr]
        assert process.poll() is None

    assert process.returncode == -signal.SIGKILL


def test_it_ends_with_the_process_that_reads() -> None:
    program = (
        "import asyncio, os, signal, shared.aggregate.rollup_runner as m\n"
        "from tests.unit.shared.aggregate.test_rollup_runner import MUSIC, ask\n"
        "m._TOGETHER, m._cores = 1_000, lambda: 2\n"
        "async def main():\n"
        "    measuring = m.RollupRunner(MUSIC)\n"
        "    await ask(measuring)\n"
        "    print(measuring._place._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )

    # The other process has its standard error from this one, so this waits for the end of both.
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)

    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert int(ran.stdout)
    assert ran.stderr == b""
