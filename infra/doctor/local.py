"""Check the requirements of a local stack or of the functions: programs, settings, contract, servers and tables."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from grpc import StatusCode
from msgspec.structs import replace

from infra.local import google_emulators
from infra.local.stack_file import StackFile
from infra.provision.google_api import LOGIN
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.bigtable.read_rows import Scan
from shared.bigtable.transport import CallError
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError, SluiceError

_READ_DEADLINE = 5.0  # seconds
_MIN_PYTHON = (3, 11)


class CheckResult(msgspec.Struct, frozen=True):
    """The result of one check."""

    what: str
    ok: bool
    text: str


def examine(contract_file: Path, environment: Mapping[str, str] | None = None) -> list[CheckResult]:
    """Check everything that a local stack, or the functions, need.

    Args:
        contract_file: the contract to check.
        environment: the environment variables; those of the process by default.
    """
    results = [
        _check("python", _python),
        _google_emulators(),
        _check("contract", lambda: _contract(contract_file)),
    ]
    try:
        settings = Settings.from_environment(environment, contract=contract_file)
    except SluiceError as error:
        text = f"{error}; without it, only commands with their own stack work, such as `sluice run`"
        return [*results, CheckResult("settings", ok=True, text=text)]
    where = settings.bigtable_emulator or "Google Cloud"
    results.append(CheckResult("settings", ok=True, text=f"{settings.project_id}/{settings.instance_id} on {where}"))
    results += readable_tables(settings)
    results += _stack_results(settings)
    return results


def readable_tables(settings: Settings) -> list[CheckResult]:
    """Read from every table, with the client of the functions."""
    return asyncio.run(_read_tables(replace(settings, store_deadline=_READ_DEADLINE)))


def _stack_results(settings: Settings) -> list[CheckResult]:
    """Return the counts of the local stack whose functions are those of the pipeline, if any."""
    stack = StackFile.find(settings.bigtable_emulator) if settings.bigtable_emulator else None
    if stack is None or not stack.serves(settings):
        return []
    counts = stack.reader().read()
    return [
        CheckResult(what, ok=what != "problems" or not counts.problems["ERROR"], text=text)
        for what, text in counts.lines().items()
    ]


async def _read_tables(settings: Settings) -> list[CheckResult]:
    results = []
    async with Bigtable(settings) as bigtable:
        for table in RESOURCES.tables:
            what = f"table {settings.resource(table.name)}"
            try:
                async for _ in bigtable.read(table.name, Scan.prefix(b"doctor#", limit=1)):
                    break
                results.append(CheckResult(what, ok=True, text="can be read"))
            except SettingsError as error:  # no credentials, which fails every table alike
                return [*results, CheckResult("tables", ok=False, text=f"{error}; `{LOGIN}`")]
            except SluiceError as error:
                cause = error.__cause__
                missing = isinstance(cause, CallError) and cause.code is StatusCode.NOT_FOUND
                remedy = "; `sluice provision` makes it" if missing else ""
                results.append(CheckResult(what, ok=False, text=f"{error}{remedy}"))
    return results


def _check(what: str, check: Callable[[], str]) -> CheckResult:
    """Run a check that returns a text, or raises SluiceError."""
    try:
        return CheckResult(what, ok=True, text=check())
    except SluiceError as error:
        return CheckResult(what, ok=False, text=str(error))


def _google_emulators() -> CheckResult:
    """Return the programs of Google's emulators; they are optional."""
    what = "Google's emulators"
    try:
        found = google_emulators.find_bigtable(), google_emulators.find_pubsub(), google_emulators.find_java()
    except SluiceError as error:
        return CheckResult(what, ok=True, text=f"{error}\nOnly `--emulators google` needs them")
    return CheckResult(what, ok=True, text=", ".join(map(str, found)))


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} in {sys.prefix}" + ("" if sys.version_info >= _MIN_PYTHON else ", expected 3.11 or newer")


def _contract(path: Path) -> str:
    loaded = load_contract(path)
    return f"{loaded.name} ({path}): {len(loaded.fields)} fields, {len(loaded.aggregates)} aggregates"
