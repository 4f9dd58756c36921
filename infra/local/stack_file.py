"""The file by which commands find the local stack that is running."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Self

import msgspec

from infra.provision.resources import LOCAL, RESOURCES, Resources
from shared.config import Settings

STACK_FILE = "stack.json"


class StackFile(msgspec.Struct, frozen=True):
    """Where a running stack is found, as it writes it into its own folder.

    Attributes:
        environment: the variables by which other programs find it.
        logs: of its functions, by name.
        stats: what the relay counts.
    """

    environment: dict[str, str]
    logs: dict[str, Path]
    stats: Path

    def write(self, folder: Path) -> None:
        """Put it into the stack's folder."""
        beside = folder / "stack.new"
        beside.write_bytes(msgspec.json.encode(self, enc_hook=str))
        beside.replace(folder / STACK_FILE)  # a reader sees all of it or nothing

    @classmethod
    def find(cls, bigtable_emulator: str) -> Self | None:
        """Return the file of the stack whose Bigtable is at that address; None if none of this machine's is."""
        for path in sorted(Path(tempfile.gettempdir()).glob(f"sluice-*/{STACK_FILE}")):
            try:
                found = msgspec.json.decode(path.read_bytes(), type=cls, dec_hook=lambda kind, text: kind(text))
            except (OSError, msgspec.DecodeError):
                continue  # it ends at this moment, or belongs to somebody else
            if found.environment.get("BIGTABLE_EMULATOR_HOST") == bigtable_emulator:
                return found
        return None


def declared(settings: Settings) -> Resources:
    """Return what is declared for the place that the settings lead to: the local stack delivers again sooner."""
    stack = StackFile.find(settings.bigtable_emulator) if settings.bigtable_emulator else None
    local = stack is not None and stack.environment.get("GCP_PROJECT_ID") == settings.project_id
    return LOCAL if local else RESOURCES
