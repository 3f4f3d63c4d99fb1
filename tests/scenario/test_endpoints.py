# SPDX-License-Identifier: Apache-2.0
"""Services with several endpoints: how they are chosen, avoided, and preferred for a retry."""
import collections
import resource
import time

from hg import *
from manifests import GATEWAY, ROUTE

SERVICE = GATEWAY + """
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: ns}
spec: {clusterIP: None, ports: [{name: http, port: 80, targetPort: %(port)s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: svc-1, namespace: ns, labels: {kubernetes.io/service-name: svc}}
addressType: IPv4
ports: [{name: http, port: %(port)s, protocol: TCP}]
endpoints: [%(endpoints)s]
---""" + ROUTE + """  - backendRefs: [{name: svc, port: 80}]
    %(more)s
"""


def service(addresses, port, more=""):
    return SERVICE % {"endpoints": ", ".join(f"{{addresses: [{a}]}}" for a in addresses), "port": port,
                      "more": more}


def origins(*addresses):
    """httpbin at each address, all on one port, named by its address."""
    port = free_port()
    return port, [Origin(addr=address, port=port, name=address) for address in addresses]


def answered_by(gateway, count, path="/get"):
    seen = collections.Counter()
    for _ in range(count):
        answer = gateway.fetch(path)
        seen[answer.header("x-origin") if answer.status == 200 else answer.status] += 1
    return seen


@test("requests are spread over the endpoints of a service")
def spread():
    addresses = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    port, _ = origins(*addresses)
    seen = answered_by(Gateway(service(addresses, port), workers=1), 150)
    # With a fair choice an endpoint gets less than 15 once in 10^10.
    check(all(seen[address] >= 15 for address in addresses), f"answered by {dict(seen)}")


@test("of two endpoints the one with less in flight gets the next request")
def less_in_flight():
    addresses = ("127.0.0.2", "127.0.0.3")
    port, _ = origins(*addresses)
    gateway = Gateway(service(addresses, port), workers=1)
    slow = gateway.client().request("GET", "/delay/60")
    wait_until(lambda: gateway.streams() and gateway.streams()[0]["state"] == "wait_head", 5,
               "a slow request")
    busy = gateway.streams()[0]["endpoint"].split(":")[0]
    seen = answered_by(gateway, 20)
    eq(seen[busy], 0, f"requests to the busy one of {dict(seen)}")
    eq(gateway.streams()[0]["endpoint"].split(":")[0], busy, "who is still busy with the slow one")
    slow.rst()


@test("an endpoint that refuses is avoided: after its first failure requests go to the other")
def avoided():
    addresses = ("127.0.0.2", "127.0.0.3")
    port, _ = origins(addresses[1])
    gateway = Gateway(service(addresses, port), workers=1)
    seconds, seen = timed(answered_by, gateway, 40)
    eq(seen, {addresses[1]: 40}, "answers of the good one")
    failures = gateway.metrics()("headgate_upstream_connect_failures_total")
    check(1 <= failures <= 1 + int(seconds),
          f"{failures} connects to the dead one in {seconds:.2f} s, want one a second at most")


@test("an endpoint is not blamed when the gateway itself has no descriptor left for the connection",
      timeout=60)
def not_blamed():
    addresses = ("127.0.0.2", "127.0.0.3")
    port, _ = origins(*addresses)
    # A blamed endpoint is avoided for 1 s: what is seen later than that proves nothing, and is played again.
    while seconds_until_both(Gateway(service(addresses, port), workers=1), addresses) >= 1:
        pass


def seconds_until_both(gateway, addresses):
    """After a connect that failed for want of a descriptor, until each endpoint has answered."""
    client = gateway.client()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 1, 5, "the connection")
    hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, hard))
    begin = time.monotonic()
    eq(client.get("/get").status, 503, "status without a descriptor")
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (1000, hard))
    seen = collections.Counter()
    while len(seen) < 2 and sum(seen.values()) < 40:
        seen[client.get("/get").header("x-origin")] += 1
    seconds = time.monotonic() - begin
    note(f"{dict(seen)} within {seconds:.3f} s")
    eq(set(seen), set(addresses), "endpoints that answered")
    return seconds


@test("an endpoint that was avoided is tried again after a while, and used once it is back")
def comes_back():
    addresses = ("127.0.0.2", "127.0.0.3")
    port, (_, second) = origins(*addresses)
    gateway = Gateway(service(addresses, port, "retry: {attempts: 1, codes: []}"), workers=1)
    second.stop()
    eq(answered_by(gateway, 20), {addresses[0]: 20}, "answers while one is down")
    second.restart()
    wait_until(lambda: answered_by(gateway, 20)[addresses[1]], 10, "an answer of the other one")


@test("a retry prefers another endpoint: with one of two dead no request fails")
def retry_elsewhere():
    addresses = ("127.0.0.2", "127.0.0.3")
    port, _ = origins(addresses[0])
    gateway = Gateway(service(addresses, port, "retry: {attempts: 1, codes: []}"), workers=2)
    eq(answered_by(gateway, 50), {addresses[0]: 50}, "answers")


@test("a retry for a status prefers another endpoint")
def retry_status_elsewhere():
    port = free_port()
    bad, good = Backend("127.0.0.2", port), Backend("127.0.0.3", port)
    gateway = Gateway(service(("127.0.0.2", "127.0.0.3"), port, "retry: {attempts: 1, codes: [503]}"),
                      workers=1)
    import select
    for _ in range(6):
        client = gateway.client().request("GET", "/x")
        first = select.select([bad.socket, good.socket], [], [], 10 * factor())[0][0]
        here, there = (bad, good) if first is bad.socket else (good, bad)
        upstream = here.accept()
        upstream.read_request()
        upstream.respond(503, {"Connection": "close"})
        upstream = there.accept()
        eq(upstream.read_request().header("x-retry-attempt"), "1", "x-retry-attempt")
        upstream.respond(200, {"Connection": "close"})
        eq(client.response().status, 200, "status")


@test("when all endpoints are avoided they are tried all the same")
def all_avoided():
    addresses = ("127.0.0.2", "127.0.0.3")
    port = free_port()
    gateway = Gateway(service(addresses, port), workers=1)
    eq(answered_by(gateway, 10), {503: 10}, "answers")
    Origin(addr=addresses[0], port=port, name=addresses[0])
    check(answered_by(gateway, 20)[addresses[0]] >= 1, "an answer of the one that came up")


@test("a service without endpoints is 503; one that is not loaded is 500, and nobody is asked in the DNS")
def without():
    gateway = Gateway(service((), 8000))
    answer = gateway.fetch("/get")
    eq((answer.status, answer.text), (503, "no healthy backends"), "status and body")
    gateway = Gateway(service(("127.0.0.2",), 8000).replace("backendRefs: [{name: svc,",
                                                            "backendRefs: [{name: other,"))
    answer = gateway.fetch("/get")
    eq((answer.status, answer.text),
       (500, "BackendNotFound: there is no such Service"), "status and body")
    check('"Service" ns/other cannot be used' in gateway.stderr, f"a warning: {gateway.stderr!r}")


@test("an EndpointSlice that changes moves the traffic, and drops nothing")
def slice_changes():
    port, (old, _) = origins("127.0.0.2", "127.0.0.3")
    gateway = Gateway(service(("127.0.0.2",), port), workers=1)
    eq(answered_by(gateway, 5), {"127.0.0.2": 5}, "answers before")
    old.pause()
    slow = gateway.client().request("GET", "/get")
    wait_until(lambda: len(gateway.streams()) == 1, 5, "a slow request")
    gateway.reload(service(("127.0.0.3",), port))
    eq(answered_by(gateway, 5), {"127.0.0.3": 5}, "answers after")
    old.resume()
    eq(slow.response().header("x-origin"), "127.0.0.2", "the one that was under way")
