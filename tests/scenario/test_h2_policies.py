# SPDX-License-Identifier: Apache-2.0
"""Policies, timers, logs and local answers are those of HTTP/1.1, on every stream of HTTP/2."""
from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_backend import H2Backend
from h2cases import connect, fields_of
from timers import TIMED_ROUTE, expect_fired, expect_reason, expect_timeout

BOTH_WAYS = """
config: {timeouts: {clientBodyStall: 600ms}}
binds:
- port: @port@
  listeners:
  - routes:
    - backends: [{host: @origin@, policies: {http: {version: HTTP/2.0}}}]
"""


def routed(policies="{}", backend="{}", timeouts="{}"):
    return connect(TIMED_ROUTE % {"policies": policies, "backend": backend, "timeouts": timeouts})


# ---- timers ----------------------------------------------------------------------------------------------


@test("requestTimeout is a 504 request timeout on its stream, and the others go on")
def request_timeout():
    client = routed("{timeout: {requestTimeout: 1s}}")
    with within(1.0, "the answer", before=30):
        slow, fast = client.request("/delay/30"), client.request("/drip?duration=1.5&numbytes=10")
        answer = client.response(slow)
    expect_timeout(answer, "request timeout", "request_timeout")
    eq(client.response(fast).status, 200, "status of the other stream")
    expect_reason(client.gateway, "request_timeout", 504, 1.0, "request timeout")
    expect_fired(client.gateway, "request_timeout")
    eq(client.get("/get").status, 200, "the next request on the connection")


@test("requestTimeout starts with the head of the request, slow uploads included, and spares bodies")
def request_timeout_bounds():
    client = routed("{timeout: {requestTimeout: 1s}}")
    with within(1.0, "the answer"):
        number = client.request("/upload", "POST", end=False)
        client.send_data(number, b"some")
        answer = client.response(number)
    expect_timeout(answer, "request timeout", "request_timeout")
    answer = client.get("/drip?duration=1.5&numbytes=10")
    eq((answer.status, answer.body), (200, b"*" * 10), "a body that streams longer")


@test("backendRequestTimeout is a 504 upstream call timeout of an attempt; http.requestTimeout replaces it")
def per_try_timeout():
    for policies, backend in (("{timeout: {backendRequestTimeout: 300ms}}", "{}"),
                              ("{timeout: {backendRequestTimeout: 30s}}", "{http: {requestTimeout: 300ms}}")):
        client = routed(policies, backend)
        with within(0.3, "the answer", before=30):
            answer = client.get("/delay/60")
        expect_timeout(answer, "upstream call timeout", "per_try_timeout")
        expect_reason(client.gateway, "per_try_timeout", 504, 0.3, "upstream call timeout")


@test("retries: codes, tries that time out, resets before the head, with the body again")
def retries():
    policies = "{timeout: {backendRequestTimeout: 1s}, retry: {attempts: 3, codes: [503]}}"
    client = routed(policies)
    for mode in ("status", "rst", "close", "delay"):
        answer = client.get(f"/unstable?key={mode}&fail=2&mode={mode}&delay=5")
        eq((answer.status, answer.json()["attempt"]), (200, 3), f"answer after {mode}")
    # The first attempt on a connection that was idle may be repeated for free.
    for record in client.gateway.wait_log(count=4):
        check(record["retry.attempt"] in ("1", "2"), f"retry.attempt of {record.line}")
    number = client.request("/unstable?key=post&fail=1&mode=status", "POST", body=pattern(30000))
    eq(client.response(number).json()["attempt"], 2, "attempts of a POST")
    eq(client.get("/status/503?count=n").status, 503, "status after all tries")
    eq(client.origin.counter("n"), 4, "tries")


@test("streamIdle ends a body that stands still with a reset of its stream only")
def stream_idle():
    client = routed(timeouts="{streamIdle: 1s}")
    with within(1.0, "the reset", before=30):
        number = client.request("/sse?n=2&interval=30000")
        client.response_head(number)
        busy = client.request("/sse?n=8&interval=200")
        client.expect_rst(number, f.CANCEL, f.INTERNAL_ERROR)
    expect_reason(client.gateway, "stream_idle")
    eq(client.response(busy).text.count("data: "), 8, "events of a busy stream")


@test("a stream in both directions that is no gRPC outlives clientBodyStall once the backend has begun to "
      "answer, one without an answer does not", waits=True)
def both_ways():
    backend = H2Backend()
    gateway = Gateway(BOTH_WAYS, origin=backend)
    client = H2Client(gateway.client())
    talk = client.request("/talk", "POST", [("content-type", "application/connect+proto")], end=False)
    client.send_data(talk, b"one")
    upstream = backend.accept()
    number = upstream.expect_head()
    upstream.head(number)
    eq(client.response_head(talk).status, 200, "status")
    client.expect_silence(1.5)
    client.send_data(talk, b"two", True)
    upstream.wait(lambda: upstream.streams[number].ended, 5, "the end of the request")
    upstream.send_data(number, b"answer", True)
    eq(client.response(talk).body, b"answer", "the answer")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")
    with within(0.6, "the answer"):
        stalled = client.request("/talk", "POST", end=False)
        eq(client.response(stalled).status, 408, "status without an answer")
    expect_fired(gateway, "body_stall")


# ---- what a policy does to messages ----------------------------------------------------------------------


@test("header modifiers of route and backend change HTTP/2 messages as they change others")
def modifiers():
    client = routed("{requestHeaderModifier: {set: {X-Set: new}, add: {x-add: more}, remove: [x-gone]}, "
                    "responseHeaderModifier: {set: {X-Res: yes}, remove: [content-type]}}",
                    "{requestHeaderModifier: {set: {x-backend: b}}}")
    number = client.request("/headers", "GET", {"x-set": "old", "x-gone": "1", "x-kept": "2"})
    answer = client.response(number)
    got = fields_of(answer)
    eq([got.get(name) for name in ("x-set", "x-add", "x-gone", "x-kept", "x-backend")],
       ["new", "more", None, "2", "b"], "fields at the backend")
    eq((answer.headers["x-res"], answer.headers["content-type"]), ("yes", None), "fields of the answer")


@test("urlRewrite changes :authority and :path")
def rewrite():
    client = routed("{urlRewrite: {authority: {full: other.example}, path: {full: /anything/new}}}")
    got = client.get("/old?x=1").json()
    eq((got["target"], {k.lower(): v for k, v in got["headers"].items()}["host"]),
       ("/anything/new?x=1", "other.example"), "request at the backend")


@test("a directResponse larger than what a stream keeps of a body arrives whole, as windows allow")
def large_local_answer():
    body = pattern(300000).hex()
    client = connect("""
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {directResponse: {status: 200, body: "%s"}}
""" % body)
    answer = client.get("/")
    eq((answer.status, answer.headers["content-length"]), (200, "600000"), "head")
    check(answer.text == body, "another body")
    eq(client.gateway.wait_log()["close_reason"], "local_reply", "close_reason")


@test("requestRedirect, directResponse and no route are answers with END_STREAM")
def local_answers():
    client = connect("""
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {pathPrefix: /moved}}]
      policies: {requestRedirect: {path: {full: /there}, status: 301}}
    - matches: [{path: {pathPrefix: /tea}}]
      policies: {directResponse: {status: 418, body: teapot}}
    - matches: [{path: {pathPrefix: /ok}}]
      policies: {urlRewrite: {path: {full: /get}}}
      backends: [{host: @origin@}]
    - matches: [{path: {pathPrefix: /none}}]
      backends: [{host: @origin@, weight: 0}]
""")
    answer = client.get("/moved?x=1")
    eq(answer.status, 301, "status")
    check("/there" in answer.headers["location"] and client.authority in answer.headers["location"],
          f"location {answer.headers['location']}")
    answer = client.get("/tea")
    eq((answer.status, answer.body, answer.headers["content-length"]), (418, b"teapot", "6"),
       "directResponse")
    answer = client.response(client.request("/tea", "HEAD"))
    eq((answer.status, answer.body), (418, b""), "directResponse to HEAD")
    eq((client.get("/else").status, client.get("/none").status, client.get("/ok").status), (404, 500, 200),
       "status without a route, without a backend, of a good route")
    number = client.request("/tea", "POST", end=False)
    answer = client.response(number)
    eq(answer.body, b"teapot", "an answer before the end of the upload")
    check(client.poll().streams[number].rst in (None, f.NO_ERROR), "code of the reset")
    reasons = {r["http.path"]: r["close_reason"] for r in client.gateway.wait_log(count=7)}
    eq([reasons[path] for path in ("/else", "/none", "/tea")], ["no_route", "no_backend", "local_reply"],
       "close reasons")


@test("listeners are chosen by :authority, routes by method, path, header and query of HTTP/2")
def matches():
    client = connect("""
binds:
- port: @port@
  listeners:
  - hostname: a.example
    routes:
    - matches: [{method: PUT}, {headers: [{name: x-go, value: {exact: "yes"}}]},
                {query: [{name: q, value: {exact: "1"}}]},
                {headers: [{name: ":scheme", value: {exact: http}}], path: {exact: /scheme}}]
      policies: {directResponse: {status: 201}}
  - hostname: b.example
    routes:
    - policies: {directResponse: {status: 202}}
""")
    for path, method, extra, authority, status in (
            ("/x", "PUT", {}, "a.example", 201), ("/x", "GET", {}, "a.example", 404),
            ("/x", "GET", {"x-go": "yes"}, "a.example", 201), ("/x?q=1", "GET", {}, "a.example", 201),
            ("/scheme", "GET", {}, "a.example", 201), ("/x", "GET", {}, "B.Example:80", 202),
            ("/x", "GET", {}, "c.example", 404)):
        number = client.request(path, method, extra, authority=authority)
        eq(client.response(number).status, status, f"status of {method} {path} at {authority}")


@test("requestMirror copies HTTP/2 requests")
def mirror():
    other = Origin()
    client = connect(TIMED_ROUTE % {"policies": "{requestMirror: {backend: {host: %s}}}" % other.address,
                              "backend": "{}", "timeouts": "{}"})
    eq(client.get("/get?count=m").status, 200, "status")
    wait_until(lambda: other.counter("m") == 1, 10, "the copy")


@test("an unreachable backend is a 503, and the connection of the client goes on")
def unreachable():
    client = routed()
    client.origin.stop()
    eq(client.get("/get").status, 503, "status")
    expect_reason(client.gateway, "connect_failed", 503)
    client.origin.restart()
    eq(client.get("/get").status, 200, "status")


@test("http1MaxHeaders does not bind HTTP/2; config.http2.headers and maxConcurrentStreams do")
def limits():
    route = TIMED_ROUTE.split("\n", 2)[2] % {"policies": "{}", "backend": "{}"}
    client = connect("config: {http2: {headers: 20, maxConcurrentStreams: 3}}\n" + route)
    eq(client.theirs.get(f.MAX_CONCURRENT_STREAMS), 3, "MAX_CONCURRENT_STREAMS")
    eq(client.get("/get", [(f"x-{i}", "1") for i in range(16)]).status, 200, "status with 20 fields")
    eq(client.get("/get", [(f"x-{i}", "1") for i in range(21)]).status, 431, "status with 21 and four more")


# ---- what is seen ----------------------------------------------------------------------------------------


@test("the access log has one line a stream, with its bytes, names and version")
def access_log():
    client = routed()
    number = client.request("/echo", "POST", body=pattern(50000))
    eq(len(client.response(number).body), 50000, "bytes")
    record = client.gateway.wait_log()
    eq((record["http.version"], record["http.method"], record["http.path"], record["http.host"],
        record.status, record["bytes_in"], record["bytes_out"], record["close_reason"], record["protocol"]),
       ("HTTP/2.0", "POST", "/echo", client.authority, 200, "50000", "50000", "ok", "http"), "fields")
    eq(record["src.addr"], client.raw.local, "src.addr")
    eq(record["route"], "default/all", "route")


@test("/streams shows the streams of a connection, with the bytes they moved")
def live_streams():
    client = routed()
    numbers = [client.request("/sse?n=0&interval=50") for _ in range(3)]
    for number in numbers:
        client.response_head(number)
    streams = wait_until(lambda: [s for s in client.gateway.streams() if s["bytes_out"] > 0][2:] and
                         client.gateway.streams(), 10, "three streams with bytes")
    eq(len(streams), 3, "streams")
    for number in numbers:
        client.reset(number)
    wait_until(lambda: not client.gateway.streams(), 10, "the end of the streams")
    eq(len(client.gateway.wait_log(count=3)), 3, "log lines")


@test("requests are counted by status, whatever version they came in")
def counted():
    client = routed()
    for _ in range(3):
        client.get("/status/204")
    client.get("/status/404")
    other = H2Client(client.gateway.port)
    other.get("/status/204")
    metrics = client.gateway.metrics()
    eq([metrics("agentgateway_requests_total", status=status) for status in ("204", "404")], [4, 1],
       "requests")
    eq(metrics("headgate_downstream_h2_connections_total"), 2, "connections")
