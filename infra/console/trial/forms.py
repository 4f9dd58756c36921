"""Reads the forms of events and contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import BinaryIO, NamedTuple

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

_MAX_TEXT_BYTES, _MAX_FIELDS = 1024 * 1024, 4
_MAX_NAME_CHARS = 200


class Upload(NamedTuple):
    """The events of a form: a chosen file, or else the text.

    Attributes:
        name: of the file.
        text: what the form has as text, without carriage returns.
    """

    name: str
    file: BinaryIO
    text: str


@asynccontextmanager
async def reading(request: Request) -> AsyncIterator[FormData]:
    """Yield the fields of a form; its files are closed afterwards.

    Raises:
        HTTPException: 400, the form can't be read.
    """
    try:
        form = await request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_TEXT_BYTES)
    except HTTPException as error:
        text = f"the form can't be read: {error.detail} Expected at most 1 MiB of text and one file."
        raise HTTPException(400, text) from None
    try:
        yield form
    finally:
        await form.close()


def upload_of(form: FormData, text_name: str, file_name: str) -> Upload:
    """Return the events of a form from the fields with these names."""
    text, file = text_of(form, text_name), form.get(file_name)
    if isinstance(file, UploadFile) and file.filename:
        return Upload(file.filename[-_MAX_NAME_CHARS:], file.file, text)
    return Upload("pasted text", BytesIO(text.encode("utf-8", "surrogatepass")), text)


def text_of(form: FormData, name: str) -> str:
    """Return the text of a field, empty if there is none; browsers send CRLF as line ends."""
    text = form.get(name)
    return text.replace("\r\n", "\n") if isinstance(text, str) else ""
