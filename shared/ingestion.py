"""Take events in: judge each one, then store the good and keep the bad, and only then say it is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from shared import envelope
from shared.bigtable import Bigtable
from shared.contract import Contract
from shared.envelope import Message, UnpackError
from shared.events import Events
from shared.findings import Finding, rules_broken
from shared.judgement import Accepted, Judgement, Rejected
from shared.keys import EPOCH
from shared.quarantine import Quarantine
from shared.recent import Recent
from shared.state import State

Verdict = Accepted | Rejected
Report = Callable[[Counter[str]], None]


def judged(judge: Judgement, message: Message) -> list[Verdict]:
    """Unpack a message and judge its events one by one; what can't be unpacked is rejected whole."""
    try:
        events = envelope.unpack(message)
    except UnpackError as error:
        return [Rejected(message.data, [Finding(error.rule, "", error.found, error.expected)])]
    return [judge(raw, message.published) for raw in events]


class Ingestion:
    """One process's way in.

    Attributes:
        counts: what it did: events stored and rejected, and how many broke each rule. `duplicate` counts, among the
            stored, those that came again soon.
    """

    def __init__(
        self, bigtable: Bigtable, contract: Contract, *, quality: bool = True, report: Report | None = None
    ) -> None:
        """Prepare, without doing anything yet.

        Args:
            bigtable: where to store.
            contract: what to hold events to.
            quality: False stores all that has an id, a user and a time.
            report: is told of what each `keep` did.
        """
        self.counts: Counter[str] = Counter()
        self._report = report
        self._judgement = Judgement(contract, quality=quality)
        self._contract = contract
        self._state = State(bigtable)
        self._events = Events(bigtable, contract.bucket)
        self._quarantine = Quarantine(bigtable)
        self._recent = Recent()
        self._ready = asyncio.Lock()
        self._held = False

    def judge(self, message: Message) -> list[Verdict]:
        """Unpack a message and judge its events one by one; what can't be unpacked is rejected whole."""
        return judged(self._judgement, message)

    def judge_all(self, raws: Iterable[bytes], published: datetime) -> list[Verdict]:
        """Judge events that are in no message."""
        return [self._judgement(raw, published) for raw in raws]

    async def keep(self, verdicts: Sequence[Verdict], published: datetime, source: str) -> None:
        """Store accepted events and quarantine rejected ones; returns when Bigtable has acknowledged all of it.

        Args:
            verdicts: of `judge`.
            published: when they were first published.
            source: the message they came in, or the file and line.

        Raises:
            TransientError: not all of it is stored; another try may succeed.
            PermanentError: no try will succeed before somebody changes something.
        """
        await self._hold_places()
        accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        rejected = [verdict for verdict in verdicts if isinstance(verdict, Rejected)]
        if rejected:
            await asyncio.gather(self._events.store(accepted), self._quarantine.keep(rejected, published, source))
        else:
            await self._events.store(accepted)
        await self._mark_late(accepted)
        counts = Counter(rule for event in rejected for rule in rules_broken(event.findings))
        counts["stored"] = len(accepted)
        counts["rejected"] = len(rejected)
        counts["duplicate"] = self._recent.count(verdict.place for verdict in accepted)
        self.counts += counts
        if self._report:
            self._report(counts)

    async def _hold_places(self) -> None:
        if not self._held:
            async with self._ready:
                if not self._held:
                    await self._state.hold_places(self._contract)
                    self._held = True

    async def _mark_late(self, accepted: Iterable[Accepted]) -> None:
        """Mark the earlier days among these, now that their events can be read."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        today = (midnight - EPOCH).days * 86_400_000_000
        days = {verdict.place.micros // 86_400_000_000 for verdict in accepted if verdict.place.micros < today}
        if days:
            await self._state.mark_late(datetime.fromtimestamp(day * 86_400, UTC).date() for day in days)
