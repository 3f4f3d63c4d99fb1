# SPDX-License-Identifier: Apache-2.0
"""Floods and stalls of HTTP/2: each ends its own connection, has a fixed price, and touches nobody else.

How many a second are a flood is counted with the clock of a test in tests/unit/test_h2_flood.c. Here a flood
comes at once, and is larger than what any time between two reads would allow.
"""
import os
import re
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_backend import H2Backend
from hg.origin import Blackhole
from h2attack import FLOODS, Memory, Siege, flood, flood_streams
from h2cases import HTTP2_BACKEND, SIMPLE, form
from plays import play
from timers import expect_fired

TABLE = os.path.join(os.path.dirname(__file__), "..", "..", "user", "base", "h2_floods.def")
GET = f.block(form(path="/get"))
WRONG_LENGTH = f.block(form(("content-length", "1"), method="POST"))
STUCK = SIMPLE.replace("    - name: all\n", """    - name: stuck
      matches: [{path: {pathPrefix: /stuck}}]
      backends:
      - host: @hole@
    - name: all
""")


def streams(count, make, first=1):
    """make(number) of so many new streams, one after the other."""
    return b"".join(make(number) for number in range(first, first + 2 * count, 2))


@test("every kind of flood has its counter from the start")
def counters():
    with open(TABLE, encoding="utf-8") as file:
        kinds = set(re.findall(r'^H2_FLOOD(?:_FIXED)?\(\w+, "(\w+)"', file.read(), re.M))
    check(len(kinds) >= 10, f"kinds read: {kinds}")
    gateway, _ = play()
    found = {labels["kind"] for _, _, labels, _ in gateway.metrics().families[FLOODS].samples}
    eq(found, kinds, "kinds in the metric")


# ---- resets ----------------------------------------------------------------------------------------------


@test("rapid reset (CVE-2023-44487) ends its connection, and starts few requests at the backend")
def rapid_reset():
    block = f.block(form(path="/delay/0.2?count=rapid"))
    text = streams(5000, lambda n: f.headers(n, block) + f.rst_stream(n))
    with Siege() as siege:
        siege.expect_cut(lambda client: flood(client, text), "rst_stream", "early_rst_stream")
        began = siege.origin.counter("rapid")
        check(began <= 200 * siege.attacks, f"requests that reached the backend: {began}")


@test("rapid reset just below the concurrency limit, with full batches, ends its connection")
def rapid_reset_in_batches():
    batches = [streams(99, lambda n: f.headers(n, GET), first) + streams(99, f.rst_stream, first)
               for first in range(1, 8001, 200)]

    def attack(client):
        any(not flood(client, batch) for batch in batches)
    with Siege() as siege:
        siege.expect_cut(attack, "rst_stream", "early_rst_stream")


@test("resets behind the response head count as well, when there are too many in a second")
def late_resets():
    def attack(client):
        numbers = [client.request("/sse?n=0&interval=1000") for _ in range(70)]
        for number in numbers:
            client.response_head(number)
        flood(client, *map(f.rst_stream, numbers))
    with Siege(SIMPLE + "config: {limits: {http2Floods: {resets: 30}}}\n") as siege:
        siege.expect_cut(attack, "rst_stream")


MADE_YOU_RESET = {
    "an increment of 0": lambda n: f.headers(n, GET) + f.window_update(n, 0),
    "a window that overflows": lambda n: f.headers(n, GET) + f.window_update(n, f.LARGEST_WINDOW),
    "a content-length that is wrong": lambda n: f.headers(n, WRONG_LENGTH, False) + f.data(n, b"12"),
    "DATA behind the end": lambda n: f.headers(n, GET) + f.data(n, b"x"),
    "PRIORITY of a wrong length": lambda n: f.headers(n, GET) + f.frame(f.PRIORITY, 0, n, bytes(4)),
    "a stream that depends on itself": lambda n: f.headers(n, GET) + f.priority(n, n),
}


def made_you_reset(name):
    @test(f"MadeYouReset (CVE-2025-8671) by {name} ends its connection")
    def run():
        with Siege() as siege:
            # What is an error of the connection for libnghttp2 ends it with the first one.
            siege.expect_cut(lambda client: flood_streams(client, 1000, MADE_YOU_RESET[name]),
                             "provoked_rst_stream", "glitch", "priority", also=(
                f.PROTOCOL_ERROR, f.FLOW_CONTROL_ERROR, f.STREAM_CLOSED, f.FRAME_SIZE_ERROR))


for each in MADE_YOU_RESET:
    made_you_reset(each)


@test("requests of empty names (CVE-2019-9516) are malformed, and their flood ends the connection")
def zero_length_headers():
    block = GET + f.literal("", "") * 100
    with Siege() as siege:
        siege.expect_cut(lambda client: flood_streams(client, 2000, lambda n: f.headers(n, block)))


@test("a flood of malformed requests ends its connection, and reaches no backend")
def malformed_flood():
    block = f.block(form(("Upper", "1"), path="/get?count=bad"))
    with Siege() as siege:
        siege.expect_cut(lambda client: flood_streams(client, 5000, lambda n: f.headers(n, block)))
        eq(siege.origin.counter("bad"), 0, "requests at the backend")


@test("streams beyond the limit are refused, and their flood ends the connection")
def too_many_streams():
    block = f.block(form(path="/delay/2?count=many"))
    text = streams(3000, lambda n: f.headers(n, block))
    with Siege() as siege:
        siege.expect_cut(lambda client: flood(client, text), also=(f.PROTOCOL_ERROR,))
        began = siege.origin.counter("many")
        check(began <= 100 * siege.attacks, f"requests that reached the backend: {began}")


# ---- frames that cost nothing to send --------------------------------------------------------------------


FLOOD_FRAMES = {
    "ping": (lambda: f.ping(), 10000),
    "settings": (lambda: f.settings({f.MAX_HEADER_LIST_SIZE: 100000}), 5000),
    "priority": (lambda: f.priority(1, 0), 10000),
    "window_update": (lambda: f.window_update(0, 1), 10000),
    "unknown_frame": (lambda: f.frame(0x77, 0, 0, b"nothing"), 10000),
}


PER_REQUEST = {
    "PRIORITY_UPDATE, as our SETTINGS ask for": lambda n: f.frame(16, 0, 0, n.to_bytes(4, "big") + b"u=3, i"),
    "PRIORITY": lambda n: f.priority(n, 0),
    "GREASE (RFC 9113 10.5)": lambda n: f.frame(0x0b + 0x1f * 3, 0, n, b"abc"),
    "a wider window": lambda n: f.window_update(n, 12 << 20),
}


def frames_of_requests(name):
    @test(f"ten frames beside each request are no flood: {name}")
    def run():
        gateway, _ = play(SIMPLE)
        client = H2Client(gateway.port)
        for _ in range(5):
            numbers = [client.open_stream("GET") for _ in range(100)]
            client.send(b"".join(f.headers(n, GET) + PER_REQUEST[name](n) * 10 for n in numbers))
            eq({client.response(n).status for n in numbers}, {200}, "statuses")
        eq(gateway.metrics()(FLOODS), 0, "floods")


for each in PER_REQUEST:
    frames_of_requests(each)


@test("limits.http2Floods.priorities and unknownFrames say how many frames may come beyond those of requests")
def flood_settings():
    text = SIMPLE + "config: {limits: {http2Floods: {priorities: 3000, unknownFrames: 3}}}\n"
    with Siege(text) as siege:
        client = H2Client(siege.gateway.port)
        client.send(f.priority(1, 0) * 2500)
        eq(client.get("/get").status, 200, "status behind 2500 PRIORITY")
        client.close()
        siege.expect_cut(lambda attacker: attacker.send(f.frame(0x77, 0, 0, b"nothing") * 7), "unknown_frame")


def frame_flood(kind):
    make, count = FLOOD_FRAMES[kind]

    @test(f"a flood of frames of the kind {kind} ends its connection")
    def run():
        with Siege() as siege:
            siege.expect_cut(lambda client: flood(client, make(), times=count), kind)


for each in FLOOD_FRAMES:
    frame_flood(each)


def flood_upload(text):
    """An attack: an upload of 10,000 such frames of stream 1."""
    def attack(client):
        eq(client.request("/upload", "POST", end=False), 1, "stream")
        flood(client, text, times=10000)
    return attack


@test("a flood of DATA without payload (CVE-2019-9518) ends its connection")
def empty_data():
    with Siege() as siege:
        siege.expect_cut(flood_upload(f.data(1, b"")), "empty_data")


@test("a flood of DATA that is nothing but padding ends its connection")
def padding_only():
    with Siege() as siege:
        siege.expect_cut(flood_upload(f.data(1, b"", False, 0)), "empty_data", "glitch")


@test("a flood of WINDOW_UPDATE on a stream that sends nothing ends its connection")
def stream_updates():
    def attack(client):
        flood(client, f.window_update(client.request("/delay/9"), 1), times=20000)
    with Siege() as siege:
        siege.expect_cut(attack, "window_update", "glitch")


@test("a flood of frames on closed streams ends its connection")
def closed_streams():
    def attack(client):
        client.get("/get")
        flood(client, f.data(1, b"x"), times=20000)
    with Siege() as siege:
        siege.expect_cut(attack, "stray", "provoked_rst_stream", also=(f.STREAM_CLOSED,))


@test("a flood of answers to PING and SETTINGS that were never sent ends its connection")
def unasked_answers():
    with Siege() as siege:
        for text in (f.ping(ack=True), f.settings(ack=True)):
            siege.expect_cut(lambda client, t=text: flood(client, t, times=20000), also=(f.PROTOCOL_ERROR,))


@test("SETTINGS with thousands of values in a frame end their connection, or cost nothing")
def many_settings():
    text = f.settings([(0x1234, i) for i in range(2700)])
    with Siege() as siege:
        siege.expect_cut(lambda client: flood(client, text, times=100), also=(f.PROTOCOL_ERROR,))


# ---- header blocks ---------------------------------------------------------------------------------------


@test("CONTINUATION without end (CVE-2024-27316 and others) ends its connection")
def continuation_flood():
    filler = f.literal("x-filler", "y" * 16000)
    with Siege() as siege:
        for name, piece, times in (("empty", b"", 3000), ("one byte", b"\x40", 3000), ("full", filler, 500)):
            def attack(client, text=f.continuation(1, piece, False), count=times):
                flood(client, f.headers(1, GET, end_headers=False))
                flood(client, text, times=count)
            siege.expect_cut(attack, also=(f.COMPRESSION_ERROR,) if name == "one byte" else ())


@test("an HPACK bomb (CVE-2016-1544) is refused each time, at the price of one block", timeout=40)
def hpack_bomb():
    bomb = GET + f.literal_indexed("x-bomb", "y" * 3900) + f.indexed(62) * 12000

    def attack(client):
        for _ in range(30):
            number = client.open_stream("GET")
            if client.send_some(f.headers(number, bomb)) is not None:
                break
            stream = client.streams[number]
            client.wait(lambda s=stream: s.message or s.rst is not None or client.goaways or client.end, 10,
                        "the end of a bomb")
            check(not stream.message or stream.message.status == 431, f"answer {stream.message}")
            if client.goaways or client.end:
                break

    def judge(client):
        if client.goaways:
            client.expect_goaway(f.ENHANCE_YOUR_CALM, f.PROTOCOL_ERROR, f.COMPRESSION_ERROR)
    with Siege() as siege:
        siege.repeat(attack, judge)


@test("header blocks that never end, on 50 connections, fall under the idle timeout and cost little")
def slow_blocks():
    # The deadline of heads is far away.
    config = SIMPLE + "config: {http2: {idleTimeout: 2s}, timeouts: {clientHeaderMin: 60s}}\n"
    with Siege(config) as siege:
        clients = [siege.another() for _ in range(50)]
        with within(2.0, "the end of all", before=60):
            for client in clients:
                client.send(f.headers(1, GET + f.literal("x", "y" * 10000), end_headers=False))
            siege.meanwhile()
            for client in clients:
                client.expect_end(30)
        expect_fired(siege.gateway, "keepalive_idle", 50)


# ---- readers that do not read ----------------------------------------------------------------------------


@test("100 streams with a window of 0 hold little memory, and end by streamIdle", timeout=40)
def zero_window():
    config = SIMPLE + "config: {timeouts: {streamIdle: 1s}}\n"
    with Siege(config, {f.INITIAL_WINDOW_SIZE: 0}) as siege:
        client = siege.attacker
        numbers = [client.request("/bytes/10000000") for _ in range(100)]
        siege.meanwhile()
        for number in numbers:
            client.wait(lambda n=number: client.streams[n].rst is not None or client.end, 10,
                        f"the end of stream {number}")
        records = siege.gateway.wait_log(lambda r: r["close_reason"] == "stream_idle", 100)
        eq(len(records), 100, "lines of streams that ended by stream_idle")


@test("a response for which the client gives no window ends by config.http2.stallTimeout, no other does")
def stalled():
    with Siege(SIMPLE + "config: {http2: {stallTimeout: 2s}}\n", {f.INITIAL_WINDOW_SIZE: 1000},
               windows=False) as siege:
        client = siege.attacker
        stuck, slow = client.request("/bytes/1000000"), client.request("/bytes/4000")
        waiting = client.request("/delay/2.5?body=10")
        for _ in range(6):  # as long as a window comes now and then
            time.sleep(0.4)
            client.poll().grant(slow, 500)
        eq(len(client.response(slow).body), 4000, "bytes of a slow reader")
        client.expect_rst(stuck, f.CANCEL, f.INTERNAL_ERROR, f.ENHANCE_YOUR_CALM)
        eq(len(client.response(waiting).body), 10, "bytes of a stream whose backend was slow")
        record = siege.gateway.wait_log(lambda r: r["http.path"] == "/bytes/1000000")
        eq(record["close_reason"], "stalled", "close_reason")
        check(record.duration_ms >= 2000, f"{record.duration_ms} ms")


@test("a client that reads nothing at all holds little memory, however much it asks for", timeout=40)
def never_reads():
    with Siege(values={f.INITIAL_WINDOW_SIZE: f.LARGEST_WINDOW}) as siege:
        client = siege.attacker
        client.grant(0, f.LARGEST_WINDOW - 65535)
        numbers = []
        for _ in range(100):
            numbers.append(client.open_stream("GET"))
            client.raw.send(f.headers(numbers[-1], f.block(client.fields(path="/bytes/100000000"))))
        wait_until(lambda: len(siege.gateway.streams()) >= 100, 5, "100 streams")
        siege.meanwhile()
        buffered = [siege.gateway.metrics()("headgate_relay_buffered_bytes") for _ in range(20)
                    if time.sleep(0.05) is None]
        note("buffered bytes:", max(buffered))
        client.raw.rst()


@test("a client that never reads its answers to PING is cut before they pile up", timeout=40)
def unread_answers():
    def attack(client):
        try:
            for number in range(1, 401, 2):
                client.raw.send((f.ping() + f.settings()) * 500 + f.headers(number, GET))
        except (OSError, Failure):
            pass
    with Siege(acks=False) as siege:
        siege.expect_cut(attack)


@test("data dribble (CVE-2019-9511): windows that grow by one byte cost a frame each, and nothing else")
def dribble_download():
    with Siege(values={f.INITIAL_WINDOW_SIZE: 0}, windows=False) as siege:
        client = siege.attacker
        number = client.request("/bytes/1000000")
        client.response_head(number)
        for _ in range(1000):
            client.streams[number].receive_window += 1
            if client.send_some(f.window_update(number, 1)) is not None:
                break
        stream = client.streams[number]
        client.wait(lambda: stream.received >= 1000 or client.goaways, 5, "1000 bytes")
        siege.meanwhile()
        if client.goaways:
            client.expect_connection_error(f.ENHANCE_YOUR_CALM)
        else:
            eq(bytes(stream.body), pattern(1000), "body")
            client.reset(number)


@test("data dribble of an upload: a body in frames of one byte arrives, or ends its connection")
def dribble_upload():
    body = pattern(30000)
    text = b"".join(f.data(1, body[i:i + 1]) for i in range(len(body)))

    def attack(client):
        client.request("/upload", "POST", end=False)
        flood(client, text, f.data(1, b"", True))

    def judge(client):
        client.wait(lambda: client.streams[1].ended or client.goaways or client.end, 10, "an outcome")
        if client.goaways or client.end:
            client.expect_connection_error(f.ENHANCE_YOUR_CALM)
        else:
            eq(client.response(1).json()["crc32"], f"{crc32(30000):08x}", "crc32")
    with Siege() as siege:
        siege.repeat(attack, judge)


@test("an upload that its backend does not take stops at the window, and holds little memory")
def stuck_uploads():
    with Siege(STUCK, backends={"hole": Blackhole()}) as siege:
        client = siege.attacker
        numbers = [client.request("/stuck", "POST", end=False) for _ in range(50)]
        for number in numbers:
            stream = client.streams[number]
            for _ in range(20):
                if client.poll().send_window < 16384:
                    client.wait(lambda: client.send_window >= 16384, what="the connection's window")
                if stream.send_window < 16384:
                    break
                client.send(f.data(number, bytes(16384)))
                client.send_window -= 16384
                stream.send_window -= 16384
        client.ping()
        client.ping()
        room = sum(client.streams[number].send_window >= 16384 for number in numbers)
        eq(room, 0, "streams that got a window back although nobody reads them")
        siege.meanwhile()
        client.raw.rst()


# ---- who is not to be cut --------------------------------------------------------------------------------


def expect_untouched(siege):
    eq(siege.attacker.goaways, [], "GOAWAY to an honest client")
    eq(siege.attacker.get("/get").status, 200, "status of its next request")
    eq(siege.gateway.metrics()(FLOODS), 0, FLOODS)


@test("honest: requests by the thousand on one connection, 100 at a time, are all answered", timeout=60)
def busy_client():
    with Siege() as siege:
        client = siege.attacker
        total = 10000 if is_thorough() else 2000
        running, begun, answered = [], 0, 0
        while answered < total:
            while begun < total and len(running) < 100:
                number = client.open_stream("GET")
                running.append(number)
                client.send_some(f.headers(number, GET))
                begun += 1
            number = running.pop(0)
            eq(client.response(number).status, 200, "status")
            del client.streams[number]
            answered += 1
        expect_untouched(siege)


@test("honest: 40 cancels a second, before the response head, are not a flood", timeout=40)
def cancelling_client():
    with Siege() as siege:
        client, due = siege.attacker, time.monotonic()
        for i in range(200):
            client.reset(client.request("/delay/5"))
            # After a stall, of either side, it must not catch up: many at once would be a flood.
            client.send_some(f.ping())
            client.wait(lambda n=i: len(client.ping_acks) > n or client.goaways or client.end, 10,
                        "an answer")
            check(not client.goaways and not client.end, f"cut after {i} cancels, {client.shown()}")
            due = max(due + 1 / 40, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
        expect_untouched(siege)


@test("honest: a WINDOW_UPDATE for every DATA frame, of the stream and of the connection, is not a flood")
def eager_windows():
    with Siege() as siege:
        client = siege.attacker
        client.windows = False
        number = client.request("/bytes/8000000")
        stream = client.streams[number]
        checker = PatternCheck()
        stream.sink = checker.feed
        given = 0
        while not stream.ended:
            client.next_frame(time.monotonic() + 10 * factor())
            if stream.received > given and not stream.ended:
                size, given = stream.received - given, stream.received
                client.grant(0, size)
                client.grant(number, size)
        eq(checker.received, 8000000, "bytes")
        client.windows = True
        client.grant(0, 65535 - client.receive_window)
        expect_untouched(siege)


@test("honest: small DATA frames of a chatty client, 300 a second, are not a flood")
def chatty_client():
    with Siege() as siege:
        client = siege.attacker
        number = client.request("/echo", "POST", end=False)
        stream = client.streams[number]
        for i in range(600):
            client.send_data(number, b"%04d" % i)
            client.wait(lambda n=(i + 1) * 4: stream.received >= n, what="the echo")
        client.send_data(number, b"", True)
        eq(client.response(number).body, b"".join(b"%04d" % i for i in range(600)), "echo")
        expect_untouched(siege)


@test("honest: 20 PINGs a second and a PING for each answer are not a flood")
def pinging_client():
    with Siege() as siege:
        client = siege.attacker
        for _ in range(60):
            eq(client.get("/get").status, 200, "status")
            client.ping()
            time.sleep(0.04)
        expect_untouched(siege)


@test("honest: a page of 300 requests with priorities, as old browsers send them, is served")
def browser():
    with Siege() as siege:
        client = siege.attacker
        for stream, weight in ((3, 200), (5, 100), (7, 0), (9, 0), (11, 240)):
            client.send(f.priority(stream, 0, weight))
        client.next_stream = 13
        for batch in range(4):
            numbers = []
            for i in range(75):
                number = client.open_stream("GET")
                numbers.append(number)
                client.send(f.frame(f.HEADERS, f.HAS_PRIORITY | f.END_HEADERS | f.END_STREAM, number,
                                    f.priority_fields(3 if i % 2 else 11, 31, True)
                                    + f.block(client.fields(path=f"/bytes/{i * 100}"))))
            for i, number in enumerate(numbers):
                eq(len(client.response(number).body), i * 100, f"bytes in batch {batch}")
        expect_untouched(siege)


@test("what a backend floods costs little, and its request is answered, by it or by us")
def hostile_backend():
    for text in (f.ping() * 5000, f.settings({f.MAX_HEADER_LIST_SIZE: 100000}) * 500, f.priority(1, 0) * 5000,
                 f.frame(0x77, 0, 0, b"x") * 5000):
        backend = H2Backend()
        gateway = Gateway(HTTP2_BACKEND, origin=backend, workers=1)
        client = H2Client(gateway.port)
        number = client.request("/x")
        upstream = backend.accept()
        there, _ = upstream.expect_request()
        memory = Memory(gateway)
        upstream.send_some(text)
        try:
            upstream.respond(there)
        except Failure as error:
            note(error)
        if client.response(number).status != 200:
            upstream.expect_goaway(f.ENHANCE_YOUR_CALM)
            check(client.response(number).status in (502, 503), "status")
        memory.expect_small()
