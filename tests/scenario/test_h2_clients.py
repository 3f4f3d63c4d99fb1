# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 in front of HTTP/1.1: clients in use, large bodies, many streams, resets."""
import json
import os
import re
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from h2attack import Memory
from h2cases import SIMPLE, connect, fields_of
from plays import acted, play

MIB = 1 << 20
# A gigabyte takes 10 s each way: `make soak` takes the time.
LARGE = (1024 if soak_seconds(0) else 128 if factor() == 1 else 32) * MIB
WIDE = {f.INITIAL_WINDOW_SIZE: 16 * MIB, f.MAX_FRAME_SIZE: 64 * 1024}


# ---- programs --------------------------------------------------------------------------------------------


def curl(gateway, path, *options):
    """(status, version, body) by curl."""
    status, out, error = run(["curl", "--http2-prior-knowledge", "-sS", "--max-time", "20", "-o",
                              os.path.join(tmpdir(), "curl.out"), "-w", "%{http_code} %{http_version}",
                              *options, f"http://127.0.0.1:{gateway.port}{path}"])
    eq((status, error), (0, ""), "curl")
    code, version = out.split()
    with open(os.path.join(tmpdir(), "curl.out"), "rb") as file:
        return int(code), version, file.read()


@test("curl: GET, POST, HEAD, large bodies both ways, several requests", needs=("curl",))
def with_curl():
    gateway, _ = play()
    code, version, body = curl(gateway, "/anything?x=1", "-H", "x-a: b")
    eq((code, version, json.loads(body)["query"]), (200, "2", {"x": "1"}), "GET")
    code, _, body = curl(gateway, "/anything", "-d", "some data")
    eq((json.loads(body)["method"], json.loads(body)["body"]), ("POST", "some data"), "POST")
    eq(curl(gateway, "/bytes/1000", "-I")[0], 200, "HEAD")
    code, _, body = curl(gateway, "/bytes/20000000")
    verify(body, 20000000)
    code, _, body = curl(gateway, "/stream-bytes/1000000?trailer=1")
    verify(body, 1000000)
    path = os.path.join(tmpdir(), "upload")
    with open(path, "wb") as file:
        file.write(pattern(20000000))
    for options in (("-T", path), ("-T", path, "-H", "Expect: 100-continue")):
        code, _, body = curl(gateway, "/upload", *options)
        eq(json.loads(body)["crc32"], f"{crc32(20000000):08x}", "crc32 of the upload")


@test("nghttp: requests with a body, trailers and continuation, and its dependencies", needs=("nghttp",))
def with_nghttp():
    gateway, _ = play()
    url = f"http://127.0.0.1:{gateway.port}"
    path = os.path.join(tmpdir(), "data")
    with open(path, "wb") as file:
        file.write(pattern(300000))
    for options in ((), ("--expect-continue",), ("--trailer", "x-sum: 1"), ("--padding=100",),
                    ("--continuation",), ("--no-dep",), ("--peer-max-concurrent-streams=5",),
                    ("--window-bits=10",)):
        status, out, error = run(["nghttp", *options, "-d", path, url + "/upload"])
        eq((status, error.strip()), (0, ""), f"nghttp {options}")
        eq(json.loads(out)["crc32"], f"{crc32(300000):08x}", f"crc32 with {options}")
    status, out, error = run(["nghttp", "-n", "-s", "-m", "30", url + "/get", url + "/bytes/100000"])
    eq(status, 0, f"nghttp -m: {out}{error}")
    eq(len(re.findall(r"\s200\s", out)), 60, f"answers: {out}")


@test("h2load: 10 connections of 32 streams, no request fails", needs=("h2load",), timeout=60)
def with_h2load():
    gateway, _ = play(workers=2)
    count = int(20000 / factor())
    status, out, error = run(["h2load", "-n", count, "-c", "10", "-m", "32",
                              f"http://127.0.0.1:{gateway.port}/bytes/1000"], timeout=40)
    eq(status, 0, f"h2load: {error}")
    check(f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in out, out)
    check(f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx" in out, out)


@test("python3-h2, a strict implementation, finds nothing wrong with a hundred answers", needs=("module:h2",))
def with_python_h2():
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
    gateway, _ = play()
    raw = gateway.client()
    library = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    library.initiate_connection()
    paths = [("/get", None), ("/bytes/100000", 100000), ("/stream-bytes/5000?trailer=1", 5000),
             ("/informational?n=2", None), ("/status/204", 0)] * 20
    wanted, bodies, heads, ended = {}, {}, {}, 0
    for path, size in paths:
        number = library.get_next_available_stream_id()
        library.send_headers(number, [(":method", "GET"), (":scheme", "http"), (":path", path),
                                      (":authority", "x"), ("te", "trailers")], end_stream=True)
        wanted[number], bodies[number] = size, b""
    while ended < len(paths):
        raw.send(library.data_to_send())
        for event in library.receive_data(raw.read_some()):
            check(not isinstance(event, (ConnectionTerminated, StreamReset)), f"{event}")
            if isinstance(event, ResponseReceived):
                heads[event.stream_id] = dict(event.headers)
            elif isinstance(event, DataReceived):
                bodies[event.stream_id] += event.data
                library.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                ended += 1
    for number, size in wanted.items():
        check(heads[number][":status"] in ("200", "204"), f"{heads[number]}")
        if size is not None:
            verify(bodies[number], size)


# ---- large bodies ----------------------------------------------------------------------------------------


@test("1 GiB down one stream (128 MiB in a check): every byte, and flat memory", timeout=90, soak=True)
def large_download():
    client = connect(values=WIDE)
    client.grant(0, 64 * MIB)
    eq(len(client.get(f"/bytes/{MIB}").body), MIB, "bytes")
    memory = Memory(client.gateway)
    number, checker = client.request(f"/bytes/{LARGE}"), PatternCheck()
    client.streams[number].sink = checker.feed
    seconds, _ = timed(client.response, number, 80)
    note(f"{LARGE / MIB / seconds:.0f} MiB/s")
    eq((checker.received, checker.crc), (LARGE, crc32(LARGE)), "bytes and CRC")
    memory.expect_small(4 * MIB)


@test("1 GiB up one stream (128 MiB in a check): every byte, and flat memory", timeout=90, soak=True)
def large_upload():
    client = connect(SIMPLE + "frontendPolicies: {http: {http2WindowSize: 1048576, "
                     "http2ConnectionWindowSize: 4194304, http2FrameSize: 65536}}\n")
    client.response(client.request("/upload", "POST", body=pattern(MIB)))
    memory = Memory(client.gateway)
    number, at, begin = client.request("/upload", "POST", end=False), 0, time.monotonic()
    while at < LARGE:
        size = min(MIB, LARGE - at)
        client.send_data(number, pattern(size, at), at + size == LARGE)
        at += size
    got = client.response(number, 60).json()
    note(f"{LARGE / MIB / (time.monotonic() - begin):.0f} MiB/s")
    eq((got["length"], got["crc32"]), (LARGE, f"{crc32(LARGE):08x}"), "bytes and CRC")
    memory.expect_small(4 * MIB)


@test("bytes of both directions at once on one stream come back in order")
def echo():
    client = connect()
    number, size = client.request("/echo", "POST", end=False), 8 * MIB
    checker = PatternCheck()
    client.streams[number].sink = checker.feed
    for at in range(0, size, 100000):
        piece = min(100000, size - at)
        client.send_data(number, pattern(piece, at), at + piece == size)
    client.response(number)
    eq(checker.received, size, "bytes")


# ---- many streams ----------------------------------------------------------------------------------------


@test("100 streams of different speed on one connection: the slow ones stop themselves only", timeout=40)
def speeds():
    client = connect(values={f.INITIAL_WINDOW_SIZE: 20000})
    client.windows = False
    client.grant(0, 1 << 30)
    numbers = [client.request(f"/bytes/{200000 + n}") for n in range(100)]
    stuck, slow, fast = numbers[::10], numbers[5::10], [n for i, n in enumerate(numbers) if i % 5]
    given = {n: 20000 for n in numbers}

    def feed(which, step):
        for n in which:
            if given[n] < 210000:
                given[n] += step
                client.grant(n, step)
    for n in fast:
        client.grant(n, 200000)
    while not all(client.streams[n].ended for n in fast):
        feed(slow, 500)
        client.next_frame(time.monotonic() + 10 * factor())
    for i, n in enumerate(numbers):
        if n in fast:
            verify(bytes(client.streams[n].body), 200000 + i)
    client.ping()
    for n in stuck:
        eq(client.streams[n].received, 20000, "bytes of a stream that was given no more")
    while not all(client.streams[n].ended for n in slow):
        feed(slow, 20000)
        client.ping()
    for n in stuck:
        client.grant(n, 400000)
    for i, n in enumerate(numbers):
        verify(client.response(n).body, 200000 + i)


@test("a small answer does not wait for a large one on the same connection")
def fairness():
    # The small one comes from the gateway itself: how busy a backend is plays no part.
    client = connect(SIMPLE.replace("    - name: all\n", """    - matches: [{path: {exact: /small}}]
      policies: {directResponse: {status: 200, body: small}}
    - name: all
"""), WIDE)
    client.grant(0, 512 * MIB)
    large = client.request("/bytes/400000000")
    client.streams[large].sink = PatternCheck().feed
    stream = client.streams[large]
    client.wait(lambda: stream.received > MIB, what="the first MiB")
    for _ in range(5):
        before = stream.received
        number = client.request("/small")
        eq(client.response(number).body, b"small", "body")
        check(not stream.ended, "the large one was over before the small one")
        check(stream.received - before < 64 * MIB, f"{stream.received - before} bytes came first")
    client.reset(large)
    client.raw.rst()


@test("streams that share a connection get their frames in turn")
def in_turn():
    client = connect(values={f.INITIAL_WINDOW_SIZE: 4 * MIB})
    client.windows = False
    numbers = [client.request("/bytes/2000000") for _ in range(8)]
    for n in numbers:
        client.response_head(n)
    # All of them have something to send from here on; without, whoever comes first is served first.
    client.grant(0, 64 * MIB)
    client.wait(lambda: any(client.streams[n].ended for n in numbers), what="the end of the first")
    received = [client.streams[n].received for n in numbers]
    note("bytes when the first was complete:", received)
    check(min(received) > 400000, f"one was starved: {received}")
    for n in numbers:
        verify(client.response(n).body, 2000000)


@test("a response head of 3500 short fields comes through")
def many_fields():
    gateway, backend = acted()
    client = H2Client(gateway.port)
    stream = client.request("/")
    upstream = backend.accept()
    upstream.read_request()
    fields = "".join(f"x{number:07}: v{number % 10}xx\r\n" for number in range(3500))
    upstream.send(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")
    message = client.response(stream)
    eq((message.status, message.body), (200, b"ok"), "response")
    eq([message.header(f"x{number:07}") for number in (0, 3499)], ["v0xx", "v9xx"], "first and last field")


@test("connections of HTTP/1.1 and HTTP/2 on the same port, and many of both at once")
def mixed():
    gateway, _ = play(workers=2)
    twos = [H2Client(gateway.port) for _ in range(10)]
    ones = [gateway.client() for _ in range(10)]
    for _ in range(5):
        numbers = [client.request("/bytes/3000") for client in twos]
        for client in ones:
            client.request("GET", "/bytes/3000")
        for client, number in zip(twos, numbers):
            verify(client.response(number).body, 3000)
        for client in ones:
            verify(client.response().body, 3000)
    eq(gateway.metrics()("headgate_downstream_h2_connections_total"), 10, "connections that spoke HTTP/2")


# ---- resets ----------------------------------------------------------------------------------------------


@test("a client's reset in the middle of a body ends the request at the backend, in both directions")
def client_resets():
    for path, method in (("/sse?n=0&interval=10", "GET"), ("/upload?rate=100000", "POST")):
        client = connect()
        number = client.request(path, method, end=method == "GET")
        if method == "GET":
            client.response_head(number)
        else:
            client.send_data(number, pattern(30000))
        client.reset(number)
        record = client.gateway.wait_log()
        eq(record["close_reason"], "client_rst", "close_reason")
        wait_until(lambda c=client: c.origin.stats()["open"] <= 1, 10, "the end at the backend")
        eq(client.get("/get").status, 200, "another request on the connection")


@test("a client's end of the connection in the middle of streams is client_fin for each")
def client_closes():
    client = connect()
    for _ in range(3):
        client.response_head(client.request("/sse?n=0&interval=1000"))
    client.raw.close()
    reasons = {r["close_reason"] for r in client.gateway.wait_log(count=3)}
    check(reasons <= {"client_fin", "client_rst"}, f"{reasons}")


@test("X-Forwarded-For, -Host and -Proto of HTTP/2 requests are those of HTTP/1.1 ones")
def forwarded():
    client = connect()
    by_two = fields_of(client.get("/headers", {"x-forwarded-for": "1.2.3.4"}))
    by_one = fields_of(client.gateway.fetch("/headers", headers=[("X-Forwarded-For", "1.2.3.4")],
                                            host=client.authority))
    for fields in (by_one, by_two):
        fields.pop("connection", None)
        for name in [name for name in fields if "port" in name]:
            fields.pop(name)
    eq(by_two, by_one, "fields at the backend")
