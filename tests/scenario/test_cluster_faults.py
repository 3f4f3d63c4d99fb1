# SPDX-License-Identifier: Apache-2.0
"""An API server that is slow, lies, freezes, asks for pauses, changes its keys, or has very much to say."""
import json
import random
import time

from hg import *
from hg.api_server import ApiServer
from test_cluster import AWAY, CLASS, becomes, begin, gateway_object, location, route, serve, service
from test_reload import Load

UPDATES = "headgate_api_server_endpoint_updates_total"


def asked(server, path):
    """When requests for this path came."""
    return [when for when, (_, target) in zip(server.times, server.requests) if path in target]


def await_watch(server):
    """A gateway lists at its start; when it is ready, it watches from there, with another request."""
    wait_until(lambda: len(asked(server, "/httproutes?")) == 2, 30, "the watch of routes")


@test("a server that sends a few bytes at a time is waited for, also in the middle of an object")
def slow():
    server, port = ApiServer(), free_port()
    server.drip = 100
    server.put(CLASS, gateway_object(port), *[route(f"r{number}") for number in range(5)])
    gateway = serve(server)
    gateway.ports["port"] = port
    await_watch(server)
    server.put(route("r1", "/changed"))
    becomes(gateway, "/r1", "/changed", "a change")
    eq(len(asked(server, "/httproutes?")), 2, "requests for routes")


@test("a pause that the server asks for is kept, as a header and in a Status")
def pauses():
    server, gateway = begin(route("one"))
    await_watch(server)
    server.refused = {"HTTPRoute": (429, "Too many requests, please try again later.\n",
                                    [("retry-after", "2")])}
    before = len(asked(server, "/httproutes?"))
    server.cut()
    wait_until(lambda: len(asked(server, "/httproutes?")) == before + 2, 30, "two more attempts")
    first, second = asked(server, "/httproutes?")[before:]
    check(second - first >= 2, f"a pause of {second - first} s")
    server.refused = {}
    server.put(route("one", "/changed"))
    becomes(gateway, "/one", "/changed", "a change")


@test("what is no event, or none of the kind, changes nothing; then all is listed again")
def lies():
    server, gateway = begin(route("one"), route("two"))
    await_watch(server)
    for line in (b"<html>\n", b"{\"type\": \"ADDED\"}\n", b"\x00\xff\n", json.dumps(
            {"type": "DELETED", "object": {"kind": "Secret", "metadata": {
                "name": "one", "namespace": "default"}}}).encode() + b"\n"):
        count = len(asked(server, "/httproutes?"))
        server.send_line("HTTPRoute", line)
        wait_until(lambda c=count: len(asked(server, "/httproutes?")) > c, 20, "a new list")
        check("sendInitialEvents" in [target for _, target in server.requests
                                      if "/httproutes?" in target][-1], "it is a list")
        eq((location(gateway, "/one"), location(gateway, "/two")), ("/to", "/to"), "after the line")
    server.put(route("one", "/changed"))
    becomes(gateway, "/one", "/changed", "a change afterwards")


@test("a replaced token and a replaced authority are read from their files again", timeout=60)
def rotated():
    server, port = ApiServer(as_files=True), free_port()
    server.put(CLASS, gateway_object(port), route("one"))
    gateway = serve(server)
    gateway.ports["port"] = port
    for name in ("second", "third"):
        server.rotate(name)
        server.put(route("one", f"/{name}"))
        becomes(gateway, "/one", f"/{name}", f"a change behind the {name} keys")
    wait_until(lambda: gateway.metrics()(AWAY) == 0, 30, "all kinds to be watched")


@test("a server that has frozen is given up after 90 s of silence, on a new connection", timeout=240,
      long=True, waits=True)
def frozen():
    server, gateway = begin(route("one"))
    server.freeze()
    server.put(route("one", "/changed"))
    wait_until(lambda: gateway.metrics()(AWAY) > 0, 110, "the silence to be noticed")
    wait_until(lambda: location(gateway, "/one") == "/changed", 60, "the change, on a new connection")
    wait_until(lambda: gateway.metrics()(AWAY) == 0, 60, "all kinds to be watched")


@test("50 MB of objects that nothing names: they are kept, and memory stays bounded", timeout=300, long=True,
      measures=True)
def large():
    server, port = ApiServer(), free_port()
    server.put(CLASS, gateway_object(port), route("one"))
    for number in range(500):
        server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"},
                    "data": {"text": "x" * 100_000}})
    gateway = serve(server, ready=False)
    gateway.ports["port"] = port
    gateway.await_ready(200)
    check(gateway.rss_bytes() < 150 << 20, f"{gateway.rss_bytes() >> 20} MiB")
    server.put(route("one", "/changed"))
    becomes(gateway, "/one", "/changed", "a change")
    check(gateway.rss_bytes() < 150 << 20, f"{gateway.rss_bytes() >> 20} MiB after a change")


LEASE = "headgate_api_server_lease_held"


@test("of two gateways one writes statuses; when it ends, the other one does", timeout=180, long=True,
      waits=True)
def two_gateways():
    server = ApiServer()
    server.put(CLASS)  # no Gateway: both would listen on its port
    gateways = [serve(server), serve(server)]
    held = lambda: [gateway.metrics()(LEASE) for gateway in gateways]  # noqa: E731
    wait_until(lambda: sum(held()) == 1, 30, "one holder")
    writer = held().index(1)
    for _ in range(10):
        time.sleep(1)
        eq(held().index(1), writer, "the holder")
        check(sum(held()) == 1, "two hold the lease")
    gateways.pop(writer).stop()
    wait_until(lambda: sum(held()) == 1, 60, "the other one")
    server.set_status("GatewayClass", "headgate", {})
    wait_until(lambda: server.status("GatewayClass", "headgate").get("conditions"), 30,
               "a status by the other one")


@test("an API server that is killed and restarted under load, while endpoints change: no failed request",
      timeout=900, long=True, soak=True)
def soak():
    origins = [Origin(), Origin()]
    to_service = route("get")
    to_service["spec"]["rules"] = [{"backendRefs": [{"name": "s", "port": 80}]}]
    server, gateway = begin(to_service, *service("s", origins[0].port))
    eq(gateway.fetch("/get").status, 200, "at the start")
    load, chance, restarts = Load(gateway), random.Random(31), 0
    end = time.monotonic() + soak_seconds(60)
    while time.monotonic() < end and not load.failures:
        server.stop()
        for _ in range(chance.randrange(3)):
            server.put(service("s", chance.choice(origins).port)[1])
        if chance.random() < 0.5:
            server.forget()
        time.sleep(chance.random())
        server.start()
        restarts += 1
        server.put(route(f"x{restarts % 5}", f"/{restarts}"))
        becomes(gateway, f"/x{restarts % 5}", f"/{restarts}", "what was put after the restart")
        server.put(service("s", chance.choice(origins).port)[1])
    load.stop()
    note(f"{load.answers} answers, {restarts} restarts, {gateway.metrics()(UPDATES)} changes of endpoints")
    check(restarts > 2 and load.answers > 100, "something happened")
