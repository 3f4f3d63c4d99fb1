# SPDX-License-Identifier: Apache-2.0
"""How soon a change of a route is served after the API server has accepted it."""
import os
import statistics
import time

from cluster import PROGRAMS, Cluster
from hg import *

CHANGES = 300
GATEWAY = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"},
           "spec": {"gatewayClassName": "headgate",
                    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}


def route(number):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"},
            "spec": {"parentRefs": [{"name": "g"}], "rules": [{"filters": [{
                "type": "RequestRedirect", "requestRedirect": {
                    "path": {"type": "ReplaceFullPath", "replaceFullPath": f"/{number}"}}}]}]}}


def address_of(cluster):
    addresses = cluster.api.get(cluster.api.path_of(GATEWAY)).get("status", {}).get("addresses")
    return addresses and addresses[0]["value"]


def answers(client, number):
    answer = client.get("/")
    if answer.status == 302 and answer.header("Location").endswith(f"/{number}"):
        return True
    time.sleep(0.001)
    return False


@test("each change of a route that the API server accepts is served; how soon: build/conformance/changes.txt",
      timeout=300, serial=True, needs=("root", "netns"))
def changes():
    cluster = Cluster("standard")
    gateway = cluster.serve()
    cluster.api.apply(GATEWAY)
    cluster.api.apply(route(0))
    address = wait_until(lambda: address_of(cluster), 30, "the address of the Gateway")
    client = Raw((address, 80), netns=cluster.namespace)
    wait_until(lambda: answers(client, 0), 30, "the route")
    took = []
    for number in range(1, CHANGES + 1):
        cluster.api.apply(route(number))
        start = time.monotonic()
        wait_until(lambda n=number: answers(client, n), 30, f"change {number}")
        took.append(1000 * (time.monotonic() - start))
    cuts = statistics.quantiles(took, n=100)
    with open(os.path.join(PROGRAMS, "changes.txt"), "w", encoding="ascii") as file:
        file.write(f"{CHANGES} changes of a route, from the answer of the API server until it is served, ms: "
                   f"median {cuts[49]:.0f}, p90 {cuts[89]:.0f}, p99 {cuts[98]:.0f}, most {max(took):.0f}\n")
    gateway.stop()
