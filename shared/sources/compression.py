"""Decompress gzip, bzip2 and Zstandard streams in bounded memory; data before damage is returned first."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from shared.errors import SourceError
from shared.sources import json_reader

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_BZIP2_MAGIC = b"BZh"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
_OTHER_KINDS = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet (.xlsx)",
    b"\xfd7zXZ\x00": "xz data",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x04\x22\x4d\x18": "LZ4 data",
}
_MAGIC_BYTES = 6

_MAX_ZSTD_BLOCK_BYTES = 128 * 1024  # RFC 8878, section 3.1.1.2.4
# Decompressed data that later blocks refer to. `zstd` itself reads at most this without an option.
_MAX_ZSTD_WINDOW_BYTES = 1 << 27

# Suffixes that a name has after that of its format.
SUFFIXES = (".gz", ".bz2", ".zst")

Read = Callable[[int], bytes]


class RawFile(io.RawIOBase):
    """Adapts a function that reads at most N bytes to the raw file that BufferedReader requires."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next data; return its size, 0 at the end."""
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def buffered(read: Read, stack: ExitStack) -> io.BufferedReader:
    """Return a buffered file over a function that reads at most N bytes; the stack closes it."""
    return stack.enter_context(io.BufferedReader(RawFile(read), json_reader.BUFFER_BYTES))


def decompressed(read: Read, name: str, stack: ExitStack) -> io.BufferedReader:
    """Return a buffered file of the decompressed data; the stack closes it.

    Raises:
        SourceError: the data is of a kind that can't be read, or a package is missing.
    """
    file = buffered(read, stack)
    start = file.peek(_MAGIC_BYTES)
    if start.startswith(_GZIP_MAGIC):
        # At damaged data, read would discard the bytes before the damage; read1 returns them.
        return buffered(stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb")).read1, stack)
    if start.startswith(_BZIP2_MAGIC):
        return buffered(_Bzip2(file).read, stack)
    if _is_zstd(start):
        return buffered(_Zstandard(file, name).read, stack)
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            raise SourceError(f"{name}: found {kind}, expected text, plain or as .gz, .bz2 or .zst; Parquet or Arrow")
    return file


def _is_zstd(start: bytes) -> bool:
    """Return whether data begins with a frame, or with a skippable one, whose magic has a variable first byte."""
    return start.startswith(_ZSTD_MAGIC) or (start[1:4] == b"\x2a\x4d\x18" and start[0] >> 4 == 5)


class _Bzip2:
    """Reads concatenated bzip2 streams. `BZ2File` would ignore all data from a damaged second stream on."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._stream: bz2.BZ2Decompressor | None = None
        self._unused = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, b"" at the end; raise EOFError or OSError for damaged data."""
        while True:
            if self._stream is None:
                self._unused = self._unused or self._file.read1(json_reader.BUFFER_BYTES)
                if not self._unused:
                    return b""
                self._stream = bz2.BZ2Decompressor()
            if self._stream.needs_input and not self._unused:
                self._unused = self._file.read1(json_reader.BUFFER_BYTES)
                if not self._unused:
                    raise EOFError("the bzip2 data ends within a stream")
            data, self._unused = self._stream.decompress(self._unused, size), b""
            if self._stream.eof:
                self._unused, self._stream = self._stream.unused_data, None
            if data:
                return data


class _Zstandard:
    """Reads concatenated Zstandard frames (RFC 8878).

    The decompressor of the package would hold all output of a piece of input, which can be thousands of times larger.
    A block is at most 128 KiB decompressed, so each is passed on its own.
    """

    def __init__(self, file: io.BufferedReader, name: str) -> None:
        try:
            import zstandard  # an optional package
        except ImportError:
            raise SourceError(f"{name}: found Zstandard data, expected the package: pip install zstandard") from None
        self._package = zstandard
        self._file = file
        self._frame: Any = None  # the decompressor of the current frame
        self._has_checksum = False
        self._output = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, b"" at the end; raise EOFError or OSError for damaged data."""
        while not self._output:
            if self._frame is None and not self._start_frame():
                return b""
            self._output = self._next_block()
        data, self._output = self._output[:size], self._output[size:]
        return data

    def _start_frame(self) -> bool:
        """Read the header of the next frame; return False at the end of the file."""
        while (magic := self._file.read(4)) and magic[1:] == b"\x2a\x4d\x18":  # a skippable frame
            left = int.from_bytes(self._exactly(4), "little")
            while left:
                left -= len(self._exactly(min(left, _MAX_ZSTD_BLOCK_BYTES)))
        if not magic:
            return False
        if magic != self._package.FRAME_HEADER:
            raise OSError(f"found {magic.hex()} where a Zstandard frame begins")
        descriptor = self._exactly(1)
        flags = descriptor[0]
        single_segment = bool(flags & 0x20)
        content_size_bytes = (int(single_segment), 2, 4, 8)[flags >> 6]
        dictionary_id_bytes = (0, 1, 2, 4)[flags & 3]
        fields = self._exactly((not single_segment) + dictionary_id_bytes + content_size_bytes)
        self._has_checksum = bool(flags & 4)
        decompressor = self._package.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
        self._frame = decompressor.decompressobj()
        self._decompress(magic + descriptor + fields)
        return True

    def _next_block(self) -> bytes:
        header = self._exactly(3)
        value = int.from_bytes(header, "little")
        is_last, kind, size = value & 1, value >> 1 & 3, value >> 3
        data = header + self._exactly(1 if kind == 1 else size)  # kind 1 repeats one byte
        if is_last and self._has_checksum:
            data += self._exactly(4)
        output = self._decompress(data)
        if is_last:
            self._frame = None
        return output

    def _decompress(self, data: bytes) -> bytes:
        try:
            output: bytes = self._frame.decompress(data)
        except self._package.ZstdError as error:
            raise OSError(str(error)) from error
        return output

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError("the Zstandard data ends within a frame")
        return data
