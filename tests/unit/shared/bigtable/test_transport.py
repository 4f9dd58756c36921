"""The transport sends the routing header and the credentials that Google's client sends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.api_core.gapic_v1 import routing_header
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcAsyncIOTransport
from pytest_mock import MockerFixture

from shared.bigtable import transport
from shared.errors import SettingsError
from tests.support.samples import ROOT


@pytest.mark.parametrize("app_profile", ["", "a&b c"])
def test_the_routing_header_equals_googles(app_profile: str) -> None:
    table = "projects/a project/instances/i/tables/t"
    parameters = {"table_name": table} | ({"app_profile_id": app_profile} if app_profile else {})

    assert transport._routing(table, app_profile) == routing_header.to_grpc_metadata(parameters)


def test_host_and_scopes_equal_googles() -> None:
    assert transport.HOST == BigtableClient.DEFAULT_ENDPOINT
    assert set(transport._SCOPES) <= set(BigtableGrpcAsyncIOTransport.AUTH_SCOPES)


async def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))

    with pytest.raises(SettingsError, match=r"^credentials of Google Cloud: .*nowhere.json"):
        transport.Transport(None)


def test_a_function_starts_without_googles_clients() -> None:
    """Google's clients take half as long to import as everything else together."""
    code = (
        "import sys, functions.ingest.main, functions.aggregate.main; "
        "print({'google.api_core', 'google.auth', 'google.cloud.bigtable_v2', 'proto', 'requests'} & {*sys.modules})"
    )

    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert completed.stdout == "set()\n"


async def test_a_call_to_google_carries_credentials(mocker: MockerFixture) -> None:
    default = mocker.patch("google.auth.default", return_value=(AnonymousCredentials(), "project"))
    channel = mocker.spy(grpc.aio, "secure_channel")

    await transport.Transport(None).close()

    default.assert_called_once_with(default_scopes=transport._SCOPES)
    (target, credentials), _ = channel.call_args
    assert target == transport.HOST
    assert isinstance(credentials, grpc.ChannelCredentials)
