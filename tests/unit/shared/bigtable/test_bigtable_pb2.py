"""Our messages are Google's: whatever field one of them has, Google's has under the same number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud.bigtable_v2 import types
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from google.rpc.status_pb2 import Status
from grpc_tools import protoc

from shared.bigtable import bigtable_pb2
from tests.support.samples import ROOT

OWN = bigtable_pb2.DESCRIPTOR.message_types_by_name
# Answers of ReadRows and their chunks as bytes, many chunks at once, a field of many cells, and what became of many.
OTHERWISE = {
    "Answer": types.ReadRowsResponse,
    "Columns": types.ReadRowsResponse.CellChunk,
    "Times": types.Mutation.SetCell,
    "Outcome": types.MutateRowsResponse,
    "Outcomes": types.MutateRowsResponse.Entry,
}


def googles(name: str) -> Any:
    if name in ("BytesValue", "StringValue", "Status"):
        return {"BytesValue": BytesValue, "StringValue": StringValue, "Status": Status}[name].DESCRIPTOR
    if name == "CellChunk":
        return types.ReadRowsResponse.CellChunk.pb().DESCRIPTOR
    return (OTHERWISE.get(name) or getattr(types, name)).pb().DESCRIPTOR


def pairs(own: Any, theirs: Any) -> Iterator[tuple[Any, Any]]:
    """Yield our message and Google's, and so for those inside."""
    yield own, theirs
    for name, nested in own.nested_types_by_name.items():
        yield from pairs(nested, theirs.nested_types_by_name[name])


@pytest.mark.parametrize("name", OWN)
def test_fields_are_googles(name: str) -> None:
    for own, theirs in pairs(OWN[name], googles(name)):
        for field in own.fields:
            google = theirs.fields_by_name[field.name]
            assert field.number == google.number
            if name in OTHERWISE:
                assert field.is_repeated or not google.is_repeated
                continue
            assert (field.type, field.is_repeated) == (google.type, google.is_repeated)
            if field.message_type:
                assert field.message_type.name == google.message_type.name


def test_the_python_is_of_this_proto(tmp_path: Any) -> None:
    protoc.main(["protoc", f"-I{ROOT}/shared/bigtable", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "bigtable.proto"])

    for name in ("bigtable_pb2.py", "bigtable_pb2.pyi"):
        assert (ROOT / "shared" / "bigtable" / name).read_text() == (tmp_path / name).read_text()
