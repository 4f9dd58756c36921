"""The admin messages of the emulator have the field names, numbers and types of Google's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc_tools
import pytest
from google.cloud.bigtable_admin_v2 import types
from google.longrunning.operations_pb2 import Operation
from grpc_tools import protoc

from infra.emulators.bigtable.admin import admin_pb2
from tests.support.generated_code import without_version
from tests.support.samples import ROOT

OWN = admin_pb2.DESCRIPTOR.message_types_by_name
FOLDER = ROOT / "infra" / "emulators" / "bigtable" / "admin"


def google_descriptor(name: str) -> Any:
    return Operation.DESCRIPTOR if name == "Operation" else getattr(types, name).pb().DESCRIPTOR


def descriptor_pairs(own: Any, google: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the descriptors of a message, the project's and Google's, and those of its nested messages."""
    yield own, google
    for name, nested in own.nested_types_by_name.items():
        yield from descriptor_pairs(nested, google.nested_types_by_name[name])


@pytest.mark.parametrize("name", OWN)
def test_fields_equal_googles(name: str) -> None:
    for own, google in descriptor_pairs(OWN[name], google_descriptor(name)):
        for field in own.fields:
            # proto-plus appends an underscore to names that Python has already.
            expected = google.fields_by_name.get(field.name) or google.fields_by_name[f"{field.name}_"]
            assert (field.number, field.type, field.is_repeated) == (
                expected.number,
                expected.type,
                expected.is_repeated,
            )
            if field.message_type:
                assert field.message_type.name == expected.message_type.name
        for name_, enum in own.enum_types_by_name.items():
            numbers = {value.name: value.number for value in google.enum_types_by_name[name_].values}
            assert {value.name: value.number for value in enum.values}.items() <= numbers.items()


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    well_known = Path(grpc_tools.__file__).with_name("_proto")
    protoc.main(["protoc", f"-I{FOLDER}", f"-I{well_known}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "admin.proto"])

    for name in ("admin_pb2.py", "admin_pb2.pyi"):
        found, expected = (FOLDER / name).read_text(), (tmp_path / name).read_text()
        assert without_version(found) == without_version(expected)
