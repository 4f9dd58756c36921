"""Large files of one repeated piece, and the peak memory of a process that reads one.

Text is generated into a pipe, so that 10 GB need no disk. A Parquet file is written to disk, with one row group.
"""

from __future__ import annotations

import bz2
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

# Reads standard input or a file, and prints the number of records and the peak of its resident memory in KiB.
_READER = """
import json, resource, sys
from pathlib import Path
from shared.sources.files import SourceReader, Unreadable
name, path = sys.argv[1:]
reader = SourceReader([Path(path) if path else None], stdin_name=name)
records = unreadable = 0
for item in reader:
    records += 1
    unreadable += type(item) is Unreadable
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"records": records, "unreadable": unreadable, "peak_kib": peak}))
"""
_PIECE_ROWS = 2_000


class Measurement(NamedTuple):
    """What one reader has read, and the peak of its resident memory."""

    name: str
    bytes: int
    records: int
    unreadable: int
    peak_mib: float


def _values() -> Iterator[dict[str, object]]:
    source = random.Random(1)
    for number in range(_PIECE_ROWS):
        yield {"id": number, "user": f"u{number % 97}", "text": source.randbytes(200).hex(), "amount": number / 8}


def _csv() -> tuple[bytes, bytes]:
    rows = "".join(f"{each['id']},{each['user']},{each['text']},{each['amount']}\n" for each in _values())
    return b"id,user,text,amount\n", rows.encode()


def _json_lines() -> tuple[bytes, bytes]:
    return b"", "".join(json.dumps(each) + "\n" for each in _values()).encode()


def _compressed(compress: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    header, rows = _csv()
    return compress(header), compress(rows)


# The head of a file, the piece that is repeated after it, and the size of that piece as text.
STREAMS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "rows.csv": _csv,
    "lines.jsonl": _json_lines,
    "rows.csv.gz": lambda: _compressed(lambda data: gzip.compress(data, 1)),
    "rows.csv.bz2": lambda: _compressed(bz2.compress),
    "rows.csv.zst": lambda: _compressed(zstandard.ZstdCompressor().compress),
}


def measure_stream(name: str, size: int) -> Measurement:
    """Return what a process needs to read a file of that name and of that many bytes of text from a pipe."""
    head, piece = STREAMS[name]()
    text_bytes = len(_json_lines()[1] if name == "lines.jsonl" else _csv()[1])
    with subprocess.Popen(
        [sys.executable, "-c", _READER, name, ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as reader:
        assert reader.stdin is not None
        reader.stdin.write(head)
        for _ in range(-(-size // text_bytes)):
            reader.stdin.write(piece)
        output, _ = reader.communicate()
    return _measurement(name, size, output)


def measure_parquet(folder: Path, size: int) -> Measurement:
    """Return what a process needs to read a Parquet file with that many bytes of text in one row group."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(list(_values()))
    path = folder / "rows.parquet"
    copies = -(-size // len(_csv()[1]))
    # A table of many references to one piece takes no memory of its own.
    whole = pyarrow.concat_tables([table] * copies)
    pyarrow.parquet.write_table(whole, path, row_group_size=whole.num_rows, use_dictionary=False, compression="zstd")
    output = subprocess.run([sys.executable, "-c", _READER, "", str(path)], stdout=subprocess.PIPE, check=True).stdout
    path.unlink()
    return _measurement("rows.parquet", size, output)


def _measurement(name: str, size: int, output: bytes) -> Measurement:
    found = json.loads(output)
    return Measurement(name, size, found["records"], found["unreadable"], round(found["peak_kib"] / 1024, 1))
