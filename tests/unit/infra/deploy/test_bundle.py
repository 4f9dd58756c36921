"""Bundles: contents, reproducible bytes, and atomic replacement."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from infra.deploy import bundle
from shared.errors import ContractError, SourceError
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY_CONTRACT


def contents(folder: Path) -> dict[str, tuple[bytes, int, float]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_bundle_contains_exactly_the_files_of_a_function(tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    shutil.copytree(ROOT / "functions", root / "functions")
    shutil.copytree(ROOT / "shared", root / "shared")
    (root / "shared" / "__pycache__").mkdir(exist_ok=True)
    (root / "shared" / "__pycache__" / "row_keys.cpython-311.pyc").write_bytes(b"cache")
    (root / "shared" / "row_keys.py~").write_text("editor backup")
    contract = tmp_path / "mine.toml"
    contract.write_bytes(SPARKIFY_CONTRACT.read_bytes())

    bundles = bundle.make_bundles(tmp_path / "build", contract=contract, root=root)

    assert [made.name for made in bundles] == ["ingest", "aggregate", "query", "load"]
    for made in bundles:
        names = set(contents(made))
        assert {"main.py", "requirements.txt", "shared/row_keys.py", "shared/contracts/mine.toml"} <= names
        assert {name.split("/")[0] for name in names} == {"main.py", "requirements.txt", "shared"}
        assert all(name.endswith((".py", ".toml", ".txt")) for name in names)
        assert (made / "main.py").read_bytes() == (ROOT / "functions" / made.name / "main.py").read_bytes()
        assert "--hash=sha256:" in (made / "requirements.txt").read_text()


def pins(requirements: str) -> list[str]:
    return re.findall(r"^([a-z0-9._-]+==\S+)", requirements, re.MULTILINE)


def test_the_otlp_exporter_is_added_to_ingest_alone(tmp_path: Path) -> None:
    plain = {made.name: made for made in bundle.make_bundles(tmp_path / "plain", contract=MUSIC_CONTRACT)}
    otlp = {made.name: made for made in bundle.make_bundles(tmp_path / "otlp", contract=MUSIC_CONTRACT, otlp=True)}

    assert contents(otlp["aggregate"]) == contents(plain["aggregate"])
    assert contents(otlp["query"]) == contents(plain["query"])
    assert contents(otlp["load"]) == contents(plain["load"])
    before, after = ((each["ingest"] / "requirements.txt").read_text() for each in (plain, otlp))
    assert after.startswith(before)
    added = pins(after.removeprefix(before))
    assert {pin.split("==")[0] for pin in added} & {pin.split("==")[0] for pin in pins(before)} == set()
    assert any(pin.startswith("opentelemetry-exporter-otlp-proto-http==") for pin in added)
    assert set(added) <= set(pins((ROOT / "functions" / "requirements-otlp.txt").read_text()))
    for requirement in re.split(r"^(?=\w)", after, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in requirement


def test_the_otlp_exporter_agrees_with_the_pins_of_the_functions() -> None:
    otlp = dict(pin.split("==") for pin in pins((ROOT / "functions" / "requirements-otlp.txt").read_text()))

    for function in bundle.ALL_FUNCTIONS:
        pinned = pins((ROOT / "functions" / function / "requirements.txt").read_text())
        own = dict(pin.split("==") for pin in pinned)
        shared = otlp.keys() & own.keys()
        assert "opentelemetry-sdk" in shared
        assert {name: otlp[name] for name in shared} == {name: own[name] for name in shared}


def test_query_has_the_pins_of_ingest() -> None:
    ingest, query = ((ROOT / "functions" / name / "requirements.txt").read_bytes() for name in ("ingest", "query"))

    assert query == ingest


def test_the_same_input_builds_the_same_bytes(tmp_path: Path) -> None:
    first = bundle.make_bundles(tmp_path / "a", contract=MUSIC_CONTRACT)
    os.utime(MUSIC_CONTRACT)
    second = bundle.make_bundles(tmp_path / "b" / "deep", contract=MUSIC_CONTRACT)

    assert [contents(made) for made in first] == [contents(made) for made in second]
    assert [bundle.digest(made) for made in first] == [bundle.digest(made) for made in second]
    (first[0] / "shared" / "row_keys.py").write_text("other")
    assert bundle.digest(first[0]) != bundle.digest(second[0])


def test_a_new_bundle_replaces_the_whole_previous_one(tmp_path: Path) -> None:
    [ingest, *_] = bundle.make_bundles(tmp_path, contract=MUSIC_CONTRACT)
    (ingest / "left.py").write_text("previous build")

    bundle.make_bundles(tmp_path, contract=MUSIC_CONTRACT)

    assert not (ingest / "left.py").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aggregate", "ingest", "load", "query"]


def test_an_interrupted_build_keeps_the_previous_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [ingest, *_] = bundle.make_bundles(tmp_path, contract=MUSIC_CONTRACT)
    before = contents(ingest)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "_fill", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bundle.make_bundles(tmp_path, contract=MUSIC_CONTRACT)

    assert contents(ingest) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aggregate", "ingest", "load", "query"]


def test_symbolic_links_are_copied_as_files(tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    shutil.copytree(ROOT / "functions", root / "functions")
    shutil.copytree(ROOT / "shared", root / "shared")
    (root / "shared" / "linked.py").symlink_to(root / "shared" / "row_keys.py")

    [ingest, *_] = bundle.make_bundles(tmp_path / "build", contract=MUSIC_CONTRACT, root=root)

    assert not (ingest / "shared" / "linked.py").is_symlink()
    assert (ingest / "shared" / "linked.py").read_bytes() == (root / "shared" / "row_keys.py").read_bytes()


def test_a_failed_build_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file: the bundle can't be built"):
        bundle.make_bundles(tmp_path / "file", contract=MUSIC_CONTRACT)
    with pytest.raises(SourceError, match=r"main\.py: the bundle can't be built: No such file"):
        bundle.make_bundles(tmp_path / "build", contract=MUSIC_CONTRACT, root=tmp_path)
    (tmp_path / "wrong.toml").write_text("version = 2")
    with pytest.raises(ContractError, match=r"wrong\.toml"):
        bundle.make_bundles(tmp_path / "build", contract=tmp_path / "wrong.toml")


def test_a_bundle_has_no_cases_of_contracts(tmp_path: Path) -> None:
    assert (ROOT / "shared" / "contracts" / "music.cases.toml").exists()

    for made in bundle.make_bundles(tmp_path / "build", contract=MUSIC_CONTRACT):
        assert [name for name in contents(made) if ".cases." in name] == []
