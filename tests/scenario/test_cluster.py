# SPDX-License-Identifier: Apache-2.0
"""Objects of a Kubernetes API server: followed, kept while it is away, and their status written."""
import os
import signal
import time

from hg import *
from hg.api_server import ApiServer, failure

CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
         "metadata": {"name": "headgate"}, "spec": {"controllerName": "headgate.dev/gateway"}}


AWAY = "headgate_api_server_away_since_timestamp_seconds"


def gateway_object(port):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"},
            "spec": {"gatewayClassName": "headgate",
                     "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]}}


def route(name, to="/to"):
    """Answers requests for /NAME with a redirect."""
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": "g"}], "rules": [{
                "matches": [{"path": {"value": f"/{name}"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {
                    "path": {"type": "ReplaceFullPath", "replaceFullPath": to}}}]}]}}


def service(name, port):
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
             "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
             "ports": [{"name": "http", "port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]}]


def serve(server, args=(), **options):
    options.setdefault("files", {"static.yaml": "config: {splice: {mode: off}}\n"})
    return Gateway(args=["--kubeconfig", server.kubeconfig, *args], **options)


def begin(*more, **options):
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object(port), *more)
    gateway = serve(server, **options)
    gateway.ports["port"] = port
    return server, gateway


def location(gateway, path):
    answer = gateway.fetch(path)
    return answer.header("Location").split(str(gateway.port))[-1] if answer.status == 302 else answer.status


def becomes(gateway, path, want, what):
    """Within the longest pause before a server that was away is asked again."""
    wait_until(lambda: location(gateway, path) == want, 40, what)


@test("objects of an API server are served; changes, deletions and new objects are followed; one connection")
def followed():
    server, gateway = begin(route("one"), route("two"), *service("s", 80))
    eq((location(gateway, "/one"), location(gateway, "/two")), ("/to", "/to"), "at the start")
    server.put(route("one", "/changed"), route("three"))
    becomes(gateway, "/one", "/changed", "the change")
    becomes(gateway, "/three", "/to", "the new object")
    server.delete("HTTPRoute", "two")
    becomes(gateway, "/two", 404, "the deletion")
    eq(server.open_connections(), 1, "open connections")
    generation = gateway.admin_json("/config_status")["generation"]
    status = {"parents": []}
    server.put({**route("three"), "status": status})
    server.put(route("four"))
    becomes(gateway, "/four", "/to", "what came behind it")
    check(gateway.admin_json("/config_status")["generation"] <= generation + 2, "a status is no change")


@test("endpoints of a Service are followed, and no request fails while they change")
def endpoints():
    first, second = Origin(), Origin()
    to_service = route("get")
    to_service["spec"]["rules"] = [{"backendRefs": [{"name": "s", "port": 80}]}]
    server, gateway = begin(to_service, *service("s", first.port))
    eq(gateway.fetch("/get").status, 200, "at the start")
    generation = gateway.admin_json("/config_status")["generation"]
    server.put(service("s", second.port)[1])
    there = f"127.0.0.1:{second.port}"
    wait_until(lambda: gateway.fetch("/get").status == 200 and there in gateway.stdout, 10,
               "a request at the new endpoint")
    first.stop()
    for _ in range(20):
        eq(gateway.fetch("/get").status, 200, "after the change")
    eq(gateway.metrics()("headgate_api_server_endpoint_updates_total"), 1, "changes of endpoints alone")
    eq(gateway.admin_json("/config_status")["generation"], generation, "nothing was loaded again")
    server.delete("EndpointSlice", "s-1")
    wait_until(lambda: gateway.metrics()("headgate_api_server_endpoint_updates_total") == 2, 10, "the end")
    eq(gateway.fetch("/get").status, 503, "without endpoints the name of the Service is asked for")
    server.put(service("s", 80)[0], service("s", second.port)[1])
    wait_until(lambda: gateway.fetch("/get").status == 200, 10, "a change with a Service in it")


@test("a server that cannot list as events is asked for pages; a kind that it does not know is none")
def older_server():
    server, port = ApiServer(), free_port()
    server.lists_as_events = False
    server.absent = {"ListenerSet", "TCPRoute", "AgentgatewayPolicy", "AgentgatewayBackend",
                     "AgentgatewayParameters"}
    server.put(CLASS, gateway_object(port), *[route(f"r{number}") for number in range(7)])
    gateway = serve(server)
    gateway.ports["port"] = port
    for number in range(7):
        eq(location(gateway, f"/r{number}"), "/to", f"object {number}")
    server.put(route("r3", "/changed"))
    becomes(gateway, "/r3", "/changed", "a change after the pages")


@test("a connection that is cut, and a forgotten position: changed and deleted objects are noticed",
      timeout=120)
def cut_and_forgotten():
    server, gateway = begin(route("one"), route("two"))
    server.cut()
    server.put(route("one", "/changed"))
    becomes(gateway, "/one", "/changed", "a change after the cut")
    server.stop()
    server.put(route("one", "/while-away"))
    server.delete("HTTPRoute", "two")
    server.forget()
    eq(location(gateway, "/two"), "/to", "while the server is away, its last objects")
    wait_until(lambda: gateway.metrics()(AWAY) > 0, 10, "the metric to say so")
    server.start()
    becomes(gateway, "/one", "/while-away", "a change that was forgotten")
    becomes(gateway, "/two", 404, "a deletion that was forgotten")
    wait_until(lambda: gateway.metrics()(AWAY) == 0, 60, "the metric to say that it is back")


@test("a 404 for a kind that has objects does not remove them")
def forgotten_kind():
    server, gateway = begin(route("one"))
    server.absent = {"HTTPRoute"}
    server.cut()
    wait_until(lambda: "httproutes: the server does not know it any more" in gateway.stderr, 20, "the reason")
    server.put(*service("s", 80))
    wait_until(lambda: gateway.metrics()("headgate_api_server_objects", kind="Service") == 1, 20,
               "other kinds to go on")
    eq(location(gateway, "/one"), "/to", "while the kind is unknown")
    server.absent = set()
    server.put(route("one", "/changed"))
    becomes(gateway, "/one", "/changed", "when it is known again")


@test("a list without a position to watch from is refused: it would be asked for again and again")
def no_position():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object(port), route("one"))
    server.refused = {"HTTPRoute": (422, failure(422, "Invalid", "sendInitialEvents: Forbidden"))}
    gateway = serve(server, ready=False, checked=False)
    gateway.ports["port"] = port
    wait_until(lambda: "httproutes: status 422" in gateway.stderr, 20, "pages to be asked for")
    server.refused = {"HTTPRoute": (200, {"kind": "HTTPRouteList", "items": [], "metadata": {}})}
    wait_until(lambda: "its list has no resourceVersion" in gateway.stderr, 20, "the reason")
    server.refused = {}
    gateway.await_ready(30)
    eq(location(gateway, "/one"), "/to", "once it has a position")


@test("the gateway starts without the API server from the copy on disk, and follows it when it comes back",
      timeout=120)
def from_copy():
    copy = os.path.join(tmpdir(), "objects")
    server, gateway = begin(route("one"), route("two"), args=["--kubernetes-copy", copy])
    gateway.stop()
    eq(os.stat(copy).st_mode & 0o777, 0o600, "who may read the copy")
    server.stop()
    server.delete("HTTPRoute", "two")
    server.forget()
    again = serve(server, args=["--kubernetes-copy", copy], ready=False)
    again.ports["port"] = gateway.port
    again.await_ready(30)
    eq((location(again, "/one"), location(again, "/two")), ("/to", "/to"), "from the copy")
    server.put(route("three"), route("four"))
    server.refused = {"AgentgatewayPolicy": (403, failure(403, "Forbidden", "cannot list policies"))}
    server.start()
    wait_until(lambda: "cannot list policies" in again.stderr and
               again.metrics()("headgate_api_server_objects", kind="HTTPRoute") == 3, 60, "a part of all")
    again.signal(signal.SIGHUP)
    wait_until(lambda: again.admin_json("/config_status")["generation"] == 2, 10, "a reload meanwhile")
    eq([location(again, path) for path in ("/one", "/two", "/three")], ["/to", "/to", 404],
       "the copy, and nothing of what could need an object that was not read")
    server.refused = {}
    becomes(again, "/two", 404, "what was deleted meanwhile")
    becomes(again, "/three", "/to", "what is new")
    eq(location(again, "/one"), "/to", "what is still there")
    again.settle()


@test("without complete objects the gateway does not start: what it may not read could protect something")
def incomplete():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object(port), route("one"))
    server.refused = {"AgentgatewayPolicy": (403, failure(403, "Forbidden", "cannot list policies"))}
    gateway = serve(server, ready=False, checked=False)
    gateway.ports["port"] = port
    wait_until(lambda: "cannot list policies" in gateway.stderr, 10, "the reason in the log")
    server.refused = {}
    gateway.await_ready(30)
    eq(location(gateway, "/one"), "/to", "once it is complete")


@test("a gateway that waits for its API server ends when it is told to, with and without a keeper")
def ends_while_waiting():
    server = ApiServer()
    server.stop()
    for keeper in (False, True):
        gateway = serve(server, ready=False, checked=False, keeper=keeper)
        wait_until(lambda: "trying again" in gateway.stderr, 10, "the first failure")
        gateway.signal(signal.SIGTERM)
        eq(gateway.wait(10), 0, "the exit status")
        check("killing it" not in gateway.stderr, "it ends by itself")
        eq(gateway.stderr.count("trying again"), 1, "lines about one failure")


@test("a kubeconfig that is wrong, starts a program or trusts anybody, is an error that says what to write")
def wrong_access():
    server = ApiServer()
    with open(server.kubeconfig, encoding="utf-8") as file:
        good = file.read()
    for old, new, want in (
            ('"token": "token-of-the-test"', '"exec": {"command": "x"}', "write token, tokenFile"),
            ('"certificate-authority"', '"insecure-skip-tls-verify": true, "x"', "certificate-authority"),
            ("https://", "http://10.0.0.1/", "write https://HOST:PORT"),
            ('"current-context": "test"', '"current-context": "other"', 'no entry named "other"'),
            (good, "a: [", "cannot be read as YAML")):
        path = os.path.join(tmpdir(), "wrong")
        with open(path, "w", encoding="utf-8") as file:
            file.write(good.replace(old, new))
        gateway = Gateway(args=["--kubeconfig", path], ready=False, checked=False)
        check(gateway.wait(10) != 0, "the exit status")
        check(want in gateway.stderr, lambda want=want: f"{want}: {gateway.stderr}")


# ---- statuses


def conditions(part):
    return {one["type"]: (one["status"], one["reason"]) for one in part.get("conditions", [])}


def has_status(server, kind, name):
    return bool(server.status(kind, name))


def quiet(server):
    """Waits until no status has been written for a while; returns how many were in all."""
    seen = [-1]

    def is_quiet():
        before, seen[0] = seen[0], len(server.patches)
        time.sleep(1.5)
        return before == len(server.patches) == seen[0]
    wait_until(is_quiet, 30, "no more patches")
    return len(server.patches)


@test("statuses are written: conditions, listeners, parents; once, and again when somebody changes them",
      timeout=90)
def statuses():
    wrong = route("wrong")
    wrong["spec"]["rules"] = [{"backendRefs": [{"name": "missing", "port": 80}]}]
    server, _ = begin(route("good"), wrong)
    wait_until(lambda: all(has_status(server, *one) for one in (
        ("GatewayClass", "headgate"), ("Gateway", "g"), ("HTTPRoute", "good"), ("HTTPRoute", "wrong"))), 20,
        "the statuses")
    eq(conditions(server.status("GatewayClass", "headgate"))["Accepted"], ("True", "Accepted"), "the class")
    gateway = server.status("Gateway", "g")
    eq(conditions(gateway)["Programmed"], ("True", "Programmed"), "the Gateway")
    eq([(one["name"], one["attachedRoutes"]) for one in gateway["listeners"]], [("http", 2)], "its listeners")
    parent, = server.status("HTTPRoute", "wrong")["parents"]
    eq(parent["controllerName"], "headgate.dev/gateway", "who says so")
    eq(conditions(parent)["ResolvedRefs"], ("False", "BackendNotFound"), "the wrong route")
    count = quiet(server)
    changed = server.status("Gateway", "g")
    times = {one["lastTransitionTime"] for one in changed["conditions"]}
    changed["conditions"] = [dict(one, status="Unknown", lastTransitionTime="2020-01-01T00:00:00Z")
                             if one["type"] == "Programmed" else one for one in changed["conditions"]]
    changed["conditions"].append({"type": "example.com/Foreign", "status": "True", "reason": "Other",
                                  "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"})
    server.set_status("Gateway", "g", changed)
    wait_until(lambda: conditions(server.status("Gateway", "g"))["Programmed"][0] == "True", 20, "the repair")
    eq(conditions(server.status("Gateway", "g"))["example.com/Foreign"], ("True", "Other"),
       "the condition of another controller")
    unchanged = [one for one in server.status("Gateway", "g")["conditions"] if one["type"] == "Accepted"]
    check(unchanged[0]["lastTransitionTime"] in times, "a condition that did not change keeps its time")
    eq(quiet(server), count + 1, "patches")


@test("a class gets its features and whether the version of the definitions is known; without a right: not",
      timeout=60)
def class_details():
    server, gateway = begin()
    wait_until(lambda: "SupportedVersion" in conditions(server.status("GatewayClass", "headgate")), 20,
               "the version")
    status = server.status("GatewayClass", "headgate")
    eq(conditions(status)["SupportedVersion"], ("True", "SupportedVersion"), "a version that is known")
    features = {one["name"] for one in status["supportedFeatures"]}
    eq(features & {"TCPRoute", "HTTPRouteRetry"}, {"TCPRoute"}, "features without a field retry")
    gateway.stop()
    server.bundle_version, server.channel, server.lease = "v9.0.0", "experimental", None
    gateway = serve(server)
    wait_until(lambda: conditions(server.status("GatewayClass", "headgate")).get("SupportedVersion") ==
               ("False", "UnsupportedVersion"), 20, "a version that is not known")
    check({"name": "HTTPRouteRetry"} in server.status("GatewayClass", "headgate")["supportedFeatures"],
          "a feature of the experimental channel")
    gateway.stop()
    server.refused, server.lease = {"definition": (403, failure(403, "Forbidden", "cannot get"))}, None
    gateway = serve(server)
    wait_until(lambda: "allow get of the customresourcedefinition" in gateway.stderr, 20, "the reason")
    wait_until(lambda: "SupportedVersion" not in conditions(server.status("GatewayClass", "headgate")), 20,
               "no claim about what is not known")
    eq(conditions(server.status("GatewayClass", "headgate"))["Accepted"], ("True", "Accepted"), "the class")


@test("parents of other controllers stay, as they are, when ours are written", timeout=60)
def foreign_parents():
    foreign = {"parentRef": {"name": "other"}, "controllerName": "example.com/other", "conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "a \"quoted\" word",
         "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 1}]}
    server, port = ApiServer(), free_port()
    both = route("one")
    both["spec"]["parentRefs"].append({"name": "other"})  # which does not exist: nobody's here
    server.put(CLASS, gateway_object(port), both)
    server.set_status("HTTPRoute", "one", {"parents": [foreign]})
    serve(server)
    wait_until(lambda: len(server.status("HTTPRoute", "one")["parents"]) == 2, 20, "ours")
    eq(sorted(one["parentRef"]["name"] for one in server.status("HTTPRoute", "one")["parents"]),
       ["g", "other"], "one entry for each")
    check(foreign in server.status("HTTPRoute", "one")["parents"], "the other one is as it was")


@test("statuses that the server refuses are sent more and more seldom, and at once for a new configuration")
def refused_statuses():
    server, port = ApiServer(), free_port()
    server.refused = {"PATCH": (403, failure(403, "Forbidden", "cannot patch"))}
    server.put(CLASS, gateway_object(port))
    serve(server)
    wait_until(lambda: len(server.refusals) >= 7, 60, "four passes with two objects")
    check(server.refusals[6] - server.refusals[0] > 3, lambda: f"pauses grow: {server.refusals}")
    server.refused = {}
    server.put(route("one"))
    wait_until(lambda: has_status(server, "GatewayClass", "headgate"), 20, "the status")


def renew(server):
    server.lease = {"metadata": {"name": "headgate", "resourceVersion": str(server.version)},
                    "spec": {"holderIdentity": "another", "leaseDurationSeconds": 15,
                             "renewTime": f"2026-01-01T00:00:00.{time.monotonic_ns() % 10**6:06}Z"}}


@test("while another gateway renews the lease, this one writes no status; when that is silent, it does",
      timeout=120, long=True)
def one_writer():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object(port), route("one"))
    renew(server)
    serve(server)
    for _ in range(7):
        time.sleep(1)
        renew(server)
    eq(server.patches, [], "what was written beside the holder")
    wait_until(lambda: has_status(server, "HTTPRoute", "one"), 60, "a status after the holder's silence")
    check(server.lease["spec"]["holderIdentity"] != "another", "the holder")
