"""Administration of tables and instances."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
)
from google.cloud.bigtable_admin_v2.types import Table

from infra.emulators.bigtable.admin.service import _prefix_end
from tests.support.bigtable_calls import keys, outcome, set_cell, write
from tests.support.bigtable_emulator import Clients


async def protect(clients: Clients, table: str, flag: bool, *paths: str) -> Any:
    request = {
        "table": {"name": table, "deletion_protection": flag},
        "update_mask": {"paths": paths or ["deletion_protection"]},
    }
    return await clients.admin.update_table(request)


@pytest.mark.parametrize(
    ("table_id", "families", "error", "text"),
    [
        ("", ["a"], InvalidArgument, "table_id: found '', expected 1 to 50 characters"),
        ("t" * 51, ["a"], InvalidArgument, "table_id: found 't"),
        ("-t", ["a"], InvalidArgument, "table_id: found '-t'"),
        ("a/b", ["a"], InvalidArgument, "table_id: found 'a/b'"),
        ("t", ["f" * 65], InvalidArgument, "column family id: found 'f"),
        ("t", ["a:b"], InvalidArgument, "column family id: found 'a:b', expected 1 to 64 characters"),
        ("t", [f"f{number}" for number in range(101)], InvalidArgument, "column_families: found 101, expected 100"),
        ("existing", ["a"], AlreadyExists, r"Table already exists: .*/tables/existing"),
    ],
)
async def test_a_table_that_cannot_be_created(
    clients: Clients, table_id: str, families: list[str], error: type[GoogleAPICallError], text: str
) -> None:
    await clients.create_table("a", table_id="existing")

    with pytest.raises(error, match=text):
        await clients.create_table(*families, table_id=table_id)

    assert [table.name async for table in await clients.admin.list_tables(parent=clients.instance)] == [
        f"{clients.instance}/tables/existing"
    ]


async def test_names_are_validated(clients: Clients) -> None:
    for call in (clients.admin.get_table(name="t"), clients.admin.delete_table(name="projects/p/tables/t")):
        with pytest.raises(InvalidArgument, match=r"name: found .*, expected projects/<project>/instances/"):
            await call
    with pytest.raises(InvalidArgument, match="parent: found 'projects/p', expected projects/<project>/instances/"):
        await clients.admin.list_tables(parent="projects/p")
    assert await keys(clients, "t") == "INVALID_ARGUMENT"


async def test_tables_are_listed_in_pages(clients: Clients) -> None:
    for number in range(5):
        await clients.create_table(table_id=f"t{number}")

    pager = await clients.admin.list_tables({"parent": clients.instance, "page_size": 2})
    pages = [[table.name.rpartition("/")[2] for table in page.tables] async for page in pager.pages]

    assert pages == [["t0", "t1"], ["t2", "t3"], ["t4"]]


async def test_a_view_has_its_fields_alone(clients: Clients) -> None:
    table = await clients.create_table("a")
    views = {
        view: await clients.admin.get_table({"name": table, "view": view})
        for view in (Table.View.NAME_ONLY, Table.View.SCHEMA_VIEW, Table.View.REPLICATION_VIEW, Table.View.FULL)
    }

    assert [(list(each.column_families), list(each.cluster_states)) for each in views.values()] == [
        ([], []),
        (["a"], []),
        ([], ["local"]),
        (["a"], ["local"]),
    ]


async def test_a_protected_table_cannot_lose_data(clients: Clients) -> None:
    table = await clients.create_table("a")
    operation = await protect(clients, table, True)
    drop = [{"id": "a", "drop": True}]

    for call in (
        clients.admin.delete_table(name=table),
        clients.admin.modify_column_families(name=table, modifications=drop),
    ):
        with pytest.raises(FailedPrecondition, match="found deletion_protection = true, expected false"):
            await call

    assert await operation.done()
    assert (await operation.result()).deletion_protection
    await protect(clients, table, False)
    await clients.admin.modify_column_families(name=table, modifications=drop)
    await clients.admin.delete_table(name=table)


async def test_only_the_deletion_protection_can_be_updated(clients: Clients) -> None:
    table = await clients.create_table("a")

    with pytest.raises(MethodNotImplemented, match="update_mask: found change_stream_config, expected deletion_prot"):
        await protect(clients, table, True, "change_stream_config")
    with pytest.raises(InvalidArgument, match="update_mask: found nothing, expected deletion_protection"):
        await clients.admin.update_table({"table": {"name": table}})


@pytest.mark.parametrize(
    ("modification", "error", "text"),
    [
        ({"id": "a", "create": {}}, AlreadyExists, r"column family 'a' of .*: found it, expected a new one"),
        ({"id": "x", "drop": True}, NotFound, "column family of .*: found 'x', expected a, b"),
        ({"id": "x", "update": {}}, NotFound, "column family of .*: found 'x', expected a, b"),
        ({"id": "a", "drop": False}, InvalidArgument, "'a': found drop, expected create, update or drop = true"),
        ({"id": "a"}, InvalidArgument, "'a': found None, expected create, update or drop = true"),
        ({"id": "a b", "create": {}}, InvalidArgument, "column family id: found 'a b'"),
        ({"id": "a", "update": {}, "update_mask": {"paths": ["name"]}}, InvalidArgument, "update_mask: found name"),
        (
            {
                "id": "a",
                "update": {"value_type": {"int64_type": {}}},
                "update_mask": {"paths": ["value_type"]},
            },
            InvalidArgument,
            "value_type of 'a': found another type, expected the one it was created with",
        ),
        ({"id": "a", "update": {"gc_rule": {"max_num_versions": -1}}}, InvalidArgument, "max_num_versions: found -1"),
    ],
)
async def test_modifications_apply_together_or_not_at_all(
    clients: Clients, modification: dict[str, Any], error: type[GoogleAPICallError], text: str
) -> None:
    table = await clients.create_table("a", "b")
    await write(clients, table, {b"r": [set_cell(b"q", b"v", family="b")]})
    valid = [{"id": "c", "create": {}}, {"id": "b", "drop": True}, {"id": "b", "create": {}}]

    with pytest.raises(error, match=text):
        await clients.admin.modify_column_families(name=table, modifications=[*valid, modification])

    assert sorted((await clients.admin.get_table(name=table)).column_families) == ["a", "b"]
    assert await keys(clients, table) == [b"r"]


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", b""), (b"a\x00", b"a\x01"), (b"\xfe", b"\xff")]
)
def test_the_end_of_a_prefix_is_the_next_key(prefix: bytes, end: bytes) -> None:
    assert _prefix_end(prefix) == end


async def test_a_range_to_drop_is_required(clients: Clients) -> None:
    table = await clients.create_table("a")

    with pytest.raises(InvalidArgument, match="target: found none, expected row_key_prefix or delete_all"):
        await clients.admin.drop_row_range({"name": table})


async def test_samples_are_splits_and_keys_after_every_8_mebibytes(clients: Clients) -> None:
    table = await clients.create_table("a", initial_splits=[{"key": b"3"}, {"key": b"9"}, {"key": b"0"}])
    value = bytes(5 << 20)
    for key in (b"1", b"2", b"3", b"4", b"5"):
        await write(clients, table, {key: [set_cell(b"q", value)]})

    stream = await clients.data.sample_row_keys(table_name=table)
    samples = [(sample.row_key, round(sample.offset_bytes / (5 << 20), 3)) async for sample in stream]

    assert samples == [(b"0", 0), (b"2", 2), (b"3", 2), (b"4", 4), (b"9", 5), (b"", 5)]


async def test_any_instance_exists_and_those_with_tables_are_listed(clients: Clients) -> None:
    project = clients.instance.partition("/instances/")[0]
    await clients.create_table("a")

    instance = await clients.instances.get_instance(name=clients.instance)
    listed = await clients.instances.list_instances(parent=project)
    clusters = await clients.instances.list_clusters(parent=clients.instance)
    cluster = await clients.instances.get_cluster(name=f"{clients.instance}/clusters/local")
    profiles = [each async for each in await clients.instances.list_app_profiles(parent=clients.instance)]
    profile = await clients.instances.get_app_profile(name=f"{clients.instance}/appProfiles/default")

    assert instance in listed.instances
    assert list(clusters.clusters) == [cluster]
    assert profiles == [profile]
    assert (await clients.instances.list_instances(parent="projects/empty")).instances == []
    unknown = clients.instances.get_cluster(name=f"{clients.instance}/clusters/other")
    assert await outcome(unknown) == "NOT_FOUND"
