# SPDX-License-Identifier: Apache-2.0
"""Which lane a body takes by its pace, and that a change of lanes in its middle changes nothing else."""
import random
import threading
import time

from hg import *
from hg.h2_backend import H2Backend
from splice import *

KIB, MIB = 1 << 10, 1 << 20
BY_PACE = HTTP.replace("adaptive: false", "adaptive: true")


class Slowly(threading.Thread):
    """Sends small pieces of the pattern, 50 a second, until end(); `sent` counts its bytes."""
    PIECE = 700

    def __init__(self, raw, offset):
        super().__init__(daemon=True)
        self.raw, self.sent, self.is_over = raw, offset, threading.Event()
        self.start()

    def run(self):
        while not self.is_over.wait(0.02):
            self.raw.send(pattern(self.PIECE, self.sent))
            self.sent += self.PIECE

    def end(self):
        self.is_over.set()
        self.join(10)
        return self.sent


def download(gateway, backend, size):
    """(client, upstream) of a response whose head has been sent."""
    client = gateway.client()
    client.request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
    return client, upstream


@test("a body of known length goes by a pipe while it is fast, and through the kernel when it becomes slow",
      needs=("bpf",))
def by_pace():
    raise_priority()
    size, first = 4 * MIB, 1 * MIB
    gateway, backend = acted("auto", BY_PACE)
    client, upstream = download(gateway, backend, size)
    answer = in_background(client.response)
    upstream.send(pattern(first))
    wait_until(lambda: gateway.streams()[0]["lane_bytes_out"]["pipe"] > first / 2, 5, "the pipe")
    eq(gates(gateway), [(None, None)], "kernel lane of a body that is fast")
    slowly = Slowly(upstream, first)
    wait_until(lambda: gates(gateway)[0][1], 5, "the kernel lane")
    wait_until(lambda: gateway.streams()[0]["lane_bytes_out"]["sockmap"] > 0, 5, "bytes by the kernel")
    sent = slowly.end()
    upstream.send(pattern(size - sent, sent))
    verify(answer.result().body, size)
    client.request("GET", "/again")
    eq(upstream.read_request().target, "/again", "the next request on both connections")
    upstream.respond(200, body=b"ok")
    eq(client.response().text, "ok", "its answer")


@test("the slow answer to an upload that stands still goes to the kernel lane past the upload's pipe",
      needs=("bpf",))
def both_ways():
    raise_priority()
    size, first = 2 * MIB, 1 * MIB
    gateway, backend = acted("auto", BY_PACE)
    client = gateway.client()
    client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n", pattern(first))
    upstream = backend.accept()
    check(upstream.read_until(b"\r\n\r\n").startswith(b"POST "), "the head of the upload")
    verify(upstream.read(first), first)
    upstream.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n", pattern(100 * KIB))
    slowly = Slowly(upstream, 100 * KIB)
    wait_until(lambda: gates(gateway)[0][1], 5, "the kernel lane")
    client.send(pattern(size - first, first))
    verify(upstream.read(size - first), size - first, first)
    sent = slowly.end()
    answer = in_background(client.response)
    upstream.send(pattern(size - sent, sent))
    verify(answer.result().body, size)


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@test("chunked uploads ride the kernel lane once nothing could repeat them, and end where they end",
      needs=("bpf",), timeout=60)
def chunked_uploads():
    def once(mode):
        chance = random.Random(7)
        gateway, backend = acted(mode, HTTP)
        client = gateway.client()
        upstream = None
        for number in range(6):
            client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            upstream = upstream or backend.accept()
            request = in_background(upstream.read_request)
            body = pattern(300 * KIB)
            at = 0
            while at < len(body):
                piece = body[at:at + chance.choice((1, 3, 100, 4096, 70000))]
                client.send(chunk(piece))
                at += len(piece)
                if at > 100 * KIB:
                    time.sleep(0.002)
            if number == 0 and has_kernel_lane(gateway):
                wait_until(lambda: gateway.streams()[0]["lane_bytes_in"]["sockmap"] > 0, 5,
                           "bytes by the kernel")
            # The next head may come with the last chunk: it must not be taken for the body.
            client.send(b"0\r\nX-Trailer: yes\r\n\r\n")
            verify(request.result().body, 300 * KIB)
            upstream.respond(200, body=b"done")
            eq(client.response().text, "done", "answer")
        return [facts(r) for r in gateway.wait_log(count=6)]
    compare(once)


TWO_BACKENDS = """
config: {splice: {mode: @mode@, minBodyBytes: 65536}}
binds:
- port: @port@
  listeners:
  - routes:
    - policies: {retry: {attempts: 1, codes: [503]}}
      backends:
      - host: 127.0.0.1:@first@
        weight: 1000000
      - host: 127.0.0.1:@second@
        @word@
"""


def retried(mode, word, second_kind, head):
    """(client, connection at the second backend) of an upload that the first one has refused unread."""
    gateway = Gateway(TWO_BACKENDS.replace("@word@", word), mode=mode)
    first, second = Backend(port=gateway.ports["first"]), second_kind(port=gateway.ports["second"])
    client = gateway.client()
    client.send(f"POST / HTTP/1.1\r\nHost: x\r\n{head}\r\nExpect: 100-continue\r\n\r\n")
    upstream = first.accept()
    upstream.read_until(b"\r\n\r\n")
    upstream.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    return gateway, client, second.accept()


@test("an upload that goes on to a backend of HTTP/2 forgets the kernel lane of the attempt before",
      needs=("bpf",))
def retried_to_http2():
    def once(mode):
        gateway, client, upstream = retried(mode, "policies: {http: {version: HTTP/2.0}}", H2Backend,
                                            f"Content-Length: {100 * KIB}")
        number = upstream.expect_head()
        time.sleep(0.1)  # the gateway finds nothing to read yet
        client.send(pattern(100 * KIB))
        stream = upstream.streams[number]
        upstream.wait(lambda: stream.ended, what="the end of the upload")
        verify(stream.message.body, 100 * KIB)
        upstream.respond(number, 200, {"content-length": "4"}, b"done")
        eq(client.response().text, "done", "answer")
        return gateway.wait_log()["close_reason"]
    compare(once)


@test("an upload that goes on to a backend with splice off stays in user space", needs=("bpf",))
def retried_to_splice_off():
    def once(mode):
        gateway, client, upstream = retried(mode, "splice: off", Backend, "Transfer-Encoding: chunked")
        request = in_background(upstream.read_request)
        for at in range(0, 300 * KIB, 50 * KIB):
            client.send(chunk(pattern(50 * KIB, at)))
            time.sleep(0.1)
        eq(gates(gateway), [(None, None)], "kernel lane")
        client.send(b"0\r\n\r\n")
        verify(request.result().body, 300 * KIB)
        upstream.respond(200, body=b"done")
        eq(client.response().text, "done", "answer")
    compare(once)
