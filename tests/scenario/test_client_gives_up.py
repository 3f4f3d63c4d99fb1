# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/1 that closes its side while it waits has given up, unless halfClose keeps it."""
from hg import *
from manifests import ROUTE, SERVICE
from plays import HALF_CLOSE_KEPT, SIMPLE, acted, retrying

TCP = """
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: @origin@
"""
ROUTES = """
binds:
- port: @port@
  listeners:
  - routes:
    - {matches: [{path: {pathPrefix: /kept}}], halfClose: keep, backends: [{host: @origin@}]}
    - {matches: [{path: {pathPrefix: /ended}}], halfClose: end, backends: [{host: @origin@}]}
    - backends: [{host: @origin@}]
"""
SHARED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: any
  listeners:
  - {name: kept, port: @port@, protocol: HTTP, hostname: kept.test}
  - {name: other, port: @port@, protocol: HTTP, hostname: other.test}
---""" + SERVICE + ROUTE + """  - backendRefs: [{name: svc, port: 80}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: half, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw, sectionName: kept}]
  frontend: {http: {halfClose: Keep}}
"""


def ended(gateway, number=1):
    gateway.wait_log(lambda r: r["close_reason"] == "client_gave_up", number)
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 0, 5, "no client")
    eq(gateway.metrics()("headgate_stream_end_total", reason="client_gave_up"), number, "ends counted")


@test("a FIN of a client that waits for the head of its answer ends the request, and the backend is told")
def waits_for_head():
    gateway, backend = acted()
    for number, body in enumerate((None, b"x" * 1000), 1):
        client = gateway.client().request("POST" if body else "GET", "/x", body=body)
        upstream = backend.accept()
        upstream.read_request()
        client.fin()
        upstream.expect_end()
        ended(gateway, number)


@test("a FIN of a client that waits for more of an event stream ends the request, and the backend is told")
def waits_for_events():
    for lanes in "[]", "[pipe]", None:
        gateway, backend = acted(SIMPLE + (f"config: {{splice: {{lanes: {lanes}}}}}\n" if lanes else ""))
        client = gateway.client().request("GET", "/events")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        eq(client.response_head().status, 200, "status")
        client.fin()
        upstream.expect_end()
        ended(gateway)


@test("a FIN that comes together with the request, or with the end of its body, ends the request as well")
def comes_with_request():
    gateway, _ = acted()
    client = gateway.client()
    client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").fin()
    ended(gateway)
    client = gateway.client().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    wait_until(gateway.streams, 5, "the request")
    client.send("body").fin()
    ended(gateway, 2)


@test("a FIN during the pause before a retry ends the request, and no other attempt is made", waits=True)
def waits_for_retry():
    gateway, backend = acted(retrying("{attempts: 3, backoff: 2s, codes: [503]}"))
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(503)
    wait_until(lambda: gateway.streams() and gateway.streams()[0]["state"] == "backoff", 5, "the pause")
    client.fin()
    ended(gateway)
    backend.expect_no_connection(0.2)


@test("halfClose: keep lets a client that has closed its side have its answer")
def is_kept():
    gateway, backend = acted(SIMPLE + HALF_CLOSE_KEPT)
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    client.fin()
    upstream.expect_silence(0.3)
    upstream.respond(200, body=b"late")
    eq(client.response().body, b"late", "the answer")
    client.expect_fin()
    eq(gateway.wait_log()["close_reason"], "ok", "close_reason")


@test("halfClose holds for the requests of its listener, on a port that listeners share")
def is_of_listener():
    backend = Backend()
    gateway = Gateway(SHARED, origin_port=backend.port)
    kept = gateway.client().request("GET", "/x", host="kept.test")
    upstream = backend.accept()
    upstream.read_request()
    kept.fin()
    upstream.expect_silence(0.3)
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate").close()
    eq(kept.response().body, b"late", "the answer")
    other = gateway.client().request("GET", "/x", host="other.test")
    upstream = backend.accept()
    upstream.read_request()
    other.fin()
    upstream.expect_end()
    ended(gateway)


@test("halfClose of a route comes before that of its listener")
def is_of_route():
    for rule in "", HALF_CLOSE_KEPT:
        gateway, backend = acted(ROUTES + rule)
        for path, is_kept in (("/kept", True), ("/ended", False), ("/other", bool(rule))):
            client = gateway.client().request("GET", path)
            upstream = backend.accept()
            upstream.read_request()
            client.fin()
            if is_kept:
                upstream.expect_silence(0.3)
                upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate").close()
                eq(client.response().body, b"late", path)
            else:
                upstream.expect_end()


@test("TCP routes pass the FIN of one side on, and the other side goes on")
def tcp_route():
    gateway, backend = acted(TCP)
    client = gateway.client().send("question").fin()
    upstream = backend.accept()
    eq(upstream.read_eof(), b"question", "what the backend got")
    upstream.send("answer")
    eq(client.read(6), b"answer", "what the client got")
