"""Make the folders that are deployed: a function, its copy of `shared/`, its pinned requirements, its contract."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.contracts.loader import load_contract
from shared.errors import SourceError

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("ingest", "aggregate")

# What `shared/` is made of. Caches and whatever an editor leaves behind stay here.
_SUFFIXES = {".py", ".toml"}
# The earliest time a zip file can hold (1980-01-01): the same input has to make the same bytes.
_TIME = 315_532_800


def make_bundles(build: Path, *, contract: Path, root: Path = ROOT) -> list[Path]:
    """Make a bundle of each function; one that is there already is replaced when the new one is whole.

    Links are followed and copied, since `gcloud` doesn't follow them when it uploads.

    Args:
        build: where to, made if it isn't there.
        contract: goes into `shared/contracts/` under its own name.
        root: where `functions/` and `shared/` are.

    Raises:
        ContractError: the contract doesn't hold together.
        SourceError: something can't be read or written.
    """
    load_contract(contract)
    made = []
    for function in FUNCTIONS:
        try:
            build.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{function}-", dir=build))
            try:
                _fill(beside, root, function, contract)
                target = build / function
                if target.exists():
                    shutil.rmtree(target)
                beside.rename(target)
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
        except OSError as error:
            raise SourceError(f"{error.filename or build}: the bundle can't be made: {error.strerror}") from None
        made.append(build / function)
    return made


def digest(bundle: Path) -> str:
    """Return the SHA-256 of a bundle: of the names, modes and contents of its files."""
    total = hashlib.sha256()
    for path in _files(bundle):
        name = path.relative_to(bundle).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{path.stat().st_mode:o}\0{content}\n".encode())
    return total.hexdigest()


def _fill(bundle: Path, root: Path, function: str, contract: Path) -> None:
    source = root / "functions" / function
    _copy(source / "main.py", bundle / "main.py")
    _copy(source / "requirements.txt", bundle / "requirements.txt")
    shared = root / "shared"
    for path in _files(shared):
        if path.suffix in _SUFFIXES:
            _copy(path, bundle / "shared" / path.relative_to(shared))
    _copy(contract, bundle / "shared" / "contracts" / contract.name)
    for folder in [bundle, *(path for path in bundle.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
        os.utime(folder, (_TIME, _TIME))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    target.chmod(0o644)
    os.utime(target, (_TIME, _TIME))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
