# SPDX-License-Identifier: Apache-2.0
"""Malformed responses: nothing of them reaches the client, and their connections are not used again."""
import email.utils
import time

from hg import *
from plays import acted, play

DATES = """
binds:
- port: @port@
  listeners:
  - routes:
    - matches: [{path: {exact: /without}}]
      policies: {responseHeaderModifier: {remove: [date]}}
      backends: [{host: @origin@}]
    - backends: [{host: @origin@}]
"""
# A head that is refused as a whole: 502.
HEADS = """dup-cl dup-cl-same cl-list cl-plus cl-negative cl-hex cl-empty cl-overflow cl-te te-1.0
    te-gzip-chunked te-identity te-twice te-xchunked status-99 status-000 status-600 status-1000
    no-version http-2.0 http-0.9 two-spaces ctl-reason leading-crlf obs-fold lf-only bare-cr
    nul-value ctl-value bad-name empty-name no-colon space-colon leading-space 204-chunked 100-body
    101-unasked huge-head too-many-1xx""".split()
# A good head whose body breaks: the client sees that it is not complete.
BODIES = """bad-chunk bad-second-chunk chunk-ext-lf chunk-lf chunk-long chunk-overflow chunk-plus chunk-space
    trailer-cl trailer-fold""".split()
# A good answer with something behind it that must meet nobody.
BEHIND = "204-body 304-body extra-bytes late-bytes".split()


@test("a malformed response head is a 502, in the log response_bad, and its connection ends")
def heads():
    gateway, origin = play()
    client = gateway.client()
    for kind in HEADS:
        answer = client.get(f"/bad/{kind}")
        eq((answer.status, answer.text), (502, "upstream call failed: malformed response"), kind)
        eq(answer.header("Connection"), None, f"Connection after {kind}: the client did nothing wrong")
        eq(client.get("/anything").json()["request"], 1,
           f"{kind}: request number on a new backend connection")
        wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 1, 2, "one pooled connection")
        client.get("/close/after")
    eq({r["close_reason"] for r in gateway.wait_log(lambda r: r.status == 502, len(HEADS))}, {"response_bad"},
       "close reasons")
    eq(gateway.metrics()("headgate_http_bad_responses_total"), len(HEADS), "counted")
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("a response body that breaks its framing is visible as incomplete, and its connection ends")
def bodies():
    gateway, _ = play()
    for kind in BODIES:
        client = gateway.client().request("GET", f"/bad/{kind}")
        seen = b""
        try:
            head = client.response_head()
            if head.status != 502:
                for piece in client.body(head):
                    seen += piece
                raise Failure(f"{kind} looks complete: {seen!r}")
        except Failure as failure:
            check("looks complete" not in str(failure), str(failure))
        eq(gateway.fetch("/anything").json()["request"], 1, f"{kind}: the connection was used again")
        gateway.fetch("/close/after")
    reasons = [r["close_reason"] for r in gateway.wait_log(lambda r: "/bad/" in r["http.path"], len(BODIES))]
    eq(set(reasons), {"response_bad"}, "close reasons")


@test("a chunk that is malformed in the segment of the head is a 502; a later one leaves what came before it")
def first_chunk():
    gateway, backend = acted()
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in "2  \r\nok\r\n0\r\n\r\n", "zz\r\n", "2\r\nok\r\nzz\r\n":
        client = gateway.client().request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(head + body)
        eq(client.response().status, 502, f"status with {body!r}")
        upstream.expect_end()
    for record in gateway.wait_log(count=3):
        eq((record.status, record["close_reason"]), (502, "response_bad"), "log")
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(head + "2\r\nok\r\n")
    eq(client.response_head().status, 200, "status")
    client.read_until(b"ok\r\n")
    upstream.send("zz\r\n")
    client.expect_end()


@test("a response without Date gets one, one with Date keeps it, and header rules see both")
def date():
    gateway, backend = acted(DATES)

    def answer(path, fields=""):
        client = gateway.client().request("GET", path)
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n{fields}\r\n").close()
        return client.response()
    before = time.time()
    made = email.utils.parsedate_to_datetime(answer("/").header("Date")).timestamp()
    check(int(before) - 1 <= made <= time.time() + 1, f"the date {made}, now {before}")
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    eq(answer("/", f"Date: {old}\r\n").header("Date"), old, "the backend's own")
    eq(answer("/without").header("Date"), None, "removed by a rule")


@test("bytes behind a response are given to nobody, and their connection ends")
def behind():
    gateway, _ = play()
    for kind in BEHIND:
        client = gateway.client()
        answer = client.get(f"/bad/{kind}")
        check(answer.status in (200, 204, 304), f"{kind}: {answer}")
        check(b"poison" not in answer.body and b"hello" not in answer.body, f"{kind}: {answer}")
        if kind == "late-bytes":
            wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 0, 3,
                       "the poisoned connection to go")
        answer = client.get("/anything")
        eq((answer.status, answer.json()["request"]), (200, 1), f"the answer behind {kind}")
        gateway.fetch("/close/after")


@test("a legal oddity is accepted: extensions of chunks, 200 headers, a status line without reason")
def legal():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")
    answer = client.response()
    eq((answer.reason, answer.body), ("OK", b"ok"), "without a reason")
    client.request("GET", "/")
    upstream.read_request()
    upstream.send("HTTP/1.1 200 Tr\u00e8s bien\r\nContent-Length:2\r\nX-E:\r\n\r\nok")
    answer = client.response()
    eq((answer.reason, answer.header("X-E")), ("Tr\u00e8s bien", ""), "a reason of its own")
    plain, _ = play()
    eq(plain.fetch("/bad/chunk-ext").body, b"ok", "chunk extension")
    eq(len(plain.fetch("/bad/many-headers?n=200").headers.pairs) > 200, True, "200 headers")


@test("a malformed response is never retried, whatever the policy says")
def not_retried():
    gateway, _ = play("""
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {retry: {attempts: 3, codes: [502, 503]}}
      backends:
      - host: @origin@
""")
    eq(gateway.fetch("/bad/dup-cl").status, 502, "status")
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries")


@test("a response before any request ends the connection, and the next request gets its own answer")
def unsolicited():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/1")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(body=b"one")
    eq(client.response().body, b"one", "first answer")
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    upstream.expect_end(2)
    client.request("GET", "/2")
    fresh = backend.accept()
    fresh.read_request()
    fresh.respond(body=b"two")
    eq(client.response().body, b"two", "second answer")


@test("a malformed response head cut at any byte is refused all the same")
def cut():
    gateway, backend = acted()
    text = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"
    client = gateway.client()
    for at in range(1, len(text) - 2, 5):
        client.request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send(text[:at])
        upstream.send(text[at:])
        eq(client.response().status, 502, f"cut at {at}")
        upstream.close()
