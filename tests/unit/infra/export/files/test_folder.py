"""A file in a folder appears as a whole or not at all."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.export.files.folder import Folder
from shared.errors import ExportError
from tests.support.samples import ROOT

PATH = "events/day=2024-01-15/part-000.parquet"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_visible_at_the_end_and_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    for content in (b"first", b"second"):
        with folder.new_file(PATH) as file:
            file.write(content)
            visible = names(tmp_path)
            assert [name for name in visible if not name.startswith(".")] == (
                [] if content == b"first" else ["part-000.parquet"]
            )
        assert (tmp_path / PATH).read_bytes() == content
        assert names(tmp_path) == ["part-000.parquet"]
    assert folder.size(PATH) == len("second")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    folder = Folder(tmp_path)

    with contextlib.suppress(error), folder.new_file(PATH) as file:
        file.write(b"half")
        raise error

    assert list((tmp_path / "events").iterdir()) == []
    assert folder.open(PATH) is None


def test_the_next_export_removes_what_a_killed_one_left_and_not_what_a_running_one_writes(tmp_path: Path) -> None:
    script = f"""if True:
        from pathlib import Path
        from infra.export.files.folder import Folder
        with Folder(Path({str(tmp_path)!r})).new_file({PATH!r}) as file:
            file.write(b"half")
            file.flush()
            print(flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        [half] = names(tmp_path)
        with Folder(tmp_path).new_file(PATH) as file:
            file.write(b"whole")
        assert names(tmp_path) == [half, "part-000.parquet"]

        other.send_signal(signal.SIGKILL)
        other.wait()
    assert names(tmp_path) == [half, "part-000.parquet"]
    with Folder(tmp_path).new_file(PATH) as file:
        file.write(b"again")

    assert names(tmp_path) == ["part-000.parquet"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Folder(tmp_path / "file")

    with pytest.raises(ExportError, match="file: can't be written: File exists"):
        folder.check()
    with (
        pytest.raises(ExportError, match=r"part-000\.parquet: can't be written: Not a directory"),
        folder.new_file(PATH),
    ):
        pass
