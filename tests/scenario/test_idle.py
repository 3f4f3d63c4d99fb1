# SPDX-License-Identifier: Apache-2.0
"""Connections on which no request runs: http1IdleTimeout, slow heads, the age of a connection, the pool."""
import os
import re

from hg import *
from hg import machine
from hg.framework import check_time
from hg.origin import Blackhole
from plays import SIMPLE, acted, play
from timers import expect_fired, expect_over, expect_reason, with_clock

DATA = os.path.join(os.path.dirname(__file__), "..", "data")

IDLE = SIMPLE + "frontendPolicies:\n  http: {http1IdleTimeout: 1s}\n"


def with_timeouts(text):
    return SIMPLE + f"config: {{timeouts: {{{text}}}}}\n"


# ---- http1IdleTimeout ------------------------------------------------------------------------------------


@test("a connection that never sends a byte is closed with FIN after http1IdleTimeout, from accept on")
def idle_from_accept():
    gateway, _ = play(IDLE)
    with within(1.0, "the close"):
        gateway.client().expect_fin()
    expect_fired(gateway, "keepalive_idle")
    eq(gateway.log(), [], "the access log: nobody asked for anything")


@test("the timer starts anew behind each response and is silent", waits=True)
def idle_between_requests():
    gateway, _ = play(IDLE.replace("1s", "1500ms"))
    client = gateway.client()
    for _ in range(4):
        eq(client.get("/get").status, 200, "status")
        client.expect_silence(0.5)
    with within(1.0, "the close: 1.5 s after the last response"):
        client.expect_fin()
    expect_fired(gateway, "keepalive_idle")


@test("http1IdleTimeout does not run while a request is in flight", waits=True, timeout=20)
def idle_spares_requests():
    gateway, _ = play(IDLE)
    client = gateway.client()
    with within(2.0, "the answer"):
        eq(client.get("/delay/2").status, 200, "status of /delay/2 with a 1 s idle timeout")
    eq(client.get("/drip?duration=1.5&numbytes=3").status, 200, "a body with pauses")
    client.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", "ab")
    client.expect_silence(1.3)
    client.send("cd")
    eq(client.response().json()["length"], 4, "an upload with a pause")
    with within(1.0, "the close"):
        client.expect_fin()
    expect_fired(gateway, "keepalive_idle")


# The test above is the short form.
@test("/delay/10 with an idle timeout of 1 s gives 200", waits=True, timeout=60, long=True)
def idle_delay_10():
    gateway, _ = play(IDLE)
    with within(10.0, "the answer"):
        eq(gateway.fetch("/delay/10", timeout=30).status, 200, "status")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("a head whose first byte comes before http1IdleTimeout is over is answered, however slow it is",
      waits=True)
def head_at_the_deadline():
    gateway, _ = play(SIMPLE + "frontendPolicies:\n  http: {http1IdleTimeout: 2s}\n")
    client = gateway.client()
    for _ in range(2):
        eq(client.get("/get").status, 200, "status")
        client.expect_silence(1.2)
        client.send("GET /get HTTP/1.1\r\n")
        client.expect_silence(1)
        client.send("Host: x\r\n\r\n")
        eq(client.response().status, 200, "status of the request in two packets around the deadline")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("http1IdleTimeout runs in the middle of a head as well: half a head and silence end the connection, "
      "and the timer that came first is named")
def idle_in_head():
    gateway, _ = play(IDLE)
    client = gateway.client()
    for _ in range(2):
        with within(1.0, "the close after half a head"):
            client.send("GET /get HTTP/1.1\r\nHost: ")
            client.expect_fin()
        client = gateway.client()
        eq(client.get("/get").status, 200, "a whole one first")
    eq(gateway.metrics()("headgate_timer_fired_total", timer="keepalive_idle"), 2, "idle timers")
    eq(gateway.metrics()("headgate_timer_fired_total", timer="head_timeout"), 0, "timers of heads")


@test("each byte of a head begins http1IdleTimeout anew, and clientHeaderMin ends the head all the same",
      waits=True)
def both_timers():
    gateway, _ = play(with_timeouts("clientHeaderMin: 3s") +
                      "frontendPolicies:\n  http: {http1IdleTimeout: 2s}\n")
    client = gateway.client()
    with within(3.0, "the answer"):
        client.send("GET /get HTTP/1.1\r\n")
        client.expect_silence(1.6)
        client.send("Host: ")
        eq(client.response().status, 408, "status")
        client.expect_fin()
    expect_fired(gateway, "head_timeout")


@test("bytes of a head that trickle do not extend clientHeaderMin: 408, and a line in the log")
def slow_head():
    gateway, _ = play(with_timeouts("clientHeaderMin: 1s"))
    client = gateway.client()
    with within(1.0, "the answer"):
        client.send("GET /")
        for _ in range(200):  # if each byte extended the time, no answer would come
            if machine.readable(client.socket, 0.05):
                break
            client.send("x")
        answer = client.response()
    eq((answer.status, answer.header("Connection")), (408, "close"), "status and Connection")
    client.expect_fin()
    expect_fired(gateway, "head_timeout")
    expect_reason(gateway, "head_timeout", 408, error="request head was not complete in time")


@test("clientHeaderMin bounds a head from its first byte on, and not the wait for that byte")
def header_min():
    gateway, _ = play(with_timeouts("clientHeaderMin: 400ms"))
    client = gateway.client()
    client.expect_silence(0.6)
    with within(0.4, "the close"):
        client.send("GET ", "/get ", pause=0.1)
        eq(client.response().status, 408, "status")
        client.expect_fin()
    expect_fired(gateway, "head_timeout")
    client = gateway.client()
    eq(client.get("/get").status, 200, "status")
    client.expect_silence(0.6)
    with within(0.4, "the close on a used connection"):
        client.send("GET / HTTP/1.1\r\nHost: x\r\n")
        eq(client.response().status, 408, "status")
        client.expect_fin()
    expect_fired(gateway, "head_timeout", 2)


@test("a head that arrives just in time is served, and the pipelined one behind it too", waits=True)
def head_in_time():
    gateway, _ = play(IDLE.replace("1s", "2s"))
    client = gateway.client()
    client.expect_silence(1.0)
    client.send("GET /get HTTP/1.1\r\nHost: x\r\n\r\nGET /get HTTP/1.1\r\n")
    eq(client.response().status, 200, "status")
    client.expect_silence(0.5)
    client.send("Host: x\r\n\r\n")
    eq(client.response().status, 200, "status of the second")


# ---- the script of the idle page -------------------------------------------------------------------------


def page_script(gateway):
    with open(os.path.join(DATA, "idle_page.txt"), encoding="utf-8") as file:
        text = file.read()
    check("http://localhost:8080/headers" in text, "the script of the page asks localhost:8080")
    path = os.path.join(tmpdir(), "idle_page.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("http://localhost:8080/", f"http://localhost:{gateway.port}/"))
    return path


@test("the pycurl script of the idle page says what the page says", needs=("module:pycurl",))
def page_as_it_stands():
    gateway, _ = play(IDLE)
    status, out, error = run(["/usr/bin/python3", page_script(gateway)], timeout=20)
    eq((status, error), (0, ""), "exit status and stderr")
    for line in ("Result: connection was closed by proxy (idle timeout worked).",
                 "Result: request succeeded (connection was still open)."):
        check(line in out, f"the script says {out!r}")
    check("Unexpected" not in out, f"the script says {out!r}")


@test("libcurl's connection of the idle page meets a real end of stream after 1 s", needs=("module:pycurl",))
def page_strict():
    import socket
    import time

    import pycurl
    gateway, _ = play(IDLE)
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://localhost:{gateway.port}/headers")
    curl.setopt(pycurl.HTTPHEADER, ["Host: idle.example"])
    curl.setopt(pycurl.CONNECT_ONLY, 1)
    start = time.monotonic()
    curl.perform()
    connection = socket.socket(fileno=os.dup(curl.getinfo(getattr(pycurl, "ACTIVESOCKET",
                                                                  pycurl.LASTSOCKET))))
    connection.setblocking(True)
    connection.settimeout(10 * factor())
    eq(connection.recv(1), b"", "recv: an end of stream, nothing else")
    check_time(time.monotonic() - start, 1.0, "the end")
    connection.close()
    curl.close()
    expect_fired(gateway, "keepalive_idle")


# ---- maxConnectionAge ------------------------------------------------------------------------------------


@test("maxConnectionAge closes an idle connection at its age, however busy it was")
def max_age_idle():
    gateway, _ = play(with_timeouts("maxConnectionAge: 1500ms"))
    with within(1.5, "the close"):
        client = gateway.client()
        for _ in range(3):
            eq(client.get("/get").status, 200, "status")
            client.expect_silence(0.15)
        client.expect_fin()
    expect_fired(gateway, "max_age")


@test("maxConnectionAge lets the running exchange complete, as the last one", waits=True)
def max_age_busy():
    gateway, _ = play(with_timeouts("maxConnectionAge: 1s"))
    client = gateway.client()
    answer = client.get("/delay/2")
    eq((answer.status, answer.header("Connection")), (200, "close"), "status and Connection")
    client.expect_fin()
    expect_fired(gateway, "max_age")
    client = gateway.client()
    answer = client.get("/drip?duration=2&numbytes=4")  # its head is out before the age is reached
    eq((answer.status, answer.header("Connection")), (200, None), "status and Connection")
    client.expect_fin()
    expect_fired(gateway, "max_age", 2)


@test("maxConnectionAgeJitter spreads the ages between age and age + jitter", waits=True)
def max_age_jitter():
    import select
    import time
    gateway, _ = play(with_timeouts("maxConnectionAge: 500ms, maxConnectionAgeJitter: 20s"))
    # The ages are between 0.5 and 20.5 s; all 40 are in the upper half once in 10^12.
    with within(0.5, "the end of the first", before=10.5):
        clients = [gateway.client() for _ in range(40)]
        first = select.select([client.socket for client in clients], [], [], 20 * factor())[0]
        check(first, "no connection ended")
    time.sleep(0.3)  # without a jitter all the others end as well
    over = select.select([client.socket for client in clients], [], [], 0)[0]
    check(len(over) < 40, "all ended together: no jitter")
    # None is older than age + jitter: the answer of /clock is due 100 ms later.
    text = with_timeouts("maxConnectionAge: 500ms, maxConnectionAgeJitter: 400ms")
    gateway, _ = play(with_clock(text, "1s"))
    with within(0.5, "the end of the last"):
        clients = [gateway.client() for _ in range(40)]
        clock = gateway.client().request("GET", "/clock")
        eq(clock.response().header("Connection"), "close", "Connection of one that is older, too")
        for client in clients:
            expect_over(client, "after age + jitter")
    expect_fired(gateway, "max_age", 41)


# ---- the pool --------------------------------------------------------------------------------------------


@test("poolIdleTimeout closes a backend connection that nobody uses")
def pool_idle():
    gateway, backend = acted(SIMPLE + "config: {backend: {poolIdleTimeout: 600ms}}\n")
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    with within(0.6, "the close of the backend connection"):
        upstream.respond(body=b"1")
        eq(client.response().body, b"1", "body")
        upstream.expect_fin()
    expect_fired(gateway, "pool_idle")
    wait_until(lambda: gateway.metrics()("headgate_upstream_connections_open") == 0, 5, "its end")


@test("use starts poolIdleTimeout anew", waits=True)
def pool_reuse():
    gateway, _ = play(SIMPLE + "config: {backend: {poolIdleTimeout: 1500ms}}\n")
    client = gateway.client()
    for number in (1, 2, 3):
        eq(client.get("/anything").json()["request"], number, "request on the one backend connection")
        client.expect_silence(0.8)  # twice this is more than poolIdleTimeout
    wait_until(lambda: gateway.metrics()("headgate_upstream_pool_idle") == 0, 5, "an empty pool")


@test("the backend's Keep-Alive timeout shortens the time in the pool by a second of safety")
def pool_hint():
    gateway, backend = acted(with_clock(SIMPLE, "1500ms"))
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    with within(1.0, "the close, one second before the backend's own"):
        upstream.respond(headers={"Keep-Alive": "timeout=2, max=100"}, body=b"1")
        client.response()
        eq(gateway.fetch("/clock").status, 200, "status of /clock, half a second before the backend closes")
        eq(expect_over(upstream, "a second before the backend's own close")[0], "fin", "how it was closed")
    client.request("GET", "/y")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(headers={"Keep-Alive": "timeout=1"}, body=b"2")
    client.response()
    upstream.expect_fin()
    expect_fired(gateway, "pool_idle")  # as before: the second one was not kept at all


@test("poolMaxSize bounds what is kept for one endpoint")
def pool_size():
    gateway, origin = play(SIMPLE + "config: {backend: {poolMaxSize: 2}}\n")
    origin.pause()
    clients = [gateway.client().request("GET", "/get") for _ in range(5)]
    wait_until(lambda: len(gateway.streams()) == 5, 5, "five requests at a time")
    origin.resume()
    for client in clients:
        eq(client.response().status, 200, "status")

    def numbers():
        metrics = gateway.metrics()
        return metrics("headgate_upstream_pool_idle"), metrics("headgate_upstream_pool_evicted_total")
    wait_until(lambda: sum(numbers()) == 5, 5, "the ends of five exchanges")
    eq(numbers(), (2, 3), "kept and closed")


@test("each connection keeps the idle timeout it began with; a new one has the reloaded value", waits=True)
def reload_new_connections():
    gateway, _ = play(IDLE)
    old = gateway.client()
    gateway.reload(IDLE.replace("1s", "60s"))
    new = gateway.client()
    old.expect_fin()
    new.expect_silence(1.3)
    expect_fired(gateway, "keepalive_idle")


@test("http1IdleTimeout applies to the wait for a request, not to a dead backend")
def idle_and_connect():
    hole = Blackhole()
    gateway = Gateway(IDLE.replace("binds:", "config: {backend: {connectTimeout: 1500ms}}\nbinds:"),
                      origin=hole)
    with within(1.5, "the answer"):
        eq(gateway.fetch("/get").status, 504, "status")
    eq(re.findall("keepalive_idle", gateway.wait_log().line), [], "keepalive_idle in the log")
