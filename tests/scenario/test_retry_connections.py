# SPDX-License-Identifier: Apache-2.0
"""What becomes of the connection of an answer that is not the answer, because its status is retried."""
import time

from hg import *
from plays import acted, play, retrying
from timers import expect_over


@test("answers that are retried keep their connection: one serves all attempts of all requests")
def kept():
    gateway, _ = play(retrying("{attempts: 2, codes: [503]}"))
    for number in range(20):
        answer = gateway.fetch(f"/unstable?key={number}&fail=2&code=503", method="POST", body=pattern(1000))
        eq((answer.status, answer.json()["attempt"]), (200, 3), "status and attempt")
    eq(gateway.metrics()("agentgateway_retries_total"), 40, "retries")
    eq(gateway.metrics()("headgate_upstream_pool_reused_total"), 59, "attempts on the one connection")


@test("a body that comes later is read behind the next attempt, which does not wait for it")
def later():
    gateway, backend = acted(retrying("{attempts: 1, codes: [503]}"))
    client = gateway.client().request("GET", "/x")
    first = backend.accept()
    first.read_request()
    first.send("HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\n", pattern(10))
    second = backend.accept()
    second.read_request()
    first.send(pattern(59990, 10))
    second.respond(200, {"Connection": "close"})
    eq(client.response().status, 200, "status")
    client.request("GET", "/y")
    eq(first.read_request().target, "/y", "the next request on the first connection")
    first.respond(200)
    eq(client.response().status, 200, "status")


@test("a body that is too long, of unknown length, late or too much, or announced to be the last, costs its "
      "connection, and nothing else")
def given_up():
    gateway, backend = acted(retrying("{attempts: 1, codes: [503]}"))
    cases = {
        "long": "Content-Length: 65537\r\n\r\n",
        "chunked": "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "until close": "\r\n",
        "more": "Content-Length: 2\r\n\r\nabc",
        "close": "Connection: close\r\nContent-Length: 2\r\n\r\nab",
        "late": "Content-Length: 2\r\n\r\na",
    }
    for what, text in cases.items():
        client = gateway.client().request("GET", "/x")
        first = backend.accept()
        first.read_request()
        sent = time.monotonic()
        first.send("HTTP/1.1 503 Busy\r\n" + text)
        second = backend.accept()
        second.read_request()
        if what != "late":  # closed before the next attempt began, not by the timer that waits for the rest
            expect_over(first, what)
        second.respond(200, {"Connection": "close"})
        eq(client.response().status, 200, f"{what}: status")
        if what == "late":
            first.expect_end()
            check_time(time.monotonic() - sent, 1.0, "the wait for a late rest")
        client.close()


@test("an answer that comes before its request has been sent is no reason to keep the connection")
def early():
    gateway, backend = acted(retrying("{attempts: 1, codes: [503]}"))
    client = gateway.client().send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "01234")
    first = backend.accept()
    first.request_head()
    first.send("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nab")
    second = backend.accept()
    client.send("56789")
    eq(second.read_request().body, b"0123456789", "the body of the next attempt")
    second.respond(200)
    eq(client.response().status, 200, "status")
    first.expect_end()
