# SPDX-License-Identifier: Apache-2.0
"""Answers of our own: status, fields and body byte for byte, and connections that stay usable."""
import re

from hg import *
from hg.origin import Blackhole
from plays import SIMPLE, play

MANY = """
binds:
- port: @port@
  listeners:
  - hostname: a.test
    routes:
    - name: none
      matches: [{path: {exact: /none}}]
      backends: []
    - name: zero
      matches: [{path: {exact: /zero}}]
      backends: [{host: @origin@, weight: 0}]
    - name: refused
      matches: [{path: {exact: /refused}}]
      backends: [{host: "127.0.0.1:@closed@"}]
    - name: dns
      matches: [{path: {exact: /dns}}]
      backends: [{host: "no-such-name.invalid:80"}]
    - name: hole
      matches: [{path: {exact: /hole}}]
      backends:
      - host: @hole@
        policies: {tcp: {keepalives: {}, connectTimeout: 300ms}}
    - name: direct
      matches: [{path: {pathPrefix: /direct}}]
      policies: {directResponse: {status: 503, body: "sorry, no"}}
    - name: empty
      matches: [{path: {pathPrefix: /empty}}]
      policies: {directResponse: {status: 204}}
    - name: slow
      matches: [{path: {pathPrefix: /delay}}]
      policies: {timeout: {requestTimeout: 200ms}}
      backends: [{host: @origin@}]
    - name: try
      matches: [{path: {pathPrefix: /try}}]
      policies:
        timeout: {backendRequestTimeout: 200ms}
        urlRewrite: {path: {prefix: /delay}}
      backends: [{host: @origin@}]
    - name: rest
      matches: [{path: {pathPrefix: /close}}, {path: {pathPrefix: /bad}}, {path: {pathPrefix: /anything}}]
      backends: [{host: @origin@}]
"""
DATE = re.compile(rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
LOST = "upstream call failed: SendRequest: connection closed before message completed"
TABLE = [  # method, target, host, status, body, close_reason
    ("GET", "/anything", "b.test", 404, "listener not found", "no_route"),
    ("GET", "/nowhere", "a.test", 404, "route not found", "no_route"),
    ("GET", "/none", "a.test", 500, "no valid backends", "no_backend"),
    ("GET", "/zero", "a.test", 500, "no valid backends", "no_backend"),
    ("GET", "/refused", "a.test", 503, "upstream call failed: Connect: Connection refused", "connect_failed"),
    ("GET", "/dns", "a.test", 503, "backends required DNS resolution which failed", "dns_failed"),
    ("GET", "/hole", "a.test", 504, "upstream call timeout", "connect_timeout"),
    ("GET", "/delay/60", "a.test", 504, "request timeout", "request_timeout"),
    ("GET", "/try/60", "a.test", 504, "upstream call timeout", "per_try_timeout"),
    ("GET", "/close/fin", "a.test", 503, LOST, "upstream_fin"),
    ("GET", "/close/rst", "a.test", 503, "upstream call failed: SendRequest: Connection reset by peer",
     "upstream_rst"),
    ("GET", "/bad/dup-cl", "a.test", 502, "upstream call failed: malformed response", "response_bad"),
    ("GET", "/direct", "a.test", 503, "sorry, no", "local_reply"),
    ("GET", "/empty", "a.test", 204, "", "local_reply"),
]
REASONS = {204: "No Content", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable",
           504: "Gateway Timeout", 405: "Method Not Allowed"}


def start():
    return play(MANY, hole=Blackhole())


def whole(client):
    """The raw bytes of one answer: head, then Content-Length bytes."""
    head = client.read_until(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)\r\n", head)
    return DATE.sub(b"DATE", head) + (client.read(int(length.group(1))) if length else b"")


def wanted(status, body, close=False):
    """The answer as it must be, with DATE in place of the time."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Date: DATE"]
    lines += ["Content-Type: text/plain"] if body else []
    lines += [f"Content-Length: {len(body)}"] if status != 204 else []
    lines += ["Connection: close"] if close else []
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@test("every error of the reference has its status, its body without a line end, and leaves the connection "
      "usable", timeout=60)
def table():
    gateway, _ = start()
    client = gateway.client()
    for method, target, host, status, body, _ in TABLE:
        client.request(method, target, host=host)
        eq(whole(client), wanted(status, body), f"{method} {target}")
    reasons = [record["close_reason"] for record in gateway.wait_log(count=len(TABLE))]
    eq(reasons, [row[5] for row in TABLE], "close reasons in the log")


@test("the same answers to HEAD have the same head and no body")
def head_replies():
    gateway, _ = start()
    client = gateway.client()
    for target, status, body in (("/nowhere", 404, "route not found"), ("/direct", 503, "sorry, no"),
                                 ("/refused", 503, TABLE[4][4])):
        client.request("HEAD", target, host="a.test")
        eq(DATE.sub(b"DATE", client.read_until(b"\r\n\r\n")), wanted(status, "").replace(
            b"Content-Length: 0", f"Content-Type: text/plain\r\nContent-Length: {len(body)}".encode()),
            f"HEAD {target}")
    client.request("GET", "/empty", host="a.test")
    eq(client.response().status, 204, "the next answer")


@test("a request with Connection: close is answered with it and FIN; an HTTP/1.0 one as it asked")
def closing():
    gateway, _ = start()
    client = gateway.client().request("GET", "/direct", [("Connection", "close")], host="a.test")
    eq(whole(client), wanted(503, "sorry, no", close=True), "answer")
    client.expect_fin()
    client = gateway.client().request("GET", "/direct", host="a.test", version="1.0")
    eq(whole(client), wanted(503, "sorry, no", close=True), "answer to HTTP/1.0")
    client.expect_fin()
    client = gateway.client().request("GET", "/direct", [("Connection", "keep-alive")], host="a.test",
                                      version="1.0")
    eq(client.response().header("Connection"), "keep-alive", "Connection")
    eq(client.request("GET", "/direct", host="a.test").response().status, 503, "the next answer")


@test("a request whose body was not read is answered with Connection: close, and the body is no request")
def unread_body():
    gateway, origin = start()
    smuggled = "GET /anything?count=smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    for target in ("/direct", "/nowhere", "/none", "/refused"):
        client = gateway.client()
        client.send(f"POST {target} HTTP/1.1\r\nHost: a.test\r\n"
                    f"Content-Length: {len(smuggled) + 10}\r\n\r\n" + smuggled)
        answer = client.response()
        eq(answer.header("Connection"), "close", f"Connection after {target}")
        client.expect_fin()
    eq(origin.counter("smuggled"), 0, "smuggled requests")


@test("a request that was read whole leaves the connection usable though its backend failed")
def read_body():
    gateway, _ = start()
    client = gateway.client()
    for path in ("/close/fin", "/bad/dup-cl"):
        answer = client.request("POST", path, body=b"hello", host="a.test").response()
        check(answer.status in (502, 503), f"{path}: {answer}")
        eq(answer.header("Connection"), None, f"Connection after {path}")
    eq(client.get("/anything", host="a.test").status, 200, "the next request")


@test("a malformed request is answered with an empty body, Connection: close and FIN")
def malformed():
    gateway, _ = start()
    for text, line in (("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
                       ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported"),
                       ("GET /" + "a" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n", "414 URI Too Long"),
                       ("GET / HTTP/1.1\r\nHost: x\r\n" + "A: b\r\n" * 200 + "\r\n",
                        "431 Request Header Fields Too Large"),
                       ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
                        "501 Not Implemented")):
        client = gateway.client().send(text)
        eq(whole(client),
           f"HTTP/1.1 {line}\r\nDate: DATE\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode(), line)
        client.expect_end()


@test("x-headgate-close-reason names the reason when the configuration wants it, on errors only")
def close_reason():
    gateway, _ = start()
    eq(gateway.fetch("/nowhere", host="a.test").header("x-headgate-close-reason"), None, "by default")
    gateway, _ = play(MANY + "config:\n  exposeCloseReason: true\n", hole=Blackhole())
    for target, reason in (("/nowhere", "no_route"), ("/refused", "connect_failed"),
                           ("/delay/60", "request_timeout"), ("/direct", None)):
        eq(gateway.fetch(target, host="a.test").header("x-headgate-close-reason"), reason, target)
    eq(gateway.client().send("BAD\r\n\r\n").response().header("x-headgate-close-reason"), "request_bad",
       "a malformed request")


@test("a large directResponse arrives whole, also at a reader that comes late")
def large_direct():
    body = "0123456789abcdef" * 40000
    gateway, _ = play(SIMPLE + "    - name: big\n      matches: [{path: {exact: /big}}]\n"
                      f"      policies: {{directResponse: {{status: 200, body: '{body}'}}}}\n")
    client = gateway.client(rcvbuf=4096)
    client.request("GET", "/big").request("GET", "/big")
    for _ in range(2):
        eq(client.response().text, body, "body")


@test("a client that resets before it read our answer costs nothing")
def reset_before_answer():
    gateway, _ = play(MANY.replace("connectTimeout: 300ms", "connectTimeout: 60s"), hole=Blackhole())
    for _ in range(20):
        client = gateway.client().request("GET", "/direct", host="a.test")
        client.rst()
    client = gateway.client().request("GET", "/hole", host="a.test")
    client.rst()
    gateway.wait_log(lambda r: r["close_reason"] == "client_rst" and r["http.path"] == "/hole")


@test("a log line of our own answer has the error and no endpoint it did not ask")
def logged():
    gateway, _ = start()
    gateway.fetch("/nowhere", host="a.test")
    record = gateway.wait_log()
    eq((record["error"], record.get("endpoint"), record.get("reason")), ("route not found", None, "NotFound"),
       "fields")
    gateway.fetch("/refused", host="a.test")
    record = gateway.wait_log(count=2)[1]
    eq((record["error"], record["reason"], record["endpoint"]),
       (TABLE[4][4], "UpstreamFailure", f"127.0.0.1:{gateway.ports['closed']}"), "fields")
