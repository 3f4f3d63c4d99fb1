# SPDX-License-Identifier: Apache-2.0
"""Responses outlive the gateway that began them."""
import os
import signal
import threading
import time

from crashes import kill, reset
from hg import *
from hg.pki import Authority
from splice import in_background, raise_priority

MODES = ("off", "auto", "require")
CONFIG = """
config:
  splice: {mode: @mode@, minBodyBytes: 65536, adaptive: @adaptive@}
  timeouts: {streamIdle: @idle@}
binds:
- port: @port@
  listeners:
  - name: main
    routes:
    - name: all
      backends:
      - host: @origin@
"""
FRAMINGS = {
    "length": b"Content-Length: %d\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "close": b"Connection: close\r\n",
}


def acted(mode, idle="1h", **options):
    backend = Backend()
    return Gateway(CONFIG, origin=backend, mode=mode, adaptive=str(mode == "auto").lower(), idle=idle,
                   workers=2, keeper=True, **options), backend


def begin(client, backend, framing, size=0, path="/a"):
    """The backend's connection behind the head of an answer."""
    client.request("GET", path, host="a", version="1.0" if framing == "close" else "1.1")
    upstream = backend.accept()
    eq(upstream.read_request().target, path, "the request")
    head = FRAMINGS[framing]
    upstream.send(b"HTTP/1.1 200 OK\r\n" + (head % size if b"%" in head else head) + b"\r\n")
    eq(client.response_head().status, 200, "status")
    return upstream


def piece(framing, data):
    return b"%x\r\n%s\r\n" % (len(data), data) if framing == "chunked" else data


def await_resumed(gateway, count):
    wait_until(lambda: gateway.metrics()("headgate_resumed_total", kind="response") == count, 10,
               f"{count} resumed responses")


def read_payload(client, framing, size):
    """So many payload bytes; of chunks as the gateway makes them."""
    if framing != "chunked":
        return client.read(size)
    data = b""
    while len(data) < size:
        length = int(client.read_line(), 16)
        data += client.read(length)
        eq(client.read(2), b"\r\n", "the end of a chunk")
    return data


@test("server-sent events go on after kill -9, in each framing and with and without the lane; behind the end "
      "the client's next request is answered over the same connection", timeout=90, waits=True)
def events():
    for mode in MODES:
        for framing in FRAMINGS:
            gateway, backend = acted(mode)
            client = gateway.client()
            upstream = begin(client, backend, framing, 3000, "/events?" + framing)
            for _ in range(4):
                upstream.send(piece(framing, b"e" * 100))
                read_payload(client, framing, 100)
                time.sleep(0.1)
            before = gateway.streams()[0]
            for death in range(2):
                kill(gateway)
                await_resumed(gateway, death + 1)
                after = gateway.streams()[0]
                for key in ("id", "route", "path", "method", "bytes_out", "state"):
                    eq(after[key], before[key], f"{key}, {mode}, {framing}")
                upstream.send(piece(framing, b"f" * 300))
                eq(read_payload(client, framing, 300), b"f" * 300, "an event")
                before = gateway.streams()[0]
            upstream.send(piece(framing, b"g" * 2000))
            eq(read_payload(client, framing, 2000), b"g" * 2000, "the last event")
            if framing == "chunked":
                upstream.send(b"0\r\n\r\n")
                eq(client.read(5), b"0\r\n\r\n", "the last chunk")
            if framing == "close":
                upstream.close()
                client.expect_fin()
            record = gateway.wait_log()
            eq((record["resumed"], record["close_reason"], int(record["bytes_out"]), record["http.path"]),
               ("true", "ok", 3000, "/events?" + framing), "the line")
            if framing != "close":
                client.request("GET", "/next", host="a")
                following = backend.accept()
                eq(following.read_request().target, "/next", "the next request")
                following.respond(204)
                eq(client.response().status, 204, "the next answer")


@test("long bodies through the kernel lane and crashes: every byte once, or a reset behind a part of it; "
      "every byte where the client keeps up", timeout=120, heavy=True)
def bodies():
    raise_priority()
    size = 32 << 20
    for framing, is_slow in (("length", False), ("chunked", False), ("close", False), ("chunked", True)):
        gateway, backend = acted("require", args=["--restart-limit", "0"])
        client = gateway.client()
        upstream = begin(client, backend, framing, size)
        is_over = threading.Event()

        def write():
            for at in range(0, size, 65536):
                upstream.send(piece(framing, pattern(65536, at)))
                if not is_slow and not is_over.is_set():
                    time.sleep(0.01)
            upstream.send(b"0\r\n\r\n" if framing == "chunked" else b"")
            if framing == "close":
                upstream.close()

        def read():
            got = 0
            while got < size:
                data = read_payload(client, framing, min(65536, size - got))
                check(data == pattern(len(data), got), f"{framing}: other bytes from {got} on")
                got += len(data)
                if is_slow:
                    time.sleep(0.005)
        writer, reader = in_background(write), in_background(read)
        for death in range(3):
            time.sleep(0.1)
            kill(gateway, at_rest=not is_slow)
            if not is_slow:
                await_resumed(gateway, death + 1)
        is_over.set()
        try:
            reader.result()
            writer.result()
            note(f"{framing}, slow client: {is_slow}: every byte")
        except (OSError, Failure) as error:
            check(is_slow, f"{framing}, with nothing of it in the gateway, ended by {error}")
            check("reset" in str(error).lower() or "RST" in str(error) or "pipe" in str(error),
                  f"{framing}, ended by {error}")
            note(f"{framing}, slow client: {is_slow}: {error}")
        client.close()
        upstream.close()


@test("what cannot go on is reset and counted: an answer with bytes in the gateway, one whose client has "
      "sent its next request already, one that began before its request was complete")
def refused():
    gateway, backend = acted("off")
    stopped = gateway.client(rcvbuf=4096)
    upstream = begin(stopped, backend, "chunked")
    upstream.send_until_blocked(piece("chunked", b"x" * 60000))
    hasty = gateway.client()
    hasty.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\n")
    behind = backend.accept()
    behind.read_request()
    behind.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    upload = gateway.client()
    upload.send(b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    third = backend.accept()
    third.read_until(b"abc")
    time.sleep(0.4)  # the request alone would go on by now
    third.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    for _ in range(4):
        behind.send(piece("chunked", b"y"))
        time.sleep(0.1)
    kill(gateway)
    for end in (stopped, hasty, upload):
        reset(end)

    def lost():
        metrics = gateway.metrics()
        return {reason: metrics("headgate_not_resumed_total", reason=reason)
                for reason in ("request", "response", "waiting")}
    wait_until(lambda: sum(lost().values()) == 3, 10, "all three to be counted")
    check(lost()["response"] >= 1, f"no response among {lost()}")


@test("a response whose backend is silent since its head and first event is kept as soon as it has lasted; "
      "how long it has been idle goes on behind the crash", timeout=40, waits=True)
def silent():
    gateway, backend = acted("off", idle="6s")
    client = gateway.client()
    upstream = begin(client, backend, "chunked")
    upstream.send(piece("chunked", b"event"))
    eq(read_payload(client, "chunked", 5), b"event", "the event")
    began = time.monotonic()
    time.sleep(4)
    kill(gateway)
    await_resumed(gateway, 1)
    client.expect_end(20)
    # Were it counted from the crash on, it would be over after ten seconds.
    check_time(time.monotonic() - began, 6.0, "streamIdle across a crash", before=10.0)
    eq(gateway.wait_log()["close_reason"], "stream_idle", "why it ended")


@test("a client that spoke plain HTTP does not go on over a port that is of TLS by now: it is reset, counted")
def other_protocol():
    leaf = Authority().issue("a.example")
    gateway, backend = acted("off", cert=leaf.cert, key=leaf.key)
    client = gateway.client()
    upstream = begin(client, backend, "chunked")
    for _ in range(4):
        upstream.send(piece("chunked", b"event"))
        read_payload(client, "chunked", 5)
        time.sleep(0.1)
    idle = gateway.client()
    idle.request("GET", "/b", host="a")
    other = backend.accept()
    other.read_request()
    other.respond(204)
    eq(idle.response().status, 204, "the idle client's answer")
    gateway.reload("binds: [{port: nonsense}]\n")
    time.sleep(0.2)
    os.kill(gateway.gateway_pid, signal.SIGKILL)
    wait_until(lambda: "restart failed with status 1" in gateway.stderr, 10, "a failed successor")
    gateway.write("config.yaml", CONFIG.replace("  - name: main\n", "  - name: main\n    protocol: HTTPS\n"
                                                "    tls: {cert: @cert@, key: @key@}\n"))
    for end in (client, idle):
        reset(end)
    gateway.await_ready()
    wait_until(lambda: gateway.metrics()("headgate_not_resumed_total", reason="response") == 1, 10,
               "the response to be counted")
