"""Convert text of any encoding and line end to UTF-8 with LF; bytes that aren't in the encoding stay recognisable."""

from __future__ import annotations

import codecs
import io
from contextlib import ExitStack
from typing import NamedTuple

from shared.sources import json_reader
from shared.sources.compression import buffered

# Precedes each byte that isn't in the encoding. UTF-8 never contains it, so such text never passes as UTF-8.
INVALID = b"\xff"

_UTF8_MARK = codecs.BOM_UTF8
# The mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What text without a mark begins with: two ASCII characters.
_PATTERNS = ((b"x0x0", "utf-16-le"), (b"0x0x", "utf-16-be"), (b"x000", "utf-32-le"), (b"000x", "utf-32-be"))


class Text(NamedTuple):
    """A text file.

    Attributes:
        file: UTF-8 without a byte order mark.
        encoding: the encoding it was converted from, None if nothing was converted.
    """

    file: io.BufferedReader
    encoding: str | None


def utf8_text(file: io.BufferedReader, encoding: str | None, stack: ExitStack) -> Text:
    """Return the file as UTF-8 whose lines end in LF or CRLF; the stack closes it.

    A file with CR and without LF in its first 256 KiB has CR as its line end.

    Args:
        file: at its beginning.
        encoding: declared for the file; a byte order mark takes precedence. None is UTF-8, or the encoding that the
            first four bytes are certain to be in.
        stack: closes what is opened.
    """
    found, mark = _encoding_of(file.peek(4)[:4])
    if mark:
        file.read(len(mark))
    source = found if mark else encoding or found
    if source is not None and codecs.lookup(source).name not in ("utf-8", "utf-8-sig"):
        file = buffered(_Transcoder(file, source).read, stack)
    else:
        source = None
    start = file.peek(1)
    # A CR at the end may be the first half of a CRLF.
    if b"\r" in start[:-1] and b"\n" not in start:
        text = file
        file = buffered(lambda size: text.read1(size).replace(b"\r", b"\n"), stack)
    return Text(file, source)


def _encoding_of(start: bytes) -> tuple[str | None, bytes]:
    """Return the encoding that the first four bytes show, and the byte order mark among them."""
    if start.startswith(_UTF8_MARK):
        return "utf-8", _UTF8_MARK
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding, mark
    shape = "".join("0" if byte == 0 else "x" for byte in start)
    return next((encoding for pattern, encoding in _PATTERNS if pattern.decode() == shape), None), b""


class _Transcoder:
    """Reads a file in another encoding as UTF-8."""

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(_ERRORS)
        self._output = b""
        self._at_end = False

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, b"" at the end."""
        while not self._output and not self._at_end:
            data = self._file.read1(json_reader.BUFFER_BYTES)
            self._at_end = not data
            self._output = self._decoder.decode(data, self._at_end).encode("utf-8", "surrogateescape")
        data, self._output = self._output[:size], self._output[size:]
        return data


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    invalid = error.object[error.start : error.end]
    # Encoding with "surrogateescape" makes these the bytes again.
    return (INVALID + invalid).decode("ascii", "surrogateescape"), error.end


_ERRORS = "sluice.mark_invalid"
codecs.register_error(_ERRORS, _mark_invalid)


def describe_invalid(raw: bytes, encoding: str | None) -> str:
    """Return what was found in a row that isn't valid UTF-8, and what was expected.

    Args:
        raw: the row.
        encoding: what it was converted from; None if it wasn't.
    """
    if encoding is not None and (at := raw.find(INVALID)) >= 0:
        byte = raw[at + 1 : at + 2].hex()
        return f"found byte 0x{byte} at byte {at + 1} of the row, expected text in the encoding {encoding}"
    first = _first_invalid(raw)
    if first is None:
        return "found a lone surrogate, expected UTF-8"
    found = f"found byte 0x{raw[first]:02x} at byte {first + 1} of the row, expected UTF-8"
    guess = likely_encoding(raw)
    if guess is None:
        return found
    shown = raw[max(0, first - 20) : first + 20].decode(guess)
    return f"{found}; if {shown!r} is right, set encoding = {guess!r} in [source]"


def _first_invalid(raw: bytes) -> int | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def likely_encoding(data: bytes) -> str | None:
    """Return the encoding to suggest for text that isn't UTF-8; None if there is none to suggest.

    The bytes of single-byte encodings don't show which one it is, so a suggestion is never applied without a person.
    """
    try:
        data.decode("windows-1252")
    except UnicodeDecodeError:
        return None
    return None if any(byte < 0x20 and byte not in b"\t\n\v\f\r" for byte in data) else "windows-1252"
