"""Measures are equal in this process and in a worker, and the worker never outlives its run."""

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

from shared.aggregate.rollup_runner import RollupRunner
from shared.aggregate.worker_process import WorkerProcess
from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from tests.support.samples import MUSIC_CONTRACT, ROOT
from tests.support.small_messages import small_contract

MUSIC = load_contract(MUSIC_CONTRACT)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to have two cores, with batches of about ten events."""
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 2)
    monkeypatch.setattr("shared.aggregate.rollup_runner._BATCH_BYTES", 1_000)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to have one core, with batches of about ten events."""
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 1)
    monkeypatch.setattr("shared.aggregate.rollup_runner._BATCH_BYTES", 1_000)


def users(count: int) -> list[list[bytes]]:
    """Return the events of each user."""
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


async def roll_up(contract: Contract, events: list[list[bytes]]) -> list[Any]:
    """Return all measures, decoded from JSON."""
    found: list[Any] = []
    async with RollupRunner(contract) as runner:
        for each in events:
            found += await runner.add([each])
        async for measured in runner.finish():
            found += measured
    return sorted(msgspec.json.decode(msgspec.json.encode(found)), key=repr)


def events_counted(measured: list[Any]) -> int:
    (whole_day,) = (measures for dimension, _, measures, _ in measured if dimension == "all")
    return int(whole_day["total_events"])


async def test_measures_are_equal_in_one_batch_in_process_and_in_a_worker(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_batch = await roll_up(MUSIC, users(200))
    monkeypatch.setattr(WorkerProcess, "_start", _unexpected_start)
    request.getfixturevalue("one_core")
    in_process = await roll_up(MUSIC, users(200))
    monkeypatch.undo()
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 2)
    monkeypatch.setattr("shared.aggregate.rollup_runner._BATCH_BYTES", 1_000)

    in_worker = await roll_up(MUSIC, users(200))

    assert events_counted(in_one_batch) == sum(map(len, users(200)))
    assert in_worker == in_process == in_one_batch


async def _unexpected_start(self: Any) -> None:
    raise AssertionError("found a worker process, expected none")


async def test_a_day_smaller_than_one_batch_starts_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.aggregate.rollup_runner._core_count", lambda: 2)
    monkeypatch.setattr(WorkerProcess, "_start", _unexpected_start)

    assert events_counted(await roll_up(MUSIC, users(20))) > 0
    states: dict[str, list[str]] = {"active_users": [], "unique_songs": []}
    assert await roll_up(MUSIC, []) == [["all", "all", dict(zip(ALL, (0, 0, 0, 0, None), strict=True)), states]]


ALL = ["total_events", "active_users", "unique_songs", "listening_seconds", "longest_seconds"]


async def test_all_values_are_returned_when_they_exceed_one_response(two_cores: None) -> None:
    contract = small_contract('[fields.x]\ntype = "integer"\n[aggregates.x]\nby = "x"\nn = "count"\n')

    found = await roll_up(contract, [[b'{"user":"ann","x":%d}' % number] for number in range(5_000)])

    assert len(found) == 5_000


@pytest.mark.parametrize(("cpu", "has_worker"), [(None, True), (2.0, True), (1.0, False), (0.5, False)])
async def test_a_worker_needs_two_declared_cpus(two_cores: None, cpu: float | None, has_worker: bool) -> None:
    async with RollupRunner(MUSIC, cpu) as runner:
        await add_users(runner)

        assert isinstance(runner._executor, WorkerProcess) is has_worker


async def test_two_declared_cpus_start_no_worker_on_one_core(one_core: None) -> None:
    async with RollupRunner(MUSIC, 2.0) as runner:
        await add_users(runner)

        assert not isinstance(runner._executor, WorkerProcess)


@pytest.fixture
async def runner_with_worker(two_cores: None) -> AsyncIterator[RollupRunner]:
    """A runner with a worker process."""
    async with RollupRunner(MUSIC) as runner:
        await add_users(runner)
        assert isinstance(runner._executor, WorkerProcess)
        yield runner


async def add_users(runner: RollupRunner) -> None:
    for each in users(20):
        await runner.add([each])


async def wait_for_three_requests(runner: RollupRunner) -> None:
    while len(runner._executor._pending_responses) < 3:  # type: ignore[union-attr]  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_pending_requests_fail_when_the_worker_ends(runner_with_worker: RollupRunner) -> None:
    process = runner_with_worker._executor._process  # type: ignore[union-attr]
    process.send_signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(add_users(runner_with_worker)) for _ in range(3)]
    await wait_for_three_requests(runner_with_worker)

    process.kill()

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"the rollup's worker process ended with exit code -9"}
    with pytest.raises(RuntimeError, match="exit code -9"):
        await add_users(runner_with_worker)


async def test_invalid_json_in_the_worker_fails_the_run(two_cores: None, capfd: pytest.CaptureFixture[str]) -> None:
    async with RollupRunner(MUSIC) as runner:
        with pytest.raises(RuntimeError, match="exit code 1"):
            await runner.add([[b"{" * 2_000]])

    assert "msgspec.DecodeError" in capfd.readouterr().err


async def test_a_cancelled_request_leaves_the_responses_of_others_intact(runner_with_worker: RollupRunner) -> None:
    process = runner_with_worker._executor._process  # type: ignore[union-attr]
    process.send_signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(runner_with_worker.add([users(400)[number] * 100])) for number in (1, 2, 3)]
    await wait_for_three_requests(runner_with_worker)
    waiting[0].cancel()
    process.send_signal(signal.SIGCONT)

    responses = await asyncio.gather(*waiting[1:])

    assert [measured[-1].value for measured in responses] == ["user-2", "user-3"]


async def test_leaving_the_runner_kills_the_worker(two_cores: None) -> None:
    async with RollupRunner(MUSIC) as runner:
        await add_users(runner)
        process = runner._executor._process  # type: ignore[union-attr]
        assert process.poll() is None

    assert process.returncode == -signal.SIGKILL


def test_the_worker_ends_when_its_parent_is_killed() -> None:
    program = (
        "import asyncio, os, signal, shared.aggregate.rollup_runner as m\n"
        "from tests.unit.shared.aggregate.test_rollup_runner import MUSIC, add_users\n"
        "m._BATCH_BYTES, m._core_count = 1_000, lambda: 2\n"
        "async def main():\n"
        "    runner = m.RollupRunner(MUSIC)\n"
        "    await add_users(runner)\n"
        "    print(runner._executor._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )

    # The worker inherits standard error, so this waits for the end of both processes.
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)

    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert int(ran.stdout)
    assert ran.stderr == b""
