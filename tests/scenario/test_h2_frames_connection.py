# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 3.4, 4, 5.4, 5.5, 6.5, 6.7, 6.8: preface, frames, SETTINGS, PING and GOAWAY, rule by rule."""
from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from h2cases import (SIMPLE, connect, connect_acted, connect_unserved, each_fails, fields_of, survives,
                     unused)
from plays import play

PRIORITY_UPDATE = 0x10  # RFC 9218, as browsers send it
LARGER_FRAMES = SIMPLE + "frontendPolicies: {http: {http2FrameSize: 32768}}\n"
frames = table("preface, frames, SETTINGS, PING and GOAWAY", timeout=60)


# ---- 3.4 preface -----------------------------------------------------------------------------------------


@frames("RFC 9113 3.4: the server's first frame is SETTINGS, and the client's SETTINGS are acknowledged")
def server_preface():
    client = connect()
    eq((client.settings_seen, client.settings_acked), (1, 1), "SETTINGS and acknowledgements")
    eq(client.theirs.get(f.MAX_CONCURRENT_STREAMS), 100, "MAX_CONCURRENT_STREAMS")
    eq(client.theirs.get(f.ENABLE_CONNECT_PROTOCOL), 1, "ENABLE_CONNECT_PROTOCOL")
    eq(client.theirs.get(f.MAX_HEADER_LIST_SIZE), 65536, "MAX_HEADER_LIST_SIZE")


@frames("RFC 9113 3.4: the preface may come in any pieces, byte by byte too")
def preface_in_pieces():
    gateway = connect().gateway
    for step in (1, 3, 23, 24, 25):
        client = H2Client(gateway.port, start=False)
        text = f.PREFACE + f.settings()
        client.raw.send(*[text[at:at + step] for at in range(0, len(text), step)], pause=0.002)
        client.wait(lambda c=client: c.settings_acked, what="SETTINGS")
        eq(client.get("/get").status, 200, f"status, in steps of {step}")


@frames("RFC 9113 3.4: a client may send requests before it has seen the server's SETTINGS")
def request_at_once():
    client = H2Client(connect().gateway.port, start=False)
    number = client.open_stream("GET")
    client.send(f.PREFACE, f.settings(), f.headers(number, f.block(client.fields(path="/get"))))
    eq(client.response(number).status, 200, "status")


@frames("RFC 9113 3.4: what only begins like the preface is never taken for HTTP/2")
def preface_look_alikes():
    good = connect_unserved()
    whole = f.PREFACE + f.settings() + f.headers(1, f.block(good.fields()))
    for wrong in (whole.replace(b"SM", b"MS"), whole.replace(b"HTTP/2.0", b"HTTP/2.1"),
                  whole.replace(b"PRI", b"PRJ"), whole.replace(b" * ", b" / "), whole[1:]):
        client = good.gateway.client()
        client.send(wrong)
        _, answer = client.expect_end()
        # h2spec 3.5/2: the port speaks HTTP/1.1 as well, which answers in its own way.
        check(answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 505 ")) or
              answer[3] in (f.SETTINGS, f.GOAWAY), f"answer to {wrong[:30]!r}: {answer[:60]!r}")
        check(b":status" not in answer and b"HTTP/1.1 200" not in answer, f"a response: {answer!r}")
    good.origin.expect_no_connection(0.05)


@frames("RFC 9113 3.4: HTTP/1 methods that begin like the preface are HTTP/1, in any pieces")
def first_letters():
    gateway = connect().gateway
    for method in ("POST", "PUT", "PATCH", "PRI", "P", "PROPFIND"):
        for step in (1, 2, 100):
            client = gateway.client()
            text = f"{method} /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            client.send(*[text[at:at + step] for at in range(0, len(text), step)], pause=0.0005)
            eq(client.response().json()["method"], method, "method")
            client.close()


@test("RFC 9113 3.4: a preface that never completes falls under the deadline of heads", waits=True)
def half_preface():
    gateway, _ = play(SIMPLE + "config: {timeouts: {clientHeaderMin: 1s}, http2: {idleTimeout: 1s}}\n")
    for text in (f.PREFACE[:10], f.PREFACE, f.PREFACE[:23]):
        client = gateway.client()
        with within(1.0, f"the close after {text!r}"):
            client.send(text)
            if len(text) < 18:
                eq(client.response().status, 408, "status: it could have become a request of HTTP/1")
            client.expect_end()


@frames("RFC 9113 3.4: the first frame of the client must be SETTINGS")
def settings_first():
    good = connect_unserved()
    fields = f.block(good.fields())
    for first in (f.headers(1, fields), f.ping(), f.window_update(0, 1), f.data(1, b"x"), f.goaway(),
                  f.settings(ack=True)):
        client = H2Client(good.gateway.port, start=False)
        client.send(f.PREFACE, first)
        client.expect_connection_error(f.PROTOCOL_ERROR)
    good.origin.expect_no_connection(0)


@frames("an h2c upgrade of HTTP/1.1 (RFC 7540 3.2) is answered in HTTP/1.1, and not passed on")
def no_upgrade():
    client = connect().gateway.client()
    answer = client.get("/anything", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                      ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")])
    eq((answer.status, answer.version), (200, "1.1"), "status and version")
    eq(set(fields_of(answer)) & {"upgrade", "http2-settings"}, set(), "fields passed on")
    eq(client.get("/get").status, 200, "the next request on the connection, in HTTP/1.1")


# ---- 4 frames --------------------------------------------------------------------------------------------


@frames("RFC 9113 4.1, 5.5: frames of unknown types are ignored, on any stream")
def unknown_types():
    client = connect()
    number = client.request("/get", end=False)
    client.send(f.frame(0x16, 0xff, 0, b"what"), f.frame(0xfa, 0, number, bytes(16384)),
                f.frame(0x77, 0, 99), f.frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"))
    client.send_data(number, b"", True)
    eq(client.response(number).status, 200, "status")
    survives(client)


@frames("RFC 9113 4.1: undefined flags and the reserved bit are ignored")
def undefined_flags():
    client = connect()
    client.send(f.frame(f.PING, 0xfe, 0, b"12345678"))
    client.wait(lambda: client.ping_acks, what="the answer to PING")
    client.send(f.frame(f.SETTINGS, 0xfe, 0))
    number = client.open_stream("GET")
    client.send(f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS | 0x82, number | 1 << 31,
                        f.block(client.fields(path="/get"))))
    eq(client.response(number).status, 200, "status")
    client.send(f.window_update(0, 1 << 31 | 5))
    survives(client)


@frames("RFC 9113 4.2: a frame of 16384 bytes is taken, one of 16385 is FRAME_SIZE_ERROR")
def frame_size():
    client = connect()
    number = client.request("/upload", "POST", end=False)
    client.send(f.data(number, pattern(16384), True))
    eq(client.response(number).json()["length"], 16384, "bytes")
    each_fails(client, {
        "DATA": lambda c: c.send(f.data(c.request("/upload", "POST", end=False), bytes(16385))),
        "HEADERS": f.headers(1, f.block([(":method", "GET"), ("x", "y" * 16384)])),
        "SETTINGS": f.settings([(0x99, 0)] * 2731),
        "an unknown type": f.frame(0x77, 0, 0, bytes(16385)),
    }, f.FRAME_SIZE_ERROR)


@frames("RFC 9113 4.2: a frame too large is refused by its head, without waiting for its payload")
def huge_frame():
    client = connect()
    each_fails(client, {str(kind): f.frame(kind, 0, 0, b"", length=(1 << 24) - 1)
                        for kind in (f.GOAWAY, f.SETTINGS, 0x42)}, f.FRAME_SIZE_ERROR)


@frames("RFC 9113 4.2: http2FrameSize is announced and taken")
def larger_frames():
    client = connect(LARGER_FRAMES)
    eq(client.theirs.get(f.MAX_FRAME_SIZE), 32768, "MAX_FRAME_SIZE")
    number = client.request("/upload", "POST", end=False)
    client.send(f.data(number, pattern(32768), True))
    eq(client.response(number).json()["crc32"], f"{crc32(32768):08x}", "crc32")
    each_fails(client, {
        "DATA": lambda c: c.send(f.data(c.request("/upload", "POST", end=False), bytes(32769)))},
        f.FRAME_SIZE_ERROR)


@frames("RFC 9113 4.2: the client's MAX_FRAME_SIZE is the largest frame it gets")
def frames_to_the_client():
    for most in (16384, 65536):
        client = connect(values={f.MAX_FRAME_SIZE: most, f.INITIAL_WINDOW_SIZE: 1 << 20})
        number = client.request("/bytes/300000")
        client.streams[number].sink = PatternCheck().feed
        eq(client.response(number).status, 200, "status")  # frames over `most` fail in the reader
        eq(client.streams[number].received, 300000, "bytes")


# ---- 5.4 errors ------------------------------------------------------------------------------------------


@frames("RFC 9113 5.4.1: GOAWAY of a connection error names the last stream that was worked on")
def goaway_last_stream():
    client = connect()
    for _ in range(3):
        client.get("/get")
    client.send(f.ping(b"short"))
    eq(client.expect_connection_error(f.FRAME_SIZE_ERROR).number, 5, "last stream")


@frames("RFC 9113 5.4.1: a connection error resets what waits at the backend")
def error_cancels():
    client = connect_acted()
    client.request("/x")
    upstream = client.origin.accept()
    upstream.read_request()
    client.send(f.ping(b"short"))
    client.expect_connection_error(f.FRAME_SIZE_ERROR)
    upstream.expect_end()


@frames("a connection that a client just closes, or resets, ends its streams and nothing else")
def client_vanishes():
    for ending in ("close", "rst"):
        client, path = connect_acted(), unused("/vanishes")
        for _ in range(3):
            client.request(path)
        upstreams = [client.origin.accept() for _ in range(3)]
        for upstream in upstreams:
            upstream.read_request()
        getattr(client.raw, ending)()
        for upstream in upstreams:
            upstream.expect_end()
        records = client.gateway.wait_log(lambda r, p=path: r["http.path"] == p, count=3)
        eq(len(records), 3, "log lines")


# ---- 6.5 SETTINGS ----------------------------------------------------------------------------------------


@frames("RFC 9113 6.5: malformed SETTINGS are connection errors")
def settings_malformed():
    client = connect()
    each_fails(client, {
        "an acknowledgement with a payload": f.frame(f.SETTINGS, f.ACK, 0, bytes(6)),
        "a length of 3": f.frame(f.SETTINGS, 0, 0, bytes(3)),
        "a length of 7": f.frame(f.SETTINGS, 0, 0, bytes(7)),
    }, f.FRAME_SIZE_ERROR)
    each_fails(client, {"on stream 1": f.frame(f.SETTINGS, 0, 1)}, f.PROTOCOL_ERROR)


@frames("RFC 9113 6.5.2: values out of range are connection errors")
def settings_values():
    client = connect()
    each_fails(client, {
        "ENABLE_PUSH 2": f.settings({f.ENABLE_PUSH: 2}),
        "MAX_FRAME_SIZE 16383": f.settings({f.MAX_FRAME_SIZE: 16383}),
        "MAX_FRAME_SIZE 2^24": f.settings({f.MAX_FRAME_SIZE: 1 << 24}),
        "ENABLE_CONNECT_PROTOCOL 2 (RFC 8441 3)": f.settings({f.ENABLE_CONNECT_PROTOCOL: 2}),
    }, f.PROTOCOL_ERROR)
    each_fails(client, {
        "INITIAL_WINDOW_SIZE 2^31": f.settings({f.INITIAL_WINDOW_SIZE: 1 << 31}),
        "INITIAL_WINDOW_SIZE 2^32-1": f.settings({f.INITIAL_WINDOW_SIZE: (1 << 32) - 1}),
    }, f.FLOW_CONTROL_ERROR)


@frames("RFC 9113 6.5.2: unknown settings are ignored, limits are taken, of two values the last one counts")
def settings_odd():
    client = connect()
    client.change_settings({0x4242: 7, 0xffff: 0, f.MAX_HEADER_LIST_SIZE: 0xffffffff, f.ENABLE_PUSH: 1})
    client.change_settings({f.MAX_CONCURRENT_STREAMS: 0, f.MAX_FRAME_SIZE: (1 << 24) - 1,
                            f.INITIAL_WINDOW_SIZE: f.LARGEST_WINDOW})
    acked = client.settings_acked
    client.send(f.settings([(f.INITIAL_WINDOW_SIZE, 1), (f.INITIAL_WINDOW_SIZE, 100)]))
    client.wait(lambda: client.settings_acked > acked, what="the acknowledgement")
    client.windows = False
    number = client.request("/bytes/1000")
    stream = client.streams[number]
    client.wait(lambda: stream.received >= 100, what="100 bytes")
    client.ping()
    eq(stream.received, 100, "bytes within INITIAL_WINDOW_SIZE")
    client.reset(number)


@frames("RFC 9113 6.5.3: every SETTINGS is acknowledged, in order with what follows it")
def settings_acks():
    client = connect()
    acked = client.settings_acked
    client.send(f.settings({f.MAX_HEADER_LIST_SIZE: 1 << 20}), f.settings(), f.settings({0x77: 1}))
    client.ping()
    eq(client.settings_acked - acked, 3, "acknowledgements before the answer to the PING behind them")


@frames("RFC 9113 6.5.3: SETTINGS that a client never acknowledges do not stop it, or end in "
        "SETTINGS_TIMEOUT")
def settings_never_acked():
    client = H2Client(connect().gateway.port, acks=False)
    try:
        for _ in range(3):
            eq(client.get("/get").status, 200, "status")
    except Failure:
        client.expect_connection_error(f.SETTINGS_TIMEOUT)


# ---- 6.7 PING, 6.8 GOAWAY, 7 codes -----------------------------------------------------------------------


@frames("RFC 9113 6.7: PING is answered with the same payload, while streams are busy too")
def ping_answered():
    client = connect()
    number = client.request("/delay/0.3")
    for payload in (b"\0" * 8, b"\xff" * 8, b"abcdefgh"):
        client.ping(payload)
    eq(client.response(number).status, 200, "status")


@frames("RFC 9113 6.7: an answer to a PING that was never sent is not answered")
def ping_unasked():
    client = connect()
    client.send(f.ping(b"unasked!", ack=True))
    client.ping()
    eq(len(client.ping_acks), 1, "answers")


@frames("RFC 9113 6.7: malformed PING are connection errors")
def ping_malformed():
    client = connect()
    each_fails(client, {
        "7 bytes": f.ping(b"1234567"), "9 bytes": f.ping(b"123456789"), "0 bytes": f.ping(b""),
        "an acknowledgement of 4 bytes": f.ping(b"1234", ack=True),
    }, f.FRAME_SIZE_ERROR)
    each_fails(client, {"on stream 1": f.ping(stream=1)}, f.PROTOCOL_ERROR)


@frames("RFC 9113 6.8: malformed GOAWAY are connection errors")
def goaway_malformed():
    client = connect()
    each_fails(client, {"7 bytes": f.frame(f.GOAWAY, 0, 0, bytes(7)), "0 bytes": f.frame(f.GOAWAY, 0, 0)},
               f.FRAME_SIZE_ERROR)
    each_fails(client, {"on stream 1": f.goaway(stream=1)}, f.PROTOCOL_ERROR)


@frames("RFC 9113 6.8: after a client's GOAWAY its streams are finished, then the connection ends")
def goaway_of_client():
    for code, debug in ((f.NO_ERROR, b""), (f.NO_ERROR, b"debug" * 100), (0xdeadbeef, b"")):
        client = connect()
        number = client.request("/delay/0.2?body=1000")
        client.send(f.goaway(0, code, debug))
        eq(len(client.response(number).body), 1000, "body")
        client.expect_end()
        check(all(last.code == f.NO_ERROR for last in client.goaways), f"{client.goaways}")


@frames("RFC 9113 7: unknown error codes mean nothing special")
def unknown_codes():
    client = connect()
    number = client.request("/delay/5")
    client.reset(number, 0xabcdef)
    survives(client)


@frames("a connection without any stream still answers PING, and costs the backend nothing")
def no_streams():
    client = connect_unserved()
    for _ in range(5):
        client.ping()
    client.origin.expect_no_connection(0)
