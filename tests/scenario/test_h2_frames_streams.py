# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 5.1, 5.3, 6.1 to 6.4, 6.6: streams, their states and numbers, and the frames that carry them."""
from hg import *
from hg import h2_frames as f
from h2cases import (STRICTER_THAN_A_STREAM_ERROR, SIMPLE, connect, connect_acted, each_fails,
                     expect_refused, form, outcome, survives, unused)

GET = f.block(form())
streams = table("streams, their states and numbers, and the frames that carry them", timeout=60)


# ---- 5.1 states ------------------------------------------------------------------------------------------


@streams("RFC 9113 5.1 idle: only HEADERS and PRIORITY may come")
def idle():
    client = connect()
    each_fails(client, {
        "DATA": f.data(1, b"x"), "RST_STREAM": f.rst_stream(1), "empty DATA": f.data(1, b"", True),
        "WINDOW_UPDATE": f.window_update(1, 10), "CONTINUATION": f.continuation(1, GET),
    }, f.PROTOCOL_ERROR)


@streams("RFC 9113 5.1 idle: PRIORITY is taken and changes nothing")
def idle_priority():
    client = connect()
    client.send(f.priority(1, 0, 200), f.priority(5, 3, 1, True))
    survives(client)


def expect_stream_closed(client, number, key, seen_before):
    """STREAM_CLOSED, of the connection behind END_STREAM, of the stream behind RST_STREAM."""
    stream = client.streams[number]
    client.wait(lambda: stream.rst is not None or client.goaways, what="an answer")
    if client.goaways:
        eq(client.goaways[0].code, f.STREAM_CLOSED, "code of the GOAWAY")
        client.expect_end()
    else:
        eq(stream.rst, f.STREAM_CLOSED, f"code of the reset of stream {number}")
        eq(client.get("/get").status, 200, "another request on the connection")
    eq(client.origin.counter(key), seen_before, "requests at the backend")


@streams("RFC 9113 5.1 half-closed (remote): DATA and HEADERS are STREAM_CLOSED")
def half_closed():
    for name, text in (("DATA", f.data(1, b"x")), ("HEADERS", f.headers(1, GET)),
                       ("DATA that ends", f.data(1, b"", True))):
        client = connect()
        number = client.request("/delay/0.5")
        client.send(text)
        expect_refused(client, number, f.STREAM_CLOSED)
        note(name, STRICTER_THAN_A_STREAM_ERROR if client.goaways else "stream error")


@streams("RFC 9113 5.1 half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM are allowed")
def half_closed_allowed():
    client = connect()
    number = client.request("/delay/0.3")
    client.send(f.window_update(number, 100), f.priority(number, 0))
    client.ping()
    client.reset(number)
    survives(client)


@streams("RFC 9113 5.1 closed by END_STREAM: frames are STREAM_CLOSED, and never a request")
def closed_after_end():
    for make in (lambda path: f.headers(1, f.block(form(path=path))), lambda _: f.data(1, b"x"),
                 lambda _: f.data(1, bytes(9000))):
        client, key = connect(), unused("seen")
        eq(client.get(f"/get?count={key}").status, 200, "status")
        client.send(make(f"/get?count={key}"))
        expect_stream_closed(client, 1, key, 1)


@streams("RFC 9113 5.1 closed by RST_STREAM of the client: frames are STREAM_CLOSED")
def closed_after_reset():
    key = unused("seen")
    for text in (f.headers(1, f.block(form(path=f"/get?count={key}"))), f.data(1, b"x")):
        client = connect()
        number = client.request("/delay/9", "POST", end=False)
        client.reset(number)
        client.send(text)
        expect_stream_closed(client, number, key, 0)


@streams("RFC 9113 5.1 closed: WINDOW_UPDATE, PRIORITY and RST_STREAM that cross the end are ignored")
def closed_allowed():
    client = connect()
    client.get("/get")
    client.send(f.window_update(1, 100), f.priority(1, 0), f.rst_stream(1))
    survives(client)


@streams("RFC 9113 5.1, 6.9: DATA of a stream that was reset gives back the connection's window")
def closed_data_and_window():
    client = connect()
    number = client.request("/delay/9", "POST", end=False)
    client.reset(number)
    for _ in range(60):
        if client.send_window < 16384:
            client.wait(lambda: client.send_window >= 16384, 10, "the window of the connection")
        if client.send_some(f.data(number, bytes(16384))) is not None or client.goaways:
            break
        client.send_window -= 16384
        client.poll()
    if client.goaways or client.end:
        client.expect_goaway(f.STREAM_CLOSED, f.ENHANCE_YOUR_CALM)
    else:
        survives(client)


# ---- 5.1.1 numbers, 5.1.2 concurrency --------------------------------------------------------------------


@streams("RFC 9113 5.1.1: a client's stream has an odd number")
def even_numbers():
    client = connect()
    each_fails(client, {str(number): f.headers(number, GET) for number in (0, 2, 100, (1 << 31) - 2)},
               f.PROTOCOL_ERROR)


@streams("RFC 9113 5.1.1: numbers grow; a smaller one is an error, and never a request")
def smaller_numbers():
    client, key = connect(), unused("seen")
    number = client.open_stream("GET", 9)
    client.send(f.headers(number, f.block(form(path=f"/get?count={key}"))))
    eq(client.response(number).status, 200, "status")
    client.open_stream("GET", 5)
    client.send_some(f.headers(5, f.block(form(path=f"/get?count={key}"))))
    client.expect_goaway(f.PROTOCOL_ERROR)  # h2spec 5.1.1/2
    eq(client.origin.counter(key), 1, "requests at the backend")


@streams("RFC 9113 5.1.1: numbers may be skipped, up to the last one there is")
def skipped_numbers():
    client = connect()
    for number in (7, 1001, (1 << 31) - 1):
        client.open_stream("GET", number)
        client.send(f.headers(number, f.block(client.fields(path="/get"))))
        eq(client.response(number).status, 200, f"status of stream {number}")


@streams("RFC 9113 5.1.2: 100 streams run at once, and when one ends there is room for another")
def concurrency():
    client = connect_acted()
    numbers = [client.request(f"/{i}") for i in range(100)]
    upstreams = [client.origin.accept() for _ in range(100)]
    request = upstreams[0].read_request()
    upstreams[0].respond(200, body=b"done")
    eq(client.response(numbers[int(request.target[1:])]).body, b"done", "body")
    number = client.request("/again")
    eq(upstreams[0].read_request().target, "/again", "target of the request in its place")
    upstreams[0].respond(200, body=b"ok")
    eq(client.response(number).body, b"ok", "body")
    client.raw.close()


@streams("RFC 9113 5.1.2: the 101st stream is refused, and does not reach the backend")
def one_too_many():
    client = connect_acted()
    numbers = [client.request(f"/{i}") for i in range(100)]
    upstreams = [client.origin.accept() for _ in range(100)]
    expect_refused(client, client.request("/refused"), f.REFUSED_STREAM, f.PROTOCOL_ERROR)
    client.origin.expect_no_connection(0.05)
    if client.goaways:
        note(STRICTER_THAN_A_STREAM_ERROR)
        client.expect_end()
        return
    request = upstreams[0].read_request()
    upstreams[0].respond(200, body=b"done")
    eq(client.response(numbers[int(request.target[1:])]).body, b"done", "body of one of the 100")
    client.raw.close()


# ---- 6.1 DATA, 6.2 HEADERS -------------------------------------------------------------------------------


@streams("RFC 9113 6.1: DATA on stream 0 is a connection error")
def data_on_zero():
    each_fails(connect(), {"DATA": f.data(0, b"x")}, f.PROTOCOL_ERROR)


@streams("RFC 9113 6.1: padding is taken off, whatever it holds")
def data_padding():
    client = connect()
    number = client.request("/echo", "POST", end=False)
    for padding, piece in ((0, b"one,"), (255, b"two,"), (1, b""), (10, b"three")):
        client.send(f.data(number, piece, False, padding))
    client.send(f.frame(f.DATA, f.PADDED | f.END_STREAM, number, b"\4!" + b"\xff\0\xff\0"))
    eq(client.response(number).body, b"one,two,three!", "body")


@streams("RFC 9113 6.1, 6.2: padding as long as its frame or longer is a connection error")
def too_much_padding():
    client = connect()

    def attack(payload, kind=f.DATA):
        def run(victim):
            number = victim.request("/upload", "POST", end=False) if kind == f.DATA else 1
            victim.send(f.frame(kind, f.PADDED | f.END_HEADERS, number, payload))
        return run
    each_fails(client, {
        "DATA, one too many": attack(b"\4abc"), "DATA, far too many": attack(b"\xffabc"),
        "DATA, nothing but a length": attack(b"\1"),
        "HEADERS": attack(bytes([len(GET) + 1]) + GET, f.HEADERS),
    }, f.PROTOCOL_ERROR)
    each_fails(client, {"DATA without Pad Length": attack(b""), "HEADERS without": attack(b"", f.HEADERS)},
               f.FRAME_SIZE_ERROR, f.PROTOCOL_ERROR)


@streams("RFC 9113 6.2: HEADERS on stream 0 are a connection error")
def headers_on_zero():
    each_fails(connect(), {"HEADERS": f.headers(0, GET)}, f.PROTOCOL_ERROR)


@streams("RFC 9113 6.2: padding and priority fields of HEADERS are taken off")
def headers_padding():
    client = connect()
    block = f.block(client.fields(path="/get"))
    both = b"\5" + f.priority_fields(0, 255, True) + block + bytes(5)
    for flags, payload in ((f.PADDED, b"\7" + block + bytes(7)), (f.PADDED, b"\0" + block),
                           (f.HAS_PRIORITY, f.priority_fields() + block),
                           (f.PADDED | f.HAS_PRIORITY, both)):
        number = client.open_stream("GET")
        client.send(f.frame(f.HEADERS, flags | f.END_HEADERS | f.END_STREAM, number, payload))
        eq(client.response(number).status, 200, f"status with flags {flags:#x}")
    client.send(f.frame(f.HEADERS, f.HAS_PRIORITY | f.END_HEADERS, client.open_stream(), b"\0\0"))
    client.expect_connection_error(f.FRAME_SIZE_ERROR, f.PROTOCOL_ERROR)


# ---- 5.3, 6.3 PRIORITY, 6.4 RST_STREAM, 6.6 PUSH_PROMISE -------------------------------------------------


@streams("RFC 9113 6.3: PRIORITY on stream 0 is a connection error, and of a stream that depends on itself")
def priority_on_zero():
    each_fails(connect(), {"stream 0": f.priority(0, 1), "an idle stream": f.priority(7, 7),
                           "an exclusive one": f.priority(9, 9, 200, True)}, f.PROTOCOL_ERROR)


@streams("RFC 9113 6.3: PRIORITY of another length than 5 is FRAME_SIZE_ERROR")
def priority_length():
    for size in (0, 4, 6):
        client = connect()
        number = client.request("/delay/0.3")
        client.send(f.frame(f.PRIORITY, 0, number, bytes(size)))
        expect_refused(client, number, f.FRAME_SIZE_ERROR)  # STRICTER_THAN_A_STREAM_ERROR


@streams("RFC 7540 5.3.1: a stream that depends on itself is PROTOCOL_ERROR, or ignored where priorities are")
def self_dependency():
    for build in (lambda n: f.headers(n, GET) + f.priority(n, n),
                  lambda n: f.frame(f.HEADERS, f.HAS_PRIORITY | f.END_HEADERS | f.END_STREAM, n,
                                    f.priority_fields(n) + GET)):
        client = connect()
        number = client.open_stream("GET")
        client.send(build(number))
        stream = client.streams[number]
        client.wait(lambda s=stream, c=client: s.ended or s.rst is not None or c.goaways, what="an outcome")
        if stream.ended:
            # RFC 9113 5.3.2, RFC 9218 2.1: allowed to who says so in SETTINGS.
            eq(client.theirs.get(f.NO_RFC7540_PRIORITIES), 1, "SETTINGS_NO_RFC7540_PRIORITIES")
        else:
            expect_refused(client, number, f.PROTOCOL_ERROR)


@streams("RFC 9113 5.3: priorities of unknown streams, loops and exclusive ones change no answer")
def priorities():
    client = connect()
    for stream in range(1, 40, 2):
        client.send(f.priority(stream + 100, stream + 102, 7, True))
    client.send(f.priority(101, 139), f.priority(139, 101))
    survives(client)


@streams("RFC 9113 6.4: RST_STREAM cancels the request at the backend")
def reset_cancels():
    client, path = connect_acted(), unused("/reset")
    number = client.request(path)
    upstream = client.origin.accept()
    upstream.read_request()
    client.reset(number, f.CANCEL)
    upstream.expect_end()
    record = client.gateway.wait_log(lambda r: r["http.path"] == path)
    eq(record["close_reason"], "client_rst", "close_reason")
    client.ping()


@streams("RFC 9113 6.4: RST_STREAM is not answered with RST_STREAM, and nothing follows it")
def reset_is_the_end():
    client = connect()
    number = client.request("/sse?n=0&interval=20")
    client.response_head(number)
    client.reset(number)
    client.ping()
    seen = client.frames_seen
    client.expect_silence(0.15)
    eq(client.frames_seen, seen, "frames")
    eq(client.streams[number].rst, None, "RST_STREAM of the gateway")
    survives(client)


@streams("RFC 9113 6.4: malformed RST_STREAM are connection errors")
def reset_malformed():
    client = connect()
    each_fails(client, {"stream 0": f.rst_stream(0), "an idle stream": f.rst_stream(7)}, f.PROTOCOL_ERROR)
    each_fails(client, {f"{size} bytes": lambda c, n=size: c.send(
        f.frame(f.RST_STREAM, 0, c.request("/delay/0.3"), bytes(n))) for size in (0, 3, 5, 8)},
        f.FRAME_SIZE_ERROR)


@streams("RFC 9113 6.6, 8.4: a client must not push")
def push():
    client = connect()
    each_fails(client, {
        "on an open stream": lambda c: c.send(f.frame(f.PUSH_PROMISE, f.END_HEADERS, c.request(
            "/upload", "POST", end=False), b"\0\0\0\2" + GET)),
        "on stream 0": f.frame(f.PUSH_PROMISE, f.END_HEADERS, 0, b"\0\0\0\2" + GET),
    }, f.PROTOCOL_ERROR)


@streams("the gateway never pushes, not even to a client that allows it")
def no_push():
    client = connect(SIMPLE, {f.ENABLE_PUSH: 1})
    eq(client.get("/response-headers?link=%3C/a.css%3E;rel=preload").status, 200, "status")
    client.ping()  # PUSH_PROMISE would fail in the reader


@test("streams that are reset make room for others, round after round")
def streams_are_freed():
    # So many resets are no flood here. All rounds together are more than the 100 streams that run at once.
    client = connect(SIMPLE + "config: {limits: {http2Floods: {resets: 1000, earlyResets: 1000}}}\n")
    for round_ in range(4):
        for _ in range(60):
            client.reset(client.request("/delay/9", "POST", end=False))
        eq(outcome(client, client.request("/get")), ("status", 200), f"outcome in round {round_}")
        wait_until(lambda: not client.gateway.streams(), 10, "the end of the streams")
