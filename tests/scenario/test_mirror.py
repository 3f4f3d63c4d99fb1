# SPDX-License-Identifier: Apache-2.0
"""requestMirror: another backend sees a copy of the head, and the client never notices."""
import manifests
from hg import *
from hg.h2 import fetch2
from hg.origin import Blackhole

ROUTE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        requestMirror: {backend: {host: @mirror@}, percentage: %(share)s}
        requestHeaderModifier: {add: {x-route: r}}
%(more)s
      backends:
      - host: @origin@
"""


def mirrored(mirror, share="1.0", more="", workers=1, **options):
    origin = Origin(name="main")
    return Gateway(ROUTE % {"share": share, "more": more}, origin=origin, mirror=mirror, workers=workers,
                   **options), origin


def wait_counted(gateway, name, count, **labels):
    wait_until(lambda: gateway.metrics()(name, **labels) == count, 5, f"{name} = {count}")


@test("the mirror gets each request, the client the answer of the backend alone")
def copies():
    mirror = Origin(name="mirror")
    gateway, _ = mirrored(mirror)
    for number in range(20):
        answer = gateway.fetch(f"/get?count=m&n={number}")
        eq((answer.status, answer.header("x-origin")), (200, "main"), "status and origin")
    wait_until(lambda: mirror.counter("m") == 20, 5, "20 copies")
    eq(gateway.metrics()("headgate_mirrored_requests_total"), 20, "mirrored requests")
    eq(gateway.metrics()("headgate_mirror_failures_total"), 0, "mirror failures")
    check(mirror.stats()["connections"] < 30, "the copies reuse connections")
    gateway.wait_log(count=20)
    eq(len(gateway.log()), 20, "log lines: copies have none")


@test("the copy has the rewritten head, and the body of a request that has one")
def head():
    mirror = Backend()
    gateway, _ = mirrored(mirror)
    for body, chunked, length, coding in ((None, False, None, None), (b"12345", False, "5", None),
                                          ([b"12", b"345"], True, None, "chunked")):
        client = gateway.client().request("POST" if body else "GET", "/anything?q=1", {"X-Mine": "a"}, body,
                                          chunked=chunked, host="asked.example")
        answer = client.response().json()
        eq(answer["body"], "12345" if body else "", "body at the backend")
        copy = mirror.accept()
        request = copy.read_request()
        eq((request.target, request.body), ("/anything?q=1", b"12345" if body else b""),
           "target and body of the copy")
        eq([request.header(n) for n in ("Host", "x-mine", "x-route", "Content-Length", "Transfer-Encoding")],
           ["asked.example", "a", "r", length, coding], "fields of the copy")
        copy.respond(200, {"Connection": "close"})
        client.close()


@test("a copy waits for the whole body; a body of more than 64 KiB, and one that the backend does not wait "
      "for, have none and are counted")
def bodies():
    mirror = Backend()
    gateway, _ = mirrored(mirror)
    head = "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    client = gateway.client().send(head.format("anything", 65536), b"x" * 65000)
    mirror.expect_no_connection(0.3)
    client.send(b"y" * 536)
    eq(client.response().status, 200, "status")
    copy = mirror.accept()
    eq(copy.read_request().body, b"x" * 65000 + b"y" * 536, "the body of the copy")
    copy.respond(200)
    for number, chunked in enumerate((False, True), 1):
        body = b"z" * 65537
        client.request("POST", "/anything", body=[body] if chunked else body, chunked=chunked)
        eq(client.response().status, 200, "status of a large one")
        wait_counted(gateway, "headgate_mirror_dropped_total", number)
    early = gateway.client().send(head.format("early/200", 10), "half")
    eq(early.response_head().status, 200, "status of an early answer")
    early.send(" more.")
    wait_counted(gateway, "headgate_mirror_dropped_total", 3)
    eq(gateway.metrics()("headgate_mirrored_requests_total"), 1, "copies")


@test("a body from a client of HTTP/2 has a copy as well")
def http2_body():
    mirror = Backend()
    gateway, _ = mirrored(mirror)
    eq(fetch2(gateway.client(), "/anything", method="POST", body=b"of HTTP/2").status, 200, "status")
    eq(mirror.accept().read_request().body, b"of HTTP/2", "the body of the copy")


@test("a mirror that is silent, gone, unreachable or broken costs the client nothing", timeout=40)
def harmless():
    silent, gone, hole, origin = Backend(), Backend(), Blackhole(), Origin(strict=False)
    gone_address = gone.address
    gone.close()
    for address in (silent.address, gone_address, hole.address, "nowhere.invalid:80"):
        gateway, _ = mirrored(address)
        for _ in range(5):
            # A gateway that waited for the mirror would wait until it is given up, after 10 s.
            with within(0.0, f"an answer with the mirror {address}", before=9):
                eq(gateway.fetch("/get").status, 200, f"status with the mirror {address}")
        eq(gateway.metrics()("headgate_mirrored_requests_total"), 5, "mirrored requests")
        wait_counted(gateway, "agentgateway_requests_total", 5, status="200")
        gateway.stop()
    for path in ("/close/rst", "/close/mid-head", "/bad/dup-cl", "/bad/bad-chunk", "/close/mid-body",
                 "/bad/extra-bytes", "/bad/too-many-1xx"):
        main = Backend()
        gateway = Gateway(ROUTE % {"share": "1.0", "more": ""}, origin=main, mirror=origin, workers=1)
        client = gateway.client().request("GET", path)
        upstream = main.accept()
        upstream.read_request()
        upstream.respond(200, body=b"fine")
        eq(client.response().body, b"fine", f"body while the mirror does {path}")
        wait_until(lambda g=gateway: g.metrics()("headgate_mirrored_requests_total") == 1, 5, "the copy")
        main.close()


NAMED_MIRROR = ROUTE.replace("host: @mirror@", "backend: named") + """
backends:
- {name: named, host: @mirror@, policies: {POLICIES}}
"""


def expect_given_up(gateway, mirror, seconds):
    with within(seconds, "the end of the copy"):
        eq(gateway.fetch("/get").status, 200, "status")
        copy = mirror.accept()
        copy.read_request()
        copy.expect_end(20)
    wait_counted(gateway, "headgate_mirror_failures_total", 1)


@test("a mirror that never answers is given up after its backend's requestTimeout")
def request_timeout():
    mirror = Backend()
    text = NAMED_MIRROR.replace("POLICIES", "http: {requestTimeout: 500ms}") % {"share": "1.0", "more": ""}
    expect_given_up(Gateway(text, origin=Origin(), mirror=mirror, workers=1), mirror, 0.5)


# The test above is the short form.
@test("a mirror that never answers is given up after 10 s", waits=True, timeout=60, long=True)
def deadline():
    mirror = Backend()
    expect_given_up(mirrored(mirror)[0], mirror, 10.0)


@test("a copy is given up after its backend's connectTimeout, and counts as a failed connect")
def connect_deadline():
    hole, origin = Blackhole(), Origin()
    text = NAMED_MIRROR.replace("POLICIES", "tcp: {connectTimeout: 500ms, keepalives: {}}")
    gateway = Gateway(text % {"share": "1.0", "more": ""}, origin=origin, mirror=hole.address, workers=1)
    with within(0.5, "the failure of the copy"):
        eq(gateway.fetch("/get").status, 200, "status")
        wait_counted(gateway, "headgate_mirror_failures_total", 1)
    eq(gateway.metrics()("headgate_upstream_connect_failures_total"), 1, "failed connects")


@test("percentage is the share of requests that are copied")
def share():
    mirror = Origin()
    # A fair choice is outside the bounds for a quarter once in 10^7.
    for written, low, high in (("0.0", 0, 0), ("0.25", 20, 90), ("1.0", 200, 200)):
        gateway, _ = mirrored(mirror, written)
        client = gateway.client()
        for _ in range(200):
            eq(client.get("/get").status, 200, "status")
        copies_made = gateway.metrics()("headgate_mirrored_requests_total")
        check(low <= copies_made <= high, f"{copies_made} of 200 copied with percentage {written}")
        gateway.stop()


@test("an answer of the mirror that is too large is not read to its end")
def large_answer():
    mirror, main = Origin(), Backend()
    gateway = Gateway(ROUTE % {"share": "1.0", "more": ""}, origin=main, mirror=mirror, workers=1)
    client = gateway.client().request("GET", "/bytes/1000000000")
    upstream = main.accept()
    upstream.read_request()
    upstream.respond(200, body=b"small")
    eq(client.response().body, b"small", "body")
    wait_counted(gateway, "headgate_mirror_failures_total", 1)
    wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") <= 1, 5,
               "the copy's connection to end")


@test("no more than 256 copies are under way in a worker; the rest is not made")
def bounded():
    mirror = Backend(backlog=1024)
    gateway, _ = mirrored(mirror)
    client = gateway.client()
    for _ in range(300):
        eq(client.get("/get").status, 200, "status")
    metrics = gateway.metrics()
    eq((metrics("headgate_mirrored_requests_total"), metrics("headgate_mirror_dropped_total")), (256, 44),
       "copies made and not made")
    gateway.stop()


@test("a pooled connection of the mirror that had died is replaced")
def reused():
    mirror = Origin()
    gateway, _ = mirrored(mirror)
    for number in range(1, 4):
        eq(gateway.fetch("/close/silent" if number % 2 else "/get").status, 200, "status")
        wait_counted(gateway, "headgate_mirrored_requests_total", number)
        wait_until(lambda n=number: mirror.stats()["requests"] >= n, 5, "the copy")
    eq(gateway.metrics()("headgate_mirror_failures_total"), 0, "mirror failures")


@test("a copy of a POST that met a dying connection is not sent twice, one of a GET is")
def repeated():
    mirror = Backend()
    gateway, _ = mirrored(mirror)
    pooled = None
    for number, (method, failures) in enumerate((("POST", 1), ("GET", 1)), 1):
        eq(gateway.fetch("/get").status, 200, "status")
        pooled = mirror.accept()
        pooled.read_request()
        pooled.respond(200)
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 2, 5, "the pooled connection")
        eq(gateway.fetch("/anything", method=method).status, 200, "status")
        eq(pooled.read_request().method, method, "the copy on the pooled connection")
        pooled.close()
        if method == "GET":
            again = mirror.accept()
            eq(again.read_request().method, "GET", "the copy once more")
            again.respond(200)
            again.close()
        wait_counted(gateway, "headgate_mirrored_requests_total", 2 * number)
        wait_counted(gateway, "headgate_mirror_failures_total", failures)


MANIFEST = manifests.GATEWAY + manifests.ROUTE + """  - backendRefs: [{name: main, port: 80}]
    filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}, percent: 0}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: three, port: 80}}}
"""

SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: %(name)s, namespace: ns}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %(name)s-1, namespace: ns, labels: {kubernetes.io/service-name: %(name)s}}
addressType: IPv4
ports: [{port: %(port)d}]
endpoints: [{addresses: [127.0.0.1]}]
"""


@test("RequestMirror filters of an HTTPRoute apply together, each with its share")
def manifest():
    origins = {name: Origin(name=name) for name in ("main", "one", "two", "three")}
    text = MANIFEST + "".join(SERVICE % {"name": name, "port": origin.port}
                              for name, origin in origins.items())
    gateway = Gateway(text)
    for _ in range(5):
        eq(gateway.fetch("/get?count=k").header("x-origin"), "main", "origin of the answer")
    wait_until(lambda: [o.counter("k") for o in origins.values()] == [5, 5, 0, 5], 5, "the copies")


@test("a request that asks for an upgrade is not mirrored, and is upgraded")
def upgrade():
    mirror = Backend()
    gateway, _ = mirrored(mirror)
    WebSocket(gateway.port, "/ws").echo(b"hello")
    mirror.expect_no_connection(0.2)
    eq(gateway.metrics()("headgate_mirrored_requests_total"), 0, "mirrored requests")


@test("a reload ends no copy that is under way")
def reloaded():
    mirror = Backend()
    gateway, origin = mirrored(mirror)
    eq(gateway.fetch("/get").status, 200, "status")
    copy = mirror.accept()
    copy.read_request()
    without = "".join(line + "\n" for line in ROUTE.split("\n") if "requestMirror" not in line)
    gateway.reload(without % {"more": ""})
    copy.respond(200, body=b"late")
    wait_counted(gateway, "headgate_upstream_pool_idle", 2)
    eq(gateway.metrics()("headgate_mirror_failures_total"), 0, "mirror failures")


UNRESOLVED = """
config: {limits: {connectionsPerBackend: 2}}
backends:
- {name: lost, host: "nowhere.invalid:80"}
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /direct}}]
      backends: [{backend: lost}]
    - policies: {requestMirror: {backend: {backend: lost}, percentage: 1.0}}
      backends: [{host: @origin@}]
"""


@test("copies whose backend's name does not resolve leave no connection of it counted")
def unresolved():
    gateway = Gateway(UNRESOLVED, origin=Origin(), workers=1)
    for _ in range(10):
        eq(gateway.fetch("/get").status, 200, "status")
    wait_counted(gateway, "headgate_mirror_failures_total", 10)
    eq(gateway.fetch("/direct").status, 503, "status without an address")
    eq(gateway.wait_log(count=11)[-1]["close_reason"], "dns_failed", "close_reason")
