# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 5.2, 6.9: windows of streams and connections, in both directions."""
from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.origin import Blackhole
from h2cases import (RESETS_STREAMS_ON_SETTINGS_OVERFLOW, SIMPLE, connect, connect_stuck, each_fails,
                     expect_refused, survives)
from plays import play

SMALL = SIMPLE + "frontendPolicies: {http: {http2WindowSize: 65535, http2ConnectionWindowSize: 1048576}}\n"
LARGE = 1 << 20
windows = table("windows of streams and connections", timeout=60)


def held(path, values, config=SIMPLE):
    """(client that grants nothing by itself, a stream that asks for path)."""
    client = connect(config, values)
    client.windows = False
    return client, client.request(path)


def expect_exactly(client, number, size):
    """So many bytes come and then none."""
    stream = client.streams[number]
    client.wait(lambda: stream.received >= size, what=f"{size} bytes")
    client.response_head(number)
    client.ping()
    client.ping()
    eq(stream.received, size, "bytes within the window")


@windows("RFC 9113 6.9: nothing is sent into a stream window of 0, and byte by byte into one that grows so")
def window_of_zero():
    client, number = held("/bytes/5", {f.INITIAL_WINDOW_SIZE: 0})
    expect_exactly(client, number, 0)
    for size in range(1, 6):
        client.grant(number, 1)
        if size < 5:
            expect_exactly(client, number, size)
    eq(client.response(number).body, pattern(5), "body")


@windows("RFC 9113 6.9: the connection's window holds for all streams together, whatever each one has")
def connection_window():
    client, number = held("/bytes/50000", {f.INITIAL_WINDOW_SIZE: LARGE})
    other = client.request("/bytes/50000")
    client.wait(lambda: sum(client.streams[n].received for n in (number, other)) >= 65535, what="65535 bytes")
    client.ping()
    eq(client.receive_window, 0, "window of the connection")
    eq(client.streams[number].received + client.streams[other].received, 65535, "bytes of both streams")
    client.grant(0, 40000)
    for n in (number, other):
        verify(client.response(n).body, 50000)


@windows("RFC 9113 6.9: a body without bytes needs no window")
def empty_body():
    client, number = held("/bytes/0", {f.INITIAL_WINDOW_SIZE: 0})
    eq(client.response(number).body, b"", "body")
    eq(client.response(client.request("/status/204")).status, 204, "status")
    eq(client.response(client.request("/bytes/100", "HEAD")).headers["Content-Length"], "100", "HEAD")


@windows("RFC 9113 6.9.2: a larger INITIAL_WINDOW_SIZE lets open streams go on")
def settings_grow():
    client, number = held("/bytes/3000", {f.INITIAL_WINDOW_SIZE: 1000})
    expect_exactly(client, number, 1000)
    client.change_settings({f.INITIAL_WINDOW_SIZE: 2000})
    expect_exactly(client, number, 2000)
    client.change_settings({f.INITIAL_WINDOW_SIZE: 5000})
    verify(client.response(number).body, 3000)


@windows("RFC 9113 6.9.2: a smaller INITIAL_WINDOW_SIZE makes windows negative, to be filled again")
def settings_shrink():
    client, number = held("/bytes/3000", {f.INITIAL_WINDOW_SIZE: 1000})
    expect_exactly(client, number, 1000)
    client.change_settings({f.INITIAL_WINDOW_SIZE: 400})  # now at -600
    client.grant(number, 600)
    expect_exactly(client, number, 1000)
    client.grant(number, 1)
    expect_exactly(client, number, 1001)
    client.grant(number, 5000)
    verify(client.response(number).body, 3000)


@windows("RFC 9113 6.9.2: SETTINGS do not touch the connection's window")
def settings_and_connection():
    client, number = held("/bytes/100000", {f.INITIAL_WINDOW_SIZE: LARGE})
    expect_exactly(client, number, 65535)
    client.change_settings({f.INITIAL_WINDOW_SIZE: LARGE * 2})
    client.ping()
    eq(client.streams[number].received, 65535, "bytes")
    client.grant(0, 1 << 20)
    verify(client.response(number).body, 100000)


@windows("RFC 9113 6.9: an increment of 0 is PROTOCOL_ERROR of the stream, or of the connection on stream 0")
def zero_increment():
    client = connect()
    number = client.request("/delay/0.5")
    client.send(f.window_update(number, 0))
    expect_refused(client, number, f.PROTOCOL_ERROR)
    if not client.goaways:
        survives(client)
    each_fails(connect(), {"0": f.window_update(0, 0), "0 and the reserved bit": f.window_update(0, 1 << 31)},
               f.PROTOCOL_ERROR)


@windows("RFC 9113 6.9: WINDOW_UPDATE of another length than 4 is FRAME_SIZE_ERROR")
def update_length():
    each_fails(connect(), {f"{size} bytes": f.frame(f.WINDOW_UPDATE, 0, 0, bytes(size))
                           for size in (0, 3, 5, 8)}, f.FRAME_SIZE_ERROR)


@windows("RFC 9113 6.9.1: a window above 2^31-1 is FLOW_CONTROL_ERROR")
def overflow():
    client = connect()
    number = client.request("/delay/0.5")
    client.send(f.window_update(number, f.LARGEST_WINDOW))
    expect_refused(client, number, f.FLOW_CONTROL_ERROR)
    each_fails(connect(), {
        "the connection": f.window_update(0, f.LARGEST_WINDOW),
        "the connection, in two steps": f.window_update(0, 1 << 30) + f.window_update(0, 1 << 30),
    }, f.FLOW_CONTROL_ERROR)


@windows("RFC 9113 6.9.1: a window of exactly 2^31-1 is taken")
def largest():
    client = connect()
    client.send(f.window_update(0, f.LARGEST_WINDOW - 65535))
    number = client.request("/bytes/200000")
    client.send(f.window_update(number, f.LARGEST_WINDOW - 65535))
    client.windows = False
    client.receive_window = client.streams[number].receive_window = f.LARGEST_WINDOW
    verify(client.response(number).body, 200000)


@windows("RFC 9113 6.9.2: INITIAL_WINDOW_SIZE that makes the window of a stream overflow is "
         "FLOW_CONTROL_ERROR")
def settings_overflow():
    client = connect()
    number = client.request("/delay/0.5")
    client.send(f.window_update(number, f.LARGEST_WINDOW - 65535),
                f.settings({f.INITIAL_WINDOW_SIZE: 65536}))
    expect_refused(client, number, f.FLOW_CONTROL_ERROR)
    note("connection error" if client.goaways else RESETS_STREAMS_ON_SETTINGS_OVERFLOW)


# ---- what clients send -----------------------------------------------------------------------------------


@test("http2WindowSize and http2ConnectionWindowSize are the windows that clients are granted")
def granted():
    for size in (65535, 20000, 300000):
        gateway, _ = play(SIMPLE + f"frontendPolicies: {{http: {{http2WindowSize: {size}, "
                          f"http2ConnectionWindowSize: {size * 4}}}}}\n")
        client = H2Client(gateway.port)
        eq(client.theirs.get(f.INITIAL_WINDOW_SIZE, 65535), size, "INITIAL_WINDOW_SIZE")
        client.ping()
        eq(client.send_window, max(65535, size * 4), "window of the connection")
        number = client.request("/upload", "POST", body=pattern(1000000))
        eq(client.response(number).json()["crc32"], f"{crc32(1000000):08x}", "crc32")


@windows("RFC 9113 6.9.1: a client that exceeds the window of a stream gets FLOW_CONTROL_ERROR")
def exceeded():
    client = connect_stuck(SMALL)
    number = client.request("/x", "POST", end=False)
    client.send(*[f.data(number, bytes(13107)) for _ in range(5)])
    client.ping()
    eq(client.streams[number].rst, None, "reset within the window")
    eq(client.streams[number].send_window, 65535, "WINDOW_UPDATE while nothing was consumed")
    client.send(f.data(number, b"x"))
    expect_refused(client, number, f.FLOW_CONTROL_ERROR)


@windows("RFC 9113 6.9.1: padding counts: a window that padding exceeds is FLOW_CONTROL_ERROR")
def exceeded_by_padding():
    client = connect_stuck(SMALL)
    number = client.request("/x", "POST", end=False)
    client.send(*[f.data(number, bytes(13107)) for _ in range(4)], f.data(number, bytes(13100)))
    client.ping()
    client.send(f.data(number, b"x", False, 100))
    expect_refused(client, number, f.FLOW_CONTROL_ERROR)


@windows("RFC 9113 6.1: padding uses windows, and gives them back: more padding than a window jams nothing")
def padding_is_given_back():
    client = connect(SMALL)
    number = client.request("/upload", "POST", end=False)
    stream, sent = client.streams[number], 0
    for _ in range(400):
        client.poll()
        if min(client.send_window, stream.send_window) < 257:
            client.wait(lambda: min(client.send_window, stream.send_window) >= 257, 10, "the windows")
        client.send(f.data(number, b"x", False, 255))
        client.send_window -= 257
        stream.send_window -= 257
        sent += 1
    client.send(f.data(number, b"", True))
    eq(client.response(number).json()["length"], sent, "bytes of the body")


@test("one stream that nobody reads stops itself, and no other of its connection", timeout=20)
def stuck_stream():
    text = SMALL.replace("    - name: all\n", """    - name: stuck
      matches: [{path: {pathPrefix: /stuck}}]
      backends:
      - host: @hole@
    - name: all
""")
    hole, origin = Blackhole(), Origin()
    gateway = Gateway(text, origin=origin, hole=hole, workers=1)
    client = H2Client(gateway.port)
    stuck = client.request("/stuck", "POST", end=False)
    client.send(*[f.data(stuck, bytes(13107)) for _ in range(5)])
    client.send_window -= 65535
    for size in (10, 300000, 2000000):
        number = client.request("/upload", "POST", body=pattern(size))
        eq(client.response(number).json()["crc32"], f"{crc32(size):08x}", "crc32 of another stream")
    eq(client.streams[stuck].rst, None, "the stuck stream")
    client.reset(stuck)
    client.ping()
