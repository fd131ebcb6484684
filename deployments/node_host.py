"""The address of this node that the house's own processes use among themselves."""

import os

import ray

from deployments.local_cluster import ENGINE_HOST_ENV


def node_host() -> str:
    """This node's address in the cluster; loopback where the whole house is on one machine."""
    return os.environ.get(ENGINE_HOST_ENV) or str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
