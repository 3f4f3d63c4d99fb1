# SPDX-License-Identifier: Apache-2.0
"""Heads of HTTP/2 that do not end, and requests that break rules: deadlines, reasons, lines in the log."""
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from h2cases import SIMPLE, form
from plays import play


def endless(number):
    """{what: (how a header section begins, what comes now and then)}, which never is complete."""
    block = f.block(form())
    return {"a cut frame": (f.headers(number, block)[:-3], b""),
            "a frame of which only its head came": (f.headers(number, block)[:9], b""),
            "no CONTINUATION": (f.headers(number, block, end_headers=False), b""),
            "CONTINUATION after CONTINUATION": (f.headers(number, block, end_headers=False),
                                                f.continuation(number, b"", end_headers=False)),
            "a byte at a time": (f.headers(number, f.block(form(("x-long", "x" * 100))))[:60], b"x")}


@test("clientHeaderMin bounds header sections: a cut frame, frames without end, beside streams that go on",
      waits=True)
def endless_heads():
    gateway, _ = play(SIMPLE + "config: {timeouts: {clientHeaderMin: 3s}}\n")
    started, clients = time.monotonic(), []
    for busy in False, True:
        for what, (begin, more) in endless(3).items():
            client = H2Client(gateway.port)
            if busy:
                client.request("/delay/30")
            client.send(begin)
            clients.append((f"{what}{', beside a request' if busy else ''}", client, more))
    for step in range(4):
        for _, client, more in clients:
            client.send_some(more)
        time.sleep(0.5)
    for what, client, _ in clients:
        note(what)
        client.expect_goaway(f.ENHANCE_YOUR_CALM)
        check_time(time.monotonic() - started, 3.0, f"the end of {what}", before=30)
    late = gateway.wait_log(lambda r: r["close_reason"] == "head_timeout", count=10)
    eq(sum(entry.get("http.path") == "/delay/30" for entry in late), 5, "lines of the requests beside it")
    check(gateway.metrics()("headgate_timer_fired_total", timer="head_timeout") >= 10, "the timer is counted")


@test("a section that is complete in time ends its deadline, and the next one has its own", waits=True)
def slow_heads():
    gateway, _ = play(SIMPLE + "config: {timeouts: {clientHeaderMin: 2s}}\n")
    client = H2Client(gateway.port)
    for _ in range(3):
        number = client.open_stream("GET")
        frame = f.headers(number, f.block(form()))
        client.send(frame[:20])
        time.sleep(0.8)
        client.send(frame[20:])
        eq(client.response(number).status, 200, "status")
    eq(client.get("/delay/2.5").status, 200, "status of a long answer behind it")


@test("a malformed request of HTTP/2 has a line in the log, with its reason and what is known of it")
def malformed():
    gateway, _ = play()
    client = H2Client(gateway.port)
    for name, fields in (("upper", form(("X-Upper", "v"), path="/upper")),
                         ("close", form(("connection", "close"), path="/close")),
                         ("scheme", form(without=(":scheme",), path="/scheme"))):
        client.expect_rst(client.raw_request(fields), f.PROTOCOL_ERROR)
        entry = gateway.wait_log(lambda r, path="/" + name: r.get("http.path") == path)
        eq((entry["close_reason"], entry["http.version"]), ("request_bad", "HTTP/2.0"), f"line of {name}")
        check(entry.get("error"), f"{name}: what was wrong: {entry.line}")


@test("a body of HTTP/2 that is longer than announced is a bad request in the log, not a client that left")
def malformed_body():
    gateway, _ = play()
    client = H2Client(gateway.port)
    number = client.raw_request(form(("content-length", "3"), method="POST", path="/post"), end=False)
    wait_until(gateway.streams, 5, "the stream")
    client.send(f.data(number, b"four", end=True))
    client.expect_rst(number, f.PROTOCOL_ERROR)
    eq(gateway.wait_log(lambda r: r.get("http.path") == "/post")["close_reason"], "request_bad", "reason")


@test("a connection of HTTP/2 that ends for what its client did has a line in the log, without a stream, too")
def malformed_connection():
    gateway, _ = play()
    client = H2Client(gateway.port)
    client.send(f.ping(stream=1))
    client.expect_goaway(f.PROTOCOL_ERROR)
    entry = gateway.wait_log()
    eq((entry["close_reason"], entry["http.version"]), ("request_bad", "HTTP/2.0"), "line")


@test("a cookie in 400 fields counts as one and arrives as one; its bytes and other fields count as ever")
def cookie_crumbs():
    gateway, origin = play(SIMPLE)
    client = H2Client(gateway.port)
    crumbs = [("cookie", f"name{n}=value{n}") for n in range(400)]
    answer = client.response(client.request("/headers", extra=crumbs))
    eq(answer.status, 200, "status")
    check("; ".join(value for _, value in crumbs) in answer.text, f"cookies at the backend: {answer.text}")
    many = crumbs + [(f"x{n}", "") for n in range(140)]
    eq(client.response(client.request("/get", extra=many)).status, 431, "status with 140 other fields")
    large = [("cookie", "x" * 100)] * 600
    eq(client.response(client.request("/get", extra=large)).status, 431, "status with 79 KiB")
