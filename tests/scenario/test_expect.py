# SPDX-License-Identifier: Apache-2.0
"""Interim responses, and the handshake before an upload."""
from hg import *
from plays import acted, play


@test("Expect: 100-continue: the backend's 100 comes through, then the body goes")
def continue_given():
    gateway, _ = play()
    client = gateway.client()
    for _ in range(3):
        client.send("POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    "Content-Length: 100000\r\n\r\n")
        eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "interim response")
        client.send(pattern(100000))
        answer = client.response().json()
        eq((answer["length"], answer["is_pattern"], answer["connection"]), (100000, True, 1), "upload")


@test("Expect: 100-continue: a refusal comes through, the body is not asked for, the connection ends")
def continue_refused():
    gateway, origin = play()
    for path, status in (("/expect-reject", 417), ("/early/403", 403), ("/expect-reject?keep=1", 417)):
        client = gateway.client()
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    f"Content-Length: 100000\r\n\r\n")
        answer = client.response()
        eq((answer.status, answer.header("Connection"), answer.interim), (status, "close", []), path)
        client.expect_fin()
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("a final 200 without 100 ends the connection: what follows may be the body or not")
def continue_skipped():
    gateway, _ = play()
    client = gateway.client()
    client.send("POST /early/200 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n")
    answer = client.response()
    eq((answer.status, answer.header("Connection")), (200, "close"), "answer")
    client.expect_fin()
    client.send("GET /anything/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    kind, rest = client.expect_end()
    eq(rest, b"", f"bytes after the end ({kind})")


@test("the gateway invents no 100, and waits with the body of a client that did not ask")
def none_invented():
    gateway, backend = acted()
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    upstream = backend.accept()
    head = upstream.request_head()
    eq(head.header("Expect"), "100-continue", "Expect at the backend")
    client.expect_silence(0.1)
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n")
    eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "interim")
    client.send("hello")
    eq(upstream.read(5), b"hello", "body")
    upstream.respond(body=b"done")
    eq(client.response().body, b"done", "answer")


@test("103 and other interim responses come through in order with their fields")
def early_hints():
    gateway, _ = play()
    client = gateway.client()
    answer = client.get("/informational?code=103&n=3")
    eq([r.status for r in answer.interim], [103] * 3, "interim statuses")
    check(all(r.header("Link") for r in answer.interim), "Link of the 103s")
    eq((answer.status, answer.body.strip()), (200, b"final"), "final answer")
    eq([r.status for r in client.get("/informational?code=102&n=1").interim], [102], "102")
    eq(client.get("/anything").json()["request"], 3, "request number")


@test("an interim response is there before the final one")
def interim_at_once():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: keep-alive\r\n"
                  "Keep-Alive: timeout=3\r\n\r\n")
    eq(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "interim response")
    client.expect_silence(0.1)
    upstream.respond(body=b"x")
    eq(client.response().body, b"x", "final body")


@test("an HTTP/1.0 client gets no interim response")
def no_interim_for_1_0():
    gateway, backend = acted()
    client = gateway.client().request("GET", "/", version="1.0")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
                  "Content-Length: 2\r\n\r\nok")
    answer = client.response()
    eq((answer.status, answer.interim, answer.body), (200, [], b"ok"), "answer")


@test("Expect of an HTTP/1.0 client is not forwarded: nobody would send it the 100")
def expect_of_1_0():
    gateway, backend = acted()
    client = gateway.client()
    client.send("POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
    request = backend.accept().read_request()
    eq((request.header("Expect"), request.body), (None, b"hello"), "Expect and body")


@test("an expectation that is not 100-continue is refused with 417 by the gateway")
def other_expectation():
    gateway, origin = play()
    client = gateway.client()
    client.request("POST", "/anything", [("Expect", "200-ok")], body=b"x")
    eq(client.response().status, 417, "status")
    client.expect_fin()
    eq(origin.stats()["requests"], 1, "requests at the backend, this one included")


@test("more interim responses than the limit are a 502")
def too_many():
    gateway, _ = play()
    client = gateway.client()
    eq(client.get("/bad/too-many-1xx?n=16").status, 200, "16 are allowed")
    answer = client.get("/bad/too-many-1xx?n=17")
    eq((answer.status, len(answer.interim)), (502, 16), "status and interim responses passed on")
    eq(client.get("/anything").json()["request"], 1, "the bad connection was not used again")


@test("an unasked 101 is a 502")
def unasked_101():
    gateway, _ = play()
    client = gateway.client()
    eq(client.get("/bad/101-unasked").status, 502, "status")
    eq(client.get("/anything").json()["request"], 1, "the bad connection was not used again")
