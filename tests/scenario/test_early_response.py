# SPDX-License-Identifier: Apache-2.0
"""Answers that come while the request body is still on its way, and uploads that end early."""
import threading
import time

from hg import *
from plays import SIMPLE, acted, lanes, play

LOCAL = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: large
      matches: [{path: {pathPrefix: /large}}]
      policies: {directResponse: {status: 413, body: too large}}
    - name: all
      matches: [{path: {pathPrefix: /}}]
      backends:
      - host: @origin@
"""


def write_all(client, head, size):
    """Writes like a client that reads only afterwards; the exception that stopped it, or None."""
    try:
        client.send(head)
        for offset in range(0, size, 1 << 20):
            client.send(pattern(min(1 << 20, size - offset), offset))
    except OSError as error:
        return error
    return None


@test("a client that writes all of a large upload first still reads the early 413")
def lingering():
    gateway, origin = play(LOCAL)
    for path in ("/early/413?close=1", "/early/413", "/large"):
        client = gateway.client()
        size = 8 << 20
        write_all(client, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n", size)
        answer = client.response()
        eq(answer.status, 413, path)
        if path.startswith("/early") and answer.header("Connection") is None:
            # The backend had taken all of it when its answer came by: the connection goes on.
            eq(client.get("/get").status, 200, "status of the next request")
            continue
        eq(answer.header("Connection"), "close", f"Connection of {path}")
        client.expect_end()
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")


@test("the early answer is there while the client still writes, and the rest of the body is not parsed as "
      "a request")
def answer_meanwhile():
    gateway, origin = play()
    client = gateway.client()
    client.send("POST /early/413 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", pattern(10))
    answer = client.response()
    eq((answer.status, answer.header("Connection")), (413, "close"), "answer")
    try:
        client.send("GET /anything?count=smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    except OSError:
        pass
    client.expect_end()
    eq(origin.counter("smuggled"), 0, "smuggled requests")


@test("an early success does not end the upload: both connections are kept")
def early_success():
    gateway, _ = play()
    client = gateway.client()
    for round_ in range(3):
        client.send("POST /early/200 HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        answer = client.response()
        eq((answer.status, answer.header("Connection")), (200, None), "early answer")
        client.send(pattern(300000))
        got = client.get("/anything").json()
        eq((got["connection"], got["request"]), (1, 2 * round_ + 2), "the next request")
    client.send("POST /early/204 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
    eq(client.response().status, 204, "early 204")
    client.send("4\r\nefgh\r\n0\r\n\r\nGET /anything HTTP/1.1\r\nHost: x\r\n\r\n")
    eq(client.response().json()["connection"], 1, "backend connection of the next request")


@test("a backend that answers early and reads no further does not hold the client forever", timeout=60)
def backend_stops_reading():
    gateway, backend = acted()
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    upstream = backend.accept()
    upstream.request_head()
    upstream.respond(200, [("Connection", "close")], b"enough")
    answer = client.response()
    eq((answer.body, answer.header("Connection")), (b"enough", "close"), "answer")
    client.expect_fin()
    upstream.expect_fin()


@test("an answer streams back while the upload still runs")
def full_duplex():
    gateway, _ = play()
    client = gateway.client()
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = client.response_head()
    pieces = client.body(head)
    for word in (b"alpha", b"beta", b"gamma"):
        client.send(b"%x\r\n%s\r\n" % (len(word), word))
        eq(next(pieces), word, "echo")
    client.send("0\r\n\r\n")
    eq(list(pieces), [], "the rest")
    eq(client.get("/anything").json()["connection"], 1, "the next request uses the same connections")


@test("16 MiB in both directions at once arrive whole")
def both_at_once():
    size = 16 << 20
    for lane, config in lanes():
        gateway, _ = play(config)
        client = gateway.client()
        sender = threading.Thread(target=write_all, daemon=True, args=(
            client, f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n", size))
        sender.start()
        head = client.response_head()
        eq(verify(client.body(head), size), crc32(size), f"checksum ({lane})")
        sender.join()
        eq(client.get("/anything").json()["connection"], 1, "the next request uses the same connections")
        eq(gateway.wait_log(lambda r: r["http.path"] == "/echo")["lane"], lane, "lane")


@test("an early answer that ends the backend connection is delivered though the upload fails")
def backend_resets_upload():
    for lane, config in lanes():
        gateway, _ = play(config)
        for path, status in (("/early/413?close=hard", 413), ("/early/200?close=hard", 200)) * 10:
            client = gateway.client()
            write_all(client, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n", 4000000)
            answer = client.response()
            eq(answer.status, status, f"{path} ({lane})")


@test("a client that resets in the middle of its upload ends the backend connection")
def client_resets():
    gateway, backend = acted()
    for end, reason in (("rst", "client_rst"), ("close", "client_fin")):
        client = gateway.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", pattern(100))
        upstream = backend.accept()
        upstream.request_head()
        upstream.read(100)
        getattr(client, end)()
        _, rest = upstream.expect_end()
        eq(rest, b"", "bytes after the abort")
        gateway.wait_log(lambda r, q=reason: r["close_reason"] == q)


@test("a client that resets while the backend reads nothing of its upload is noticed at once")
def client_resets_blocked():
    gateway, backend = acted()
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    upstream = backend.accept()
    upstream.request_head()
    client.send_until_blocked(pattern(1 << 20))
    client.rst()
    eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")


@test("a client that resets while it waits for its answer is noticed at once, also with a pipelined "
      "request unread")
def client_resets_waiting():
    gateway, backend = acted()
    for pipelined in ("", "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"):
        client = gateway.client().send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        upstream = backend.accept()
        upstream.read_request()
        client.send(pipelined)
        time.sleep(0.02)
        client.rst()
        _, rest = upstream.expect_end()
        eq(rest, b"", "bytes at the backend")


@test("a stalled upload ends with 408 after streamIdle, a backend that does not read one with 504",
      waits=True)
def stalled():
    gateway, backend = acted(SIMPLE + "config:\n  timeouts: {streamIdle: 1s}\n")
    client = gateway.client()
    with within(1.0, "408"):
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        answer = client.response()
    eq((answer.status, answer.header("Connection")), (408, "close"), "answer")
    eq(gateway.wait_log()["close_reason"], "stream_idle", "close_reason")
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    client.send_until_answered(pattern(1 << 20))
    eq(client.response().status, 504, "status")


@test("a large upload is sent once, even when the connection breaks")
def not_replayed():
    gateway, backend = acted(SIMPLE.replace("      backends",
                                            "      policies: {retry: {attempts: 3, codes: [503]}}\n"
                                            "      backends"))
    client = gateway.client()
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", pattern(150000))
    upstream = backend.accept()
    upstream.request_head()
    upstream.read(100000)
    upstream.rst()
    eq(client.response().status, 503, "status")
    backend.expect_no_connection(0.1)
    eq(gateway.metrics()("agentgateway_retries_total"), 0, "retries")
