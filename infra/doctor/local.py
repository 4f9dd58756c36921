"""Find out what is missing before it is missed: programs, settings, contract, servers, tables and topics."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
from grpc import StatusCode
from grpc.aio import AioRpcError

from infra.local import emulators
from infra.local.stack_file import StackFile
from infra.provision.google_api import LOGIN
from infra.provision.resources import RESOURCES
from shared.bigtable.client import Bigtable
from shared.bigtable.read_rows import Scan
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.errors import SettingsError, SluiceError

# Seconds; a server that is there answers at once.
_PATIENCE = 5.0
_OLDEST_PYTHON = (3, 11)


class CheckResult(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    text: str


def examine(contract_file: Path, environment: Mapping[str, str] | None = None) -> list[CheckResult]:
    """Look at everything that a local stack, or the functions, need.

    Args:
        contract_file: the contract that would be used.
        environment: the variables; those of the process by default.
    """
    findings = [
        _tried("python", _python),
        _tried("java", lambda: str(emulators.find_java())),
        _tried("bigtable emulator", lambda: str(emulators.find_bigtable())),
        _tried("pubsub emulator", lambda: str(emulators.find_pubsub())),
        _tried("contract", lambda: _contract(contract_file)),
    ]
    try:
        settings = Settings.from_environment(environment, contract=contract_file)
    except SluiceError as error:
        text = f"{error}; only what runs on a stack of its own, such as `sluice run`, works without"
        return [*findings, CheckResult("settings", ok=True, text=text)]
    where = settings.bigtable_emulator or "Google Cloud"
    findings.append(CheckResult("settings", ok=True, text=f"{settings.project_id}/{settings.instance_id} on {where}"))
    findings += readable_tables(settings)
    findings += _figures(settings)
    return findings


def readable_tables(settings: Settings) -> list[CheckResult]:
    """Try to read every table, as the functions would."""
    return asyncio.run(_tables(replace(settings, store_deadline=_PATIENCE)))


def _figures(settings: Settings) -> list[CheckResult]:
    """Return what the local stack has done that the settings lead to, if they lead to one."""
    stack = StackFile.find(settings.bigtable_emulator) if settings.bigtable_emulator else None
    if stack is None:
        return []
    counts = stack.reader().read()
    return [
        CheckResult(what, ok=what != "problems" or not counts.problems["ERROR"], text=text)
        for what, text in counts.lines().items()
    ]


async def _tables(settings: Settings) -> list[CheckResult]:
    bigtable = Bigtable(settings)
    findings = []
    try:
        for table in RESOURCES.tables:
            try:
                async for _ in bigtable.read(table.name, Scan.prefix(b"doctor#", limit=1)):
                    break
                findings.append(CheckResult(f"table {table.name}", ok=True, text="can be read"))
            except SettingsError as error:  # no credentials, for this table or another
                return [*findings, CheckResult("tables", ok=False, text=f"{error}; `{LOGIN}`")]
            except SluiceError as error:
                cause = error.__cause__
                missing = isinstance(cause, AioRpcError) and cause.code() is StatusCode.NOT_FOUND
                mend = "; `sluice provision` makes it" if missing else ""
                findings.append(CheckResult(f"table {table.name}", ok=False, text=f"{error}{mend}"))
    finally:
        await bigtable.close()
    return findings


def _tried(what: str, look: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(what, ok=True, text=look())
    except SluiceError as error:
        return CheckResult(what, ok=False, text=str(error))


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} in {sys.prefix}" + ("" if sys.version_info >= _OLDEST_PYTHON else ", expected 3.11 or newer")


def _contract(path: Path) -> str:
    loaded = load_contract(path)
    return f"{loaded.name} ({path}): {len(loaded.fields)} fields, {len(loaded.aggregates)} aggregates"
