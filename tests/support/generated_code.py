"""Compares code that different versions of protoc generate from the same .proto file."""

from __future__ import annotations

import re


def without_version(code: str) -> str:
    """Return generated code without the version of protoc; newer ones declare a boolean argument as optional."""
    code = re.sub(r"(?m)^# Protobuf Python Version: .*$|^    \d+,$", "", code)
    return code.replace("_Optional[bool] = ...", "bool = ...")
