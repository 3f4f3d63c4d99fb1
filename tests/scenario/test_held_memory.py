# SPDX-License-Identifier: Apache-2.0
"""What requests and answers under way cost the gateway's own memory: kept bodies, closed windows."""
import selectors
import socket
import threading

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from plays import acted, play, retrying

COUNT = 300
BODY = 60000
SIMPLE = "binds: [{port: @port@, listeners: [{routes: [{backends: [{host: @origin@}]}]}]}]"


class Sink:
    """A backend that reads everything and answers nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.received = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.listener:
                    selector.register(self.listener.accept()[0], selectors.EVENT_READ)
                    continue
                try:
                    got = len(key.fileobj.recv(1 << 18))
                except OSError:
                    got = 0
                self.received += got
                if not got:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def own_bytes(gateway):
    """Of the heap, without its holes."""
    return gateway.admin_json("/memory")["heap"]["usedBytes"]


def buffered(gateway):
    return gateway.metrics()("headgate_relay_buffered_bytes")


def check_each(gateway, sink, upload, limit):
    """What an upload costs that the backend has read to its end and not answered."""
    upload(20)
    wait_until(lambda: sink.received >= 20 * BODY, 20, "the first bodies at the backend")
    before = own_bytes(gateway)
    upload(COUNT)
    wait_until(lambda: sink.received >= (20 + COUNT) * BODY, 40, "all bodies at the backend")
    each = (own_bytes(gateway) - before) / COUNT
    note(f"{each:.0f} bytes each")
    check(each <= limit, f"{each:.0f} bytes each, at most {limit} wanted")


@test("an upload that nobody may repeat is not kept: at most 10 KiB each",
      heavy=True, measures=True, timeout=90)
def uploads_h1():
    sink = Sink()
    gateway = Gateway(SIMPLE, origin=f"127.0.0.1:{sink.port}", workers=1)
    clients = []

    def upload(count):
        for _ in range(count):
            clients.append(gateway.client().request("PUT", "/", body=pattern(BODY)))

    check_each(gateway, sink, upload, 10240)
    for client in clients:
        client.rst()


@test("an upload over HTTP/2 that nobody may repeat costs at most 10 KiB",
      heavy=True, measures=True, timeout=90)
def uploads_h2():
    sink = Sink()
    gateway = Gateway(SIMPLE, origin=f"127.0.0.1:{sink.port}", workers=1)
    clients = []

    def upload(count):
        for at in range(count):
            if at % 50 == 0:
                clients.append(H2Client(gateway.port))
            client = clients[-1]
            number = client.request("/", "PUT", end=False)
            client.wait(lambda: client.window_of(number) >= BODY, what="a window")
            client.send_data(number, pattern(BODY), True)

    check_each(gateway, sink, upload, 10240)


@test("an answer whose stream has a closed window waits with at most 16 KiB")
def closed_windows():
    gateway, _ = play(SIMPLE)
    client = H2Client(gateway.port, {f.INITIAL_WINDOW_SIZE: 0})
    numbers = [client.request("/bytes/1000000") for _ in range(20)]
    for number in numbers:
        eq(client.response_head(number).status, 200, "status")
    wait_until(lambda: buffered(gateway) >= len(numbers) * 1024, 10, "answers that wait")
    most = max(buffered(gateway) for _ in range(10))
    check(most <= len(numbers) * 16384, f"{most} bytes wait, of {len(numbers)} streams")
    for number in numbers:
        client.reset(number)
    wait_until(lambda: buffered(gateway) == 0, 10, "nothing to wait")


@test("bodies beyond what a connection may keep are sent all the same, and not repeated", timeout=60)
def limit_of_a_connection():
    count, body = 24, pattern(65000)
    gateway, backend = acted(retrying("{attempts: 1, codes: []}"), workers=1)
    client = H2Client(gateway.port)
    numbers, upstreams = [], []
    for _ in range(count):
        number = client.request("/", "POST", end=False)
        client.wait(lambda: client.window_of(number) >= len(body), what="a window")
        client.send_data(number, body, True)
        numbers.append(number)
        upstreams.append(backend.accept())
        eq(len(upstreams[-1].read_request().body), len(body), "bytes at the backend")
    held = gateway.admin_json("/memory")["replayHeldBytes"]
    check(14 * len(body) <= held <= 1 << 20, f"{held} bytes kept")
    eq(gateway.metrics()("headgate_replay_held_bytes"), held, "the gauge")
    lost = int(gateway.metrics()("headgate_replay_lost_total"))
    check(8 <= lost <= 10, f"{lost} bodies not kept")
    for upstream in upstreams:
        upstream.rst()
    for _ in range(count - lost):
        upstream = backend.accept()
        verify(upstream.read_request().body, len(body))
        upstream.respond(200)
    eq(sorted(client.response(number).status for number in numbers),
       [200] * (count - lost) + [503] * lost, "answers")
    eq(gateway.metrics()("headgate_retry_body_not_kept_total"), lost, "retries not made")
    eq(gateway.metrics()("headgate_replay_held_bytes"), 0, "bytes kept when all is over")


@test("what may be repeated on a pooled connection is kept no longer than until the backend has a part of it")
def pooled_post():
    gateway, backend = acted(SIMPLE, workers=1)
    client = gateway.client().request("GET", "/")
    upstream = backend.accept()
    upstream.read_request()
    upstream.respond(200)
    eq(client.response().status, 200, "status")
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n", pattern(20000)[:9000])
    upstream.request_head()
    upstream.read(9000)
    client.send(pattern(20000)[9000:15000])
    upstream.read(6000)

    def is_forgotten():
        if gateway.metrics()("headgate_replay_held_bytes") == 0:
            return True
        if len(rest) > 1:
            client.send(rest[:1])
            del rest[:1]
        return False

    rest = bytearray(pattern(20000)[15000:])
    wait_until(is_forgotten, 10, "the copy to be given back")
    client.send(bytes(rest))
    upstream.read(5000)
    upstream.respond(200)
    eq(client.response().status, 200, "status")


@test("memory that a peak has left free is given back to the kernel",
      heavy=True, measures=True, timeout=90)
def given_back():
    sink = Sink()
    gateway = Gateway(SIMPLE, origin=f"127.0.0.1:{sink.port}", workers=2)
    before = gateway.rss_bytes()
    clients = [H2Client(gateway.port) for _ in range(20)]
    for client in clients:
        for _ in range(100):
            client.request("/", "POST", body=b"held")
    wait_until(lambda: len(gateway.streams()) == 2000, 30, "the requests")
    peak = gateway.rss_bytes()
    for client in clients:
        client.raw.rst()
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == 0, 20, "their end")
    note(f"{before >> 10} KiB, {peak >> 10} KiB with the requests, {gateway.rss_bytes() >> 10} KiB behind")
    wait_until(lambda: gateway.rss_bytes() - before < (peak - before) / 2, 40, "less than half of it")


@test("what a worker keeps of streams for the next ones goes back when none come",
      heavy=True, measures=True, timeout=90)
def kept_for_none():
    sink = Sink()
    gateway = Gateway(SIMPLE, origin=f"127.0.0.1:{sink.port}", workers=1)
    before = own_bytes(gateway)
    clients = [H2Client(gateway.port) for _ in range(10)]
    for client in clients:
        for _ in range(100):
            client.request("/", "POST", body=b"held")
    wait_until(lambda: len(gateway.streams()) == 1000, 30, "the requests")
    peak = own_bytes(gateway)
    for client in clients:
        client.raw.rst()
    wait_until(lambda: gateway.metrics()("headgate_streams_open") == 0, 20, "their end")
    wait_until(lambda: own_bytes(gateway) - before < 3 << 20, 20, "memory to go back")
    note(f"{before >> 10} KiB, {peak >> 10} KiB with the requests, {own_bytes(gateway) >> 10} KiB behind")
