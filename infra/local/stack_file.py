"""The file by which commands find the running local stack."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Self

import msgspec

from infra.local.stats import StackCountsReader
from infra.provision.resources import LOCAL, LOCAL_WITH_LOADS, RESOURCES, Resources
from shared.config import Settings

STACK_FILE = "stack.json"


class StackFile(msgspec.Struct, frozen=True):
    """The location of a running stack, written into the folder of that stack.

    Attributes:
        environment: the variables by which other programs find the stack.
        logs: log files of its functions, by function.
        stats: file of the counts of deliveries.
        push: the address of each function that Pub/Sub pushes to.
        intraday_minutes: the interval of the intraday schedule; 0 without one.
        bucket: the bucket whose objects are loaded; "" without one.
        pid: the process of the stack. One that was killed leaves its file behind.
    """

    environment: dict[str, str]
    logs: dict[str, Path]
    stats: Path
    push: dict[str, str] = {}
    intraday_minutes: int = 0
    bucket: str = ""
    pid: int = msgspec.field(default_factory=os.getpid)

    def write(self, folder: Path) -> None:
        """Write the file into the folder of the stack."""
        temporary = folder / "stack.new"
        temporary.write_bytes(msgspec.json.encode(self, enc_hook=str))
        temporary.replace(folder / STACK_FILE)  # atomic: a reader never sees a partial file

    def reader(self) -> StackCountsReader:
        """Return a reader of the counts of this stack."""
        return StackCountsReader(self.logs, self.stats, self.environment.get("GCP_PROJECT_ID", ""))

    def serves(self, settings: Settings) -> bool:
        """Return whether the functions of the stack are those of a pipeline: they store into its tables."""
        names = self.environment.get("GCP_PROJECT_ID"), self.environment.get("SLUICE_NAME")
        return names == (settings.project_id, settings.name)

    @classmethod
    def find(cls, bigtable_emulator: str) -> Self | None:
        """Return the file of the stack on this machine whose Bigtable has that address; None if there is none."""
        for path in sorted(Path(tempfile.gettempdir()).glob(f"sluice-*/{STACK_FILE}")):
            try:
                found = msgspec.json.decode(path.read_bytes(), type=cls, dec_hook=lambda kind, text: kind(text))
            except (OSError, msgspec.DecodeError):
                continue  # the stack is ending, or belongs to another user
            if found.environment.get("BIGTABLE_EMULATOR_HOST") == bigtable_emulator and _is_running(found.pid):
                return found
        return None


def local_resources(
    settings: Settings, retention: Mapping[str, timedelta | None], intraday_minutes: int = 0
) -> Resources:
    """Return the declared resources on emulators; those of a running local stack redeliver sooner.

    Args:
        settings: of the project on the emulators.
        retention: the age up to which each of the named tables keeps data; None for all.
        intraday_minutes: the interval of the intraday schedule; 0 for that of a running local stack, or none.
    """
    stack = StackFile.find(settings.bigtable_emulator) if settings.bigtable_emulator else None
    if stack is None or stack.environment.get("GCP_PROJECT_ID") != settings.project_id:
        return RESOURCES.with_retention(retention).with_intraday(intraday_minutes)
    push = stack.push if stack.serves(settings) else {}
    declared = LOCAL_WITH_LOADS if stack.bucket else LOCAL
    resources = declared.with_push(push).with_retention(retention)
    return resources.with_intraday(intraday_minutes or stack.intraday_minutes)


def _is_running(pid: int) -> bool:
    with contextlib.suppress(PermissionError):  # it runs as another user
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
