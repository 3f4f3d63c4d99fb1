# SPDX-License-Identifier: Apache-2.0
"""Objects of a Kubernetes API server: addresses of Gateways from a pool, from a load balancer, of others."""
from hg import *
from hg.api_server import ApiServer, failure

CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
         "metadata": {"name": "headgate"}, "spec": {"controllerName": "headgate.dev/gateway"}}


def gateway_object(name, port, second, **spec):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{second:02}Z"},
            "spec": {"gatewayClassName": "headgate", **spec,
                     "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]}}


def route(name):
    """Says by which Gateway a request came."""
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": name}], "rules": [{"filters": [{
                "type": "RequestRedirect", "requestRedirect": {
                    "path": {"type": "ReplaceFullPath", "replaceFullPath": f"/{name}"}}}]}]}}


def serve(server, *args, **options):
    return Gateway(files={"static.yaml": "config: {splice: {mode: off}}\n"},
                   args=["--kubeconfig", server.kubeconfig, *args], **options)


def addresses(server, name):
    return [(one["type"], one["value"]) for one in server.status("Gateway", name).get("addresses", [])]


def programmed(server, name):
    return [(one["status"], one["reason"]) for one in server.status("Gateway", name).get("conditions", [])
            if one["type"] == "Programmed"]


def who(address, port):
    return fetch(f"{address}:{port}", "/", host="a").header("Location").rsplit("/", 1)[1]


@test("Gateways on the same port get an address each from the pool, keep it in their status, and take a free "
      "one when there is one", timeout=60)
def pool():
    server, port = ApiServer(), free_port()
    server.put(CLASS, *[gateway_object(name, port, 1 + second) for second, name in enumerate("bac")],
               *[route(name) for name in "abc"])
    gateway = serve(server, "--gateway-addresses", "127.0.1.1-127.0.1.2")
    wait_until(lambda: all(programmed(server, name) for name in "abc"), 20, "the statuses")
    eq([addresses(server, name) for name in "abc"],
       [[("IPAddress", "127.0.1.2")], [("IPAddress", "127.0.1.1")], []], "addresses by age")
    eq(programmed(server, "c"), [("False", "AddressNotAssigned")], "the one for which there is none")
    eq((who("127.0.1.1", port), who("127.0.1.2", port)), ("b", "a"), "who serves where")
    server.delete("Gateway", "b")
    wait_until(lambda: programmed(server, "c") == [("True", "Programmed")], 20, "an address that is free now")
    eq((addresses(server, "c"), addresses(server, "a")),
       ([("IPAddress", "127.0.1.1")], [("IPAddress", "127.0.1.2")]), "the others keep theirs")
    gateway.stop()
    serve(server, "--gateway-addresses", "127.0.1.1-127.0.1.2")
    eq((who("127.0.1.1", port), who("127.0.1.2", port)), ("c", "a"), "another gateway, by the statuses")


@test("--status-addresses are in the status of Gateways without an address of their own")
def shown_addresses():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object("a", port, 1))
    serve(server, "--status-addresses", "203.0.113.1,gw.example.com")
    wait_until(lambda: addresses(server, "a") == [("IPAddress", "203.0.113.1"),
                                                  ("Hostname", "gw.example.com")], 20, "the addresses")
    eq(programmed(server, "a"), [("True", "Programmed")], "no interface needs to have them")


@test("options for addresses that are wrong are errors that say what to write")
def wrong_options():
    for args, want in ((["--gateway-addresses", "192.0.2.0/33"], "is no address, network or range; write"),
                       (["--gateway-addresses", "0.0.0.0"], "means all addresses; write"),
                       (["--status-addresses", "192.0.2.1,-x"], "write IP addresses and host names"),
                       (["--gateway-services"], "write --kubernetes or --kubeconfig FILE as well")):
        gateway = Gateway("config: {}\n", args=args, ready=False, checked=False)
        eq(gateway.wait(10), 2, "the exit status")
        check(want in gateway.stderr, lambda want=want: f"{want}: {gateway.stderr}")


def listener(server, name):
    return {one["type"]: (one["status"], one["reason"])
            for part in server.status("Gateway", name).get("listeners", []) for one in part["conditions"]}


@test("a port that another program has closes only its listener: others are served, and so are their changes",
      timeout=60)
def port_in_use():
    server, port, taken = ApiServer(), free_port(), Backend()
    number = int(taken.address.rsplit(":", 1)[1])
    server.put(CLASS, gateway_object("a", number, 1), gateway_object("b", port, 2), route("b"))
    gateway = serve(server)
    eq(who("127.0.0.1", port), "b", "the other Gateway")
    check("the other listeners are served" in gateway.stderr, lambda: gateway.stderr)
    wait_until(lambda: programmed(server, "a") and programmed(server, "b"), 20, "the statuses")
    eq((listener(server, "a")["Accepted"], listener(server, "a")["Programmed"]),
       (("False", "PortUnavailable"), ("False", "PortUnavailable")), "the listener")
    eq((programmed(server, "a"), programmed(server, "b")), ([("False", "Invalid")], [("True", "Programmed")]),
       "the Gateways")
    other = free_port()
    server.put(gateway_object("b", other, 2))

    def is_moved():
        try:
            return who("127.0.0.1", other) == "b"
        except OSError:
            return False
    wait_until(is_moved, 20, "a change of the other Gateway")
    taken.close()
    server.put(gateway_object("c", free_port(), 3))
    wait_until(lambda: programmed(server, "a") == [("True", "Programmed")], 20, "the port when it is free")
    gateway.settle()


@test("a Gateway cannot have a port of the gateway's own servers, which need it at the next start")
def own_port():
    server, port, ready = ApiServer(), free_port(), free_port()
    same = gateway_object("c", ready, 3, addresses=[{"value": "127.0.0.1"}])
    server.put(CLASS, gateway_object("a", ready, 1), gateway_object("b", port, 2), route("b"), same)
    gateway = serve(server, env={"READINESS_ADDR": f"127.0.0.1:{ready}"}, ready=False)
    wait_until(lambda: all(programmed(server, name) for name in "abc"), 30, "the statuses")
    eq([listener(server, name)["Accepted"] for name in "ac"], [("False", "PortUnavailable")] * 2,
       "those that are not served")
    eq(programmed(server, "b"), [("True", "Programmed")], "the one that is")
    eq((who("127.0.0.1", port), fetch(ready, "/healthz/ready").status), ("b", 200), "what is served")
    gateway.settle()


def service(server, name, namespace="default"):
    return server.objects["Service"].get((namespace, name))


def slices(server, of):
    return [one for one in server.objects["EndpointSlice"].values()
            if one["metadata"].get("labels", {}).get("kubernetes.io/service-name") == of]


@test("with --gateway-services each Gateway has a Service with its metadata, and its load balancer's address",
      timeout=60)
def services():
    server, port = ApiServer(), free_port()
    more = {"infrastructure": {"labels": {"team": "x", "old": "y"},
                               "annotations": {"example.com/lb": "small"}}}
    server.put(CLASS, gateway_object("a", port, 1, **more),
               {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "headgate-1", "labels": {"kubernetes.io/service-name": "headgate"}},
                "ports": [], "endpoints": [{"addresses": ["192.0.2.11"]},
                                           {"addresses": ["192.0.2.12"], "conditions": {"ready": False}}]})
    gateway = serve(server, "--gateway-services")
    wait_until(lambda: slices(server, "a-headgate"), 20, "the Service and its endpoints")
    made = service(server, "a-headgate")
    eq(made["spec"], {"type": "LoadBalancer", "ports": [
        {"name": f"port-{port}", "port": port, "protocol": "TCP", "targetPort": port}]}, "the Service")
    eq(made["metadata"]["labels"], {"team": "x", "old": "y", "app.kubernetes.io/managed-by": "headgate",
                                    "gateway.networking.k8s.io/gateway-name": "a"}, "its labels")
    eq(made["metadata"]["annotations"]["example.com/lb"], "small", "its annotations")
    eq([one["uid"] for one in made["metadata"]["ownerReferences"]], ["uid-Gateway-default-a"], "its owner")
    eq([one["addresses"] for one in slices(server, "a-headgate")[0]["endpoints"]], [["192.0.2.11"]],
       "the endpoints that are ready")
    wait_until(lambda: programmed(server, "a") == [("False", "AddressNotAssigned")], 20, "no address yet")
    server.set_status("Service", "a-headgate", {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"},
                                                                            {"hostname": "lb.example"}]}})
    wait_until(lambda: addresses(server, "a") == [("IPAddress", "203.0.113.7"), ("Hostname", "lb.example")],
               20, "the addresses of the load balancer")
    eq(programmed(server, "a"), [("True", "Programmed")], "the Gateway")
    features = server.status("GatewayClass", "headgate")["supportedFeatures"]
    check({"name": "GatewayInfrastructure"} in features, "what the class offers")
    more["infrastructure"]["labels"].pop("old")
    server.put(gateway_object("a", port, 1, **more))
    wait_until(lambda: "old" not in service(server, "a-headgate")["metadata"]["labels"], 20,
               "a label that is not wanted any more to go")
    eq(service(server, "a-headgate")["status"]["loadBalancer"]["ingress"][0]["ip"], "203.0.113.7",
       "what others wrote")
    gateway.stop()
    applied = [path for method, path in server.requests if method == "PATCH" and "/services/" in path]
    check(len(applied) <= 6, lambda: f"a Service is written only when it changes: {applied}")


@test("a Service that this program did not make is left alone; one of a Gateway that it lost goes",
      timeout=60)
def strange_services():
    server, port = ApiServer(), free_port()
    strange = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a-headgate"},
               "spec": {"ports": [{"port": 1}]}}
    server.put(CLASS, gateway_object("a", port, 1), gateway_object("b", free_port(), 2), strange)
    gateway = serve(server, "--gateway-services")
    wait_until(lambda: service(server, "b-headgate"), 20, "the Service of the other Gateway")
    wait_until(lambda: "the Service of the Gateway default/a: another Service has its name" in gateway.stderr,
               20, "the reason")
    eq(service(server, "a-headgate")["spec"], strange["spec"], "what was there")
    lost = gateway_object("b", port, 2)
    lost["spec"]["gatewayClassName"] = "other"
    server.put(lost)
    wait_until(lambda: not service(server, "b-headgate"), 20, "the Service to go")
    eq(service(server, "a-headgate")["spec"], strange["spec"], "what was there")


@test("with a pool, a Service leads to the Gateway's own address, which stays its address", timeout=60)
def services_with_pool():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object("a", port, 1))
    serve(server, "--gateway-services", "--gateway-addresses", "127.0.1.1")
    wait_until(lambda: slices(server, "a-headgate"), 20, "the endpoints")
    eq([one["addresses"] for one in slices(server, "a-headgate")[0]["endpoints"]], [["127.0.1.1"]],
       "the endpoints")
    wait_until(lambda: programmed(server, "a") == [("True", "Programmed")], 20, "the status")
    eq(addresses(server, "a"), [("IPAddress", "127.0.1.1")], "the address")


@test("a server that refuses Services is asked more and more seldom, and the log says why", timeout=60)
def refused_services():
    server, port = ApiServer(), free_port()
    server.refused = {"apply": (403, failure(403, "Forbidden", "cannot patch services"))}
    server.put(CLASS, gateway_object("a", port, 1))
    gateway = serve(server, "--gateway-services")
    wait_until(lambda: len(server.refusals) >= 5, 40, "five tries")
    check(server.refusals[4] - server.refusals[0] > 3, lambda: f"pauses grow: {server.refusals}")
    check("the Service of the Gateway default/a: status 403: " in gateway.stderr, lambda: gateway.stderr)
    server.refused = {}
    server.put(gateway_object("b", free_port(), 2))
    wait_until(lambda: service(server, "a-headgate"), 20, "the Service, at once for a new Gateway")
    gateway.settle()  # with one port more
