"""The reads of google.bigtable.admin.v2.BigtableInstanceAdmin: any instance exists, with one cluster."""

from __future__ import annotations

import re
from typing import Any

import grpc

from infra.emulators import rpc
from infra.emulators.bigtable.admin import admin_pb2 as pb
from infra.emulators.bigtable.admin.names import check_instance_name, instance_of
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.errors import ApiError, invalid

CLUSTER = "local"
_APP_PROFILE = "default"
_SERVICE = "google.bigtable.admin.v2.BigtableInstanceAdmin"
_PROJECT = re.compile("projects/[^/]+")


class InstanceAdminService:
    """The methods of the service that read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler for a grpc.aio server."""
        methods = {
            "GetInstance": rpc.unary(pb.GetInstanceRequest, self.get_instance),
            "ListInstances": rpc.unary(pb.ListInstancesRequest, self.list_instances),
            "GetCluster": rpc.unary(pb.GetClusterRequest, self.get_cluster),
            "ListClusters": rpc.unary(pb.ListClustersRequest, self.list_clusters),
            "GetAppProfile": rpc.unary(pb.GetAppProfileRequest, self.get_app_profile),
            "ListAppProfiles": rpc.unary(pb.ListAppProfilesRequest, self.list_app_profiles),
        }
        return rpc.service(_SERVICE, methods)

    def get_instance(self, request: Any) -> Any:
        """Return an instance."""
        return _instance(check_instance_name(request.name, "name"))

    def list_instances(self, request: Any) -> Any:
        """Return the instances of a project that have tables."""
        if not _PROJECT.fullmatch(request.parent):
            raise invalid(f"parent: found {request.parent!r}, expected projects/<project>")
        names = sorted({instance_of(table.name) for table in self._tables})
        return pb.ListInstancesResponse(
            instances=[_instance(name) for name in names if name.startswith(f"{request.parent}/")]
        )

    def get_cluster(self, request: Any) -> Any:
        """Return the cluster of an instance."""
        return _cluster(_parent(request.name, f"clusters/{CLUSTER}"))

    def list_clusters(self, request: Any) -> Any:
        """Return the cluster of an instance."""
        return pb.ListClustersResponse(clusters=[_cluster(check_instance_name(request.parent, "parent"))])

    def get_app_profile(self, request: Any) -> Any:
        """Return the default profile of an instance."""
        return _app_profile(_parent(request.name, f"appProfiles/{_APP_PROFILE}"))

    def list_app_profiles(self, request: Any) -> Any:
        """Return the default profile of an instance."""
        return pb.ListAppProfilesResponse(app_profiles=[_app_profile(check_instance_name(request.parent, "parent"))])


def _parent(name: str, expected: str) -> str:
    """Return the instance of a resource; raises NOT_FOUND unless the rest of the name is the expected one."""
    instance, rest = "/".join(name.split("/")[:4]), "/".join(name.split("/")[4:])
    check_instance_name(instance, "name")
    if rest != expected:
        raise ApiError(grpc.StatusCode.NOT_FOUND, f"name: found {name!r}, expected {instance}/{expected}")
    return instance


def _instance(name: str) -> Any:
    display_name = name.rpartition("/")[2]
    return pb.Instance(name=name, display_name=display_name, state=pb.Instance.READY, type=pb.Instance.PRODUCTION)


def _cluster(instance: str) -> Any:
    project = instance.partition("/instances/")[0]
    return pb.Cluster(
        name=f"{instance}/clusters/{CLUSTER}",
        location=f"{project}/locations/{CLUSTER}",
        state=pb.Cluster.READY,
        serve_nodes=1,
    )


def _app_profile(instance: str) -> Any:
    routing = pb.AppProfile.SingleClusterRouting(cluster_id=CLUSTER, allow_transactional_writes=True)
    return pb.AppProfile(name=f"{instance}/appProfiles/{_APP_PROFILE}", single_cluster_routing=routing)
