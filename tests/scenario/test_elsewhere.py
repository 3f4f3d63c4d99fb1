# SPDX-License-Identifier: Apache-2.0
"""Where a request goes that found nobody: each endpoint once, elsewhere when a connection was refused."""
from hg import *
from test_endpoints import answered_by, origins, service
from test_health import Moody

TWO_HOSTS = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @good@
      - host: @bad@
        %s
"""

OTHER = """
apiVersion: v1
kind: Service
metadata: {name: other, namespace: ns}
spec: {clusterIP: None, ports: [{name: http, port: 80, targetPort: %(port)s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other-1, namespace: ns, labels: {kubernetes.io/service-name: other}}
addressType: IPv4
ports: [{name: http, port: %(port)s, protocol: TCP}]
endpoints: [{addresses: [127.0.0.4]}]
"""

TWO_TUNNELS = """
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends: [{host: @good@}, {host: @bad@}]
"""


def refusing():
    """A port that nobody listens on."""
    backend = Backend()
    backend.close()
    return backend


@test("with as many retries as bad endpoints the good one is found by every request")
def each_endpoint_once():
    port, _ = origins("127.0.0.4")
    for address in ("127.0.0.2", "127.0.0.3"):
        Moody(address, port, status=503)
    gateway = Gateway(service(("127.0.0.2", "127.0.0.3", "127.0.0.4"), port,
                              "retry: {attempts: 2, codes: [503]}"), workers=1)
    eq(answered_by(gateway, 150), {"127.0.0.4": 150}, "answered by")


@test("with as many retries as bad hosts the good one of a route is found by every request")
def each_host_once():
    text = (TWO_HOSTS % "").replace(
        "    - backends:", "    - policies: {retry: {attempts: 2, codes: [503]}}\n"
        "      backends:\n      - host: @worse@")
    good, bad, worse = Origin(name="good"), *[Moody("127.0.0.1", free_port(), status=503) for _ in "12"]
    gateway = Gateway(text, good=good, bad=bad.backend, worse=worse.backend, workers=1)
    eq(answered_by(gateway, 100), {"good": 100}, "answered by")


@test("without a policy a refused connection costs no request: it goes to the other host, POST as well")
def refused_host():
    gateway = Gateway(TWO_HOSTS % "", good=Origin(name="good"), bad=refusing(), workers=1)
    eq(answered_by(gateway, 60), {"good": 60}, "answered by")
    for length in (0, 10, 200000):
        answer = gateway.fetch("/echo", method="POST", body=b"x" * length)
        eq((answer.status, len(answer.body)), (200, length), "status and length of a POST")
    check(gateway.metrics()("headgate_retries_elsewhere_total") >= 10, "some went elsewhere")
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries by a policy")
    eq(gateway.wait_log().get("retry.attempt"), None, "retry.attempt")


@test("without a policy a refused connection goes to another endpoint of the service")
def refused_endpoint():
    port, _ = origins("127.0.0.2")
    gateway = Gateway(service(("127.0.0.2", "127.0.0.3"), port), workers=1)
    eq(answered_by(gateway, 60), {"127.0.0.2": 60}, "answered by")


@test("it goes elsewhere once, and not at all where there is no other place")
def once():
    gateway = Gateway(TWO_HOSTS % "", good=refusing(), bad=refusing(), workers=1)
    eq(gateway.fetch("/get").status, 503, "status")
    eq(gateway.metrics()("headgate_retries_elsewhere_total"), 1, "elsewhere")
    eq(gateway.metrics()("headgate_upstream_connects_total"), 2, "connects")
    gateway = Gateway((TWO_HOSTS % "weight: 0"), good=refusing(), bad=Origin(name="not asked"), workers=1)
    eq(gateway.fetch("/get").status, 503, "status where the other host has weight 0")
    eq(gateway.metrics()("headgate_retries_elsewhere_total"), 0, "elsewhere")


@test("a tunnel whose backend refuses goes to the other one")
def refused_tunnel():
    good = Backend()
    gateway = Gateway(TWO_TUNNELS, good=good, bad=refusing(), workers=1)
    for i in range(20):
        client = gateway.client().send(f"hello {i}")
        upstream = good.accept()
        eq(upstream.read(len(f"hello {i}")), f"hello {i}".encode(), "what came first")
        upstream.send("bye").fin()
        eq(client.read_eof(), b"bye", "the answer")
        client.close()
        upstream.close()


@test("what an evicted host had goes to the other ones")
def evicted_host():
    bad = Moody("127.0.0.1", free_port(), status=500)
    gateway = Gateway(TWO_HOSTS % "policies: {health: {eviction: {duration: 600s}}}",
                      good=Origin(name="good"), bad=bad.backend, workers=1)
    wait_until(lambda: gateway.fetch("/get").status == 500, 20, "the bad host has been asked")
    eq(answered_by(gateway, 60), {"good": 60}, "answered by")
    bad.backend.close()


@test("a free repeat costs no endpoint its turn: a retry asks the rest of the service before another one")
def free_repeat():
    port, other = free_port(), Backend("127.0.0.4")
    text = service(("127.0.0.2", "127.0.0.3"), port, "retry: {attempts: 1, codes: [503]}").replace(
        "{name: svc, port: 80}", "{name: svc, port: 80, weight: 1000000}, {name: other, port: 80, weight: 1}")
    text += "---" + OTHER % {"port": other.port}
    backends = [Backend(address, port) for address in ("127.0.0.2", "127.0.0.3")]
    gateway = Gateway(text, workers=1)
    # One connection to each of the two waits in the pool.
    clients = [gateway.client().request("GET", "/warm") for _ in backends]
    pooled = [backend.accept() for backend in backends]
    for upstream in pooled:
        upstream.read_request()
    for upstream, client in zip(pooled, clients):
        upstream.respond()
    for client in clients:
        eq(client.response().status, 200, "status")
    client = clients[0].request("GET", "/x")
    dead = wait_readable(pooled)
    pooled[dead].read_request()
    pooled[dead].close()
    upstream = backends[1 - dead].accept()
    upstream.read_request()
    upstream.respond(503)
    upstream = backends[dead].accept()
    upstream.read_request()
    upstream.respond(200, body=b"here")
    eq(client.response().body, b"here", "answer of the endpoint that had closed a connection")


def wait_readable(upstreams):
    """Index of the one that something came to."""
    import select
    sockets = [upstream.socket for upstream in upstreams]
    return sockets.index(select.select(sockets, [], [], 10 * factor())[0][0])
