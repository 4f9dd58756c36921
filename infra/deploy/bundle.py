"""Build the bundles to deploy: a function, a copy of `shared/`, pinned requirements and the contract."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.provision.resources import ALL_FUNCTIONS
from shared.contracts.loader import load_contract
from shared.errors import SourceError

ROOT = Path(__file__).resolve().parents[2]

# The files of `shared/` to copy; caches and editor backups are left out.
_SUFFIXES = {".py", ".toml"}
_CASES = ".cases.toml"  # tests of a contract, which no function reads
# The package at the beginning of a pinned requirement, `name==1.0 ...`.
_PACKAGE = re.compile(rb"^[a-z0-9][a-z0-9._-]*(?===)", re.MULTILINE)
# The earliest time of a zip file (1980-01-01), so that the same input builds the same bytes.
_MODIFIED = 315_532_800


def make_bundles(build: Path, *, contract: Path, otlp: bool = False, root: Path = ROOT) -> list[Path]:
    """Build a bundle for each function; a complete new bundle replaces the previous one.

    Symbolic links are resolved, because `gcloud` doesn't follow them when it uploads.

    Args:
        build: the folder for the bundles; created if it doesn't exist.
        contract: the contract to copy into `shared/contracts/` under its own name.
        otlp: whether the bundle of ingest contains the OTLP exporter for its metrics; the others have none.
        root: the folder that contains `functions/` and `shared/`.

    Raises:
        ContractError: the contract is invalid.
        SourceError: a file can't be read or written.
    """
    load_contract(contract)
    bundles = []
    for function in ALL_FUNCTIONS:
        try:
            build.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{function}-", dir=build))
            try:
                _fill(temporary, root, function, contract, otlp=otlp and function == "ingest")
                target = build / function
                if target.exists():
                    shutil.rmtree(target)
                temporary.rename(target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        except OSError as error:
            raise SourceError(f"{error.filename or build}: the bundle can't be built: {error.strerror}") from None
        bundles.append(build / function)
    return bundles


def digest(bundle: Path) -> str:
    """Return the SHA-256 of a bundle: of the names, modes and contents of its files."""
    total = hashlib.sha256()
    for path in _files(bundle):
        name = path.relative_to(bundle).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{path.stat().st_mode:o}\0{content}\n".encode())
    return total.hexdigest()


def _fill(bundle: Path, root: Path, function: str, contract: Path, *, otlp: bool) -> None:
    source = root / "functions" / function
    _copy(source / "main.py", bundle / "main.py")
    requirements = (source / "requirements.txt").read_bytes()
    if otlp:
        requirements += _missing(requirements, (root / "functions" / "requirements-otlp.txt").read_bytes())
    _write(requirements, bundle / "requirements.txt")
    shared = root / "shared"
    for path in _files(shared):
        if path.suffix in _SUFFIXES and not path.name.endswith(_CASES):
            _copy(path, bundle / "shared" / path.relative_to(shared))
    _copy(contract, bundle / "shared" / "contracts" / contract.name)
    for folder in [bundle, *(path for path in bundle.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
        os.utime(folder, (_MODIFIED, _MODIFIED))


def _missing(pinned: bytes, others: bytes) -> bytes:
    """Return the other pinned requirements, with their hashes, whose packages aren't among the first ones."""
    names = set(_PACKAGE.findall(pinned))
    blocks = re.split(rb"^(?=\w)", others, flags=re.MULTILINE)
    return b"".join(block for block in blocks if (name := _PACKAGE.match(block)) and name[0] not in names)


def _copy(source: Path, target: Path) -> None:
    _write(source.read_bytes(), target)


def _write(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o644)
    os.utime(target, (_MODIFIED, _MODIFIED))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
