# SPDX-License-Identifier: Apache-2.0
"""A slow reader costs the relay buffer, never the body: the other side is stopped instead."""
import select
import time

from hg import *
from plays import SIMPLE, acted, lanes, play

GIB = 1 << 30
BUFFERS = 256 * 1024


def lane_limits(lane):
    """What may wait in the gateway: user-space buffers, and the pipe."""
    return BUFFERS + (1 << 20 if lane == "pipe" else 0)


@test("a client that stops reading a 1 GiB download stops the backend; memory stays flat; reading on "
      "brings the rest of what comes")
def stopped_download():
    for lane, config in lanes():
        gateway, _ = play(config)
        gateway.fetch("/bytes/2000000")
        before = gateway.rss_bytes()
        client = gateway.client(rcvbuf=65536).request("GET", f"/bytes/{GIB}")
        head = client.response_head()
        taken = settle(lambda: int(gateway.streams()[0]["bytes_out"]))
        check(taken < 64 << 20, f"{lane}: {taken} bytes were taken from the backend for a stopped client")
        grown = gateway.rss_bytes() - before
        check(grown < (1 << 20) * factor(), f"{lane}: the gateway grew by {grown} bytes")
        held = gateway.metrics()("headgate_relay_buffered_bytes")
        check(held <= lane_limits(lane), f"{lane}: {held} bytes are buffered")
        checker = PatternCheck()
        while checker.received < 32 << 20:
            checker.feed(client.read_some(1 << 20))
        check(head.length == GIB, "length")
        client.rst()
        gateway.wait_log(lambda r: r["http.path"] == f"/bytes/{GIB}")
        eq(gateway.metrics()("headgate_relay_buffered_bytes"), 0, "buffered bytes afterwards")


def settle(value, quiet_s=0.2):
    """The value once it has not changed for a while."""
    last, since = value(), time.monotonic()
    deadline = since + 10 * factor()
    while time.monotonic() - since < quiet_s:
        now = value()
        if now != last:
            last, since = now, time.monotonic()
        check(time.monotonic() < deadline, "it never came to rest")
        time.sleep(0.01)
    return last


@test("the same for chunked and close-delimited downloads")
def stopped_streams():
    gateway, _ = play(SIMPLE + "config: {splice: {mode: 'off'}}\n")
    gateway.fetch("/stream-bytes/1000000")  # what the first request touches is no answer's memory
    for path in (f"/stream-bytes/{GIB}", f"/close-delimited/{GIB}"):
        before = gateway.rss_bytes()
        client = gateway.client(rcvbuf=65536).request("GET", path)
        head = client.response_head()
        taken = settle(lambda: int(gateway.streams()[0]["bytes_out"]))
        check(taken < 64 << 20, f"{path}: {taken} bytes were taken")
        grown = gateway.rss_bytes() - before
        check(grown < (1 << 20) * factor(), f"{path}: the gateway grew by {grown} bytes")
        check(gateway.metrics()("headgate_relay_buffered_bytes") <= BUFFERS, f"{path}: buffered")
        checker = PatternCheck()
        for piece in client.body(head):
            checker.feed(piece)
            if checker.received > 8 << 20:
                break
        client.rst()
        wait_until(lambda: not gateway.streams(), 5, "the stream to end")


@test("a backend that stops reading stops the upload, and the client can finish when it reads on")
def stopped_upload():
    for lane, config in lanes():
        gateway, backend = acted(config)
        client = gateway.client()
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {GIB}\r\n\r\n")
        upstream = backend.accept()
        upstream.request_head()
        before = gateway.rss_bytes()
        taken = client.send_until_blocked(pattern(65521 * 16))
        check(taken < 64 << 20, f"{lane}: {taken} bytes were taken from the client for a stopped backend")
        check(gateway.rss_bytes() - before < (1 << 20) * factor(), f"{lane}: memory")
        check(gateway.metrics()("headgate_relay_buffered_bytes") <= lane_limits(lane), f"{lane}: buffered")
        checker = PatternCheck()
        while checker.received < taken:
            checker.feed(upstream.read_some(min(1 << 20, taken - checker.received)))
        check(select.select([], [client.socket], [], 10 * factor())[1], "the client may write again")
        client.rst()
        upstream.expect_end()


@test("a chunked upload is stopped as well")
def stopped_chunked_upload():
    gateway, backend = acted(SIMPLE + "config: {splice: {mode: 'off'}}\n")
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    upstream = backend.accept()
    upstream.request_head()
    taken = client.send_until_blocked(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    check(taken < 64 << 20, f"{taken} bytes were taken")
    check(gateway.metrics()("headgate_relay_buffered_bytes") <= BUFFERS, "buffered")
    client.rst()
    upstream.expect_end()


@test("a reader of a few KiB at a time gets every byte")
def slow_reader():
    for lane, config in lanes():
        gateway, _ = play(config)
        client = gateway.client(rcvbuf=4096).request("GET", "/bytes/3000000")
        client.response_head()
        checker = PatternCheck()
        step = 0
        while checker.received < 3000000:
            step += 1
            checker.feed(client.read_some(1 + step * 37 % 9000))
            if step % 64 == 0:
                time.sleep(0.002)
        eq(gateway.wait_log(lambda r: r["http.path"] == "/bytes/3000000")["close_reason"], "ok",
           f"close_reason ({lane})")


@test("a slow backend takes an upload at its own pace, whole")
def slow_upload():
    gateway, _ = play()
    size = 3000000
    answer = gateway.client().request("POST", "/upload?rate=4000000", body=pattern(size)).response().json()
    eq((answer["length"], answer["is_pattern"]), (size, True), "upload")


@test("a stopped client does not stop others, of the same worker and the same backend")
def others_go_on():
    gateway, _ = play()
    stopped = [gateway.client(rcvbuf=4096).request("GET", "/bytes/100000000") for _ in range(8)]
    for client in stopped:
        client.response_head()
    client = gateway.client()
    for _ in range(200):
        eq(client.get("/bytes/100").status, 200, "status")
    verify(client.get("/bytes/5000000").body, 5000000)
    for client in stopped:
        client.rst()


@test("a busy stream leaves others their turn")
def fair():
    gateway, _ = play()
    import threading
    stop, received = [], [0, 0]
    busy = [gateway.client().request("GET", f"/bytes/{64 * GIB}") for _ in range(2)]

    def drain(number):
        buffer = bytearray(1 << 20)
        while not stop:
            received[number] += busy[number].socket.recv_into(buffer)

    threads = [threading.Thread(target=drain, args=(n,), daemon=True) for n in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(received) > 1 << 20, 5, "two busy downloads")
    client = gateway.client()
    before = list(received)
    for _ in range(100):  # all of them long before the end of 64 GiB
        eq(client.get("/bytes/10").status, 200, "status beside two busy downloads")
    wait_until(lambda: all(now > then for now, then in zip(received, before)), 5, "more of both downloads")
    note(f"{received} bytes meanwhile")
    stop.append(True)
    for thread in threads:
        thread.join(5)
    for busy_client in busy:
        busy_client.rst()
