"""The protobuf messages of the project have the field names, numbers and types of Google's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud.bigtable_v2 import types
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from google.rpc.status_pb2 import Status
from grpc_tools import protoc

from shared.bigtable import bigtable_pb2
from tests.support.generated_code import without_version
from tests.support.samples import ROOT

OWN = bigtable_pb2.DESCRIPTOR.message_types_by_name
# Messages that read parts of Google's messages as bytes, or repeated ones as columns.
COLUMNAR = {
    "Answer": types.ReadRowsResponse,
    "Columns": types.ReadRowsResponse.CellChunk,
    "Times": types.Mutation.SetCell,
    "Outcome": types.MutateRowsResponse,
    "Outcomes": types.MutateRowsResponse.Entry,
}


def google_descriptor(name: str) -> Any:
    if name in ("BytesValue", "StringValue", "Status"):
        return {"BytesValue": BytesValue, "StringValue": StringValue, "Status": Status}[name].DESCRIPTOR
    if name == "CellChunk":
        return types.ReadRowsResponse.CellChunk.pb().DESCRIPTOR
    return (COLUMNAR.get(name) or getattr(types, name)).pb().DESCRIPTOR


def descriptor_pairs(own: Any, google: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the descriptors of a message, the project's and Google's, and those of its nested messages."""
    yield own, google
    for name, nested in own.nested_types_by_name.items():
        yield from descriptor_pairs(nested, google.nested_types_by_name[name])


@pytest.mark.parametrize("name", OWN)
def test_fields_equal_googles(name: str) -> None:
    for own, google in descriptor_pairs(OWN[name], google_descriptor(name)):
        for field in own.fields:
            expected = google.fields_by_name[field.name]
            assert field.number == expected.number
            if name in COLUMNAR:
                assert field.is_repeated or not expected.is_repeated
                continue
            assert (field.type, field.is_repeated) == (expected.type, expected.is_repeated)
            if field.message_type:
                assert field.message_type.name == expected.message_type.name


def test_the_generated_code_is_up_to_date(tmp_path: Any) -> None:
    protoc.main(["protoc", f"-I{ROOT}/shared/bigtable", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "bigtable.proto"])

    for name in ("bigtable_pb2.py", "bigtable_pb2.pyi"):
        found, expected = (ROOT / "shared" / "bigtable" / name).read_text(), (tmp_path / name).read_text()
        assert without_version(found) == without_version(expected)
