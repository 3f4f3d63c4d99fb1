# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 4.3, 6.10 and RFC 7541: header blocks, their compression, and how they are cut into frames."""
import random

import hpack

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from h2cases import connect, connect_unserved, each_fails, expect_malformed, fields_of, form, survives

GET = f.block(form())
blocks = table("header blocks, their compression, and how they are cut into frames", timeout=60)


def one(block):
    """HEADERS of stream 1 with this block behind a good request's."""
    return f.headers(1, GET + block)


@blocks("RFC 9113 4.3: a block that does not decode is COMPRESSION_ERROR of the connection")
def broken_blocks():
    client = connect()
    each_fails(client, {
        "index 0": one(f.indexed(0)),
        "an index beyond both tables": one(f.indexed(62)),
        "a huge index": one(f.indexed(1 << 27)),
        "an index that does not end": one(b"\xff" * 12),
        "the name of a literal beyond the tables": one(b"\x7f\x20" + f.text("v")),
        "a literal shorter than it says": one(b"\0" + f.integer(10, 7) + b"abc"),
        "a literal without a value": one(b"\0" + f.text("name")),
        "a length of 2^35": one(b"\0" + f.integer(1 << 35, 7) + b"a"),
        "Huffman: EOS": one(b"\0" + f.text("x") + bytes([0x84]) + b"\xff\xff\xff\xff"),
        "Huffman: padding of a whole byte": one(b"\0" + f.text("x") + bytes([0x82]) + b"\x1f\xff"),
        "Huffman: padding of zeros": one(b"\0" + f.text("x") + bytes([0x81]) + b"\x18"),
        "a table larger than allowed": f.headers(1, f.table_size(4097) + GET),
        "a table of 2^31": f.headers(1, f.table_size(1 << 31) + GET),
        "a change of the table behind a field": f.headers(1, GET + f.table_size(0) + f.literal("x", "y")),
        "a block that ends inside a number": one(b"\xff"),
    }, f.COMPRESSION_ERROR)


@blocks("RFC 7541 2.2, 4: the dynamic table holds from request to request, shrinks, and forgets")
def dynamic_table():
    client = connect()
    number = client.open_stream("GET")
    client.send(f.headers(number, f.block(client.fields(path="/headers")) + f.literal_indexed("x-kept", "1")))
    eq(fields_of(client.response(number)).get("x-kept"), "1", "a new entry")
    number = client.open_stream("GET")
    client.send(f.headers(number, f.block(client.fields(path="/headers")) + f.indexed(62)))
    eq(fields_of(client.response(number)).get("x-kept"), "1", "the entry by its index")
    number = client.open_stream("GET")
    client.send(f.headers(number, f.table_size(0) + f.table_size(4096)
                          + f.block(client.fields(path="/headers"))))
    eq(client.response(number).status, 200, "status, the table emptied and enlarged")
    number = client.open_stream("GET")
    client.send(f.headers(number, f.block(client.fields(path="/headers")) + f.indexed(62)))
    client.expect_connection_error(f.COMPRESSION_ERROR)


@blocks("RFC 9113 4.3: what a refused request puts into the table is there for the next one")
def table_of_refused():
    client = connect()
    bad = client.open_stream("GET")
    client.send(f.headers(bad, f.block(form(("Upper", "1"))) + f.literal_indexed("x-one", "1")))
    expect_malformed(client, bad, "an upper-case name")
    gone = client.open_stream("GET")
    client.send(f.headers(gone, f.block(form(path="/delay/9")) + f.literal_indexed("x-two", "2"), False))
    client.reset(gone)
    client.send(f.headers(gone, f.literal_indexed("x-three", "3")))  # trailers of a stream that is closed
    number = client.open_stream("GET")
    client.send(f.headers(number, f.block(client.fields(path="/headers"))
                          + f.indexed(62) + f.indexed(63) + f.indexed(64)))
    try:
        got = fields_of(client.response(number))
    except Failure:
        # RFC 9113 5.1 allows this answer to HEADERS on a closed stream.
        client.expect_connection_error(f.STREAM_CLOSED)
        return
    eq([got.get(name) for name in ("x-one", "x-two", "x-three")], ["1", "2", "3"], "fields")


@blocks("RFC 7541 4.2: the client's HEADER_TABLE_SIZE 0 empties the table of the responses")
def table_of_responses():
    client = connect()
    for size in (0, 100, 4096):
        client.change_settings({f.HEADER_TABLE_SIZE: size})
        client.decoder.max_allowed_table_size = size  # the decoder fails when it is not obeyed
        for _ in range(3):
            eq(client.get("/response-headers?x-a=1&x-b=2").headers["x-b"], "2", f"field with table {size}")
        check(client.decoder.header_table_size <= size, f"table of {client.decoder.header_table_size}")


@blocks("RFC 7541 5.2: Huffman and plain strings are the same, sensitive fields pass")
def representations():
    client = connect()
    number = client.open_stream("GET")
    fields = [*client.fields(path="/headers"), ("x-text", "some text, with ümlaut".encode()),
              hpack.NeverIndexedHeaderTuple("x-secret", "s")]
    client.send(f.headers(number, client.encoder.encode(fields, huffman=True)))
    got = fields_of(client.response(number))
    eq((got["x-text"], got["x-secret"]), ("some text, with \u00c3\u00bcmlaut", "s"), "fields")


# ---- 6.10 CONTINUATION -----------------------------------------------------------------------------------


@blocks("RFC 9113 6.10: a block may be cut anywhere, into empty pieces too")
def continuations():
    client = connect()
    for pieces in ([3], [0, 0, 5], [1, 1, 1, 1], [30, 1, 0], [len(GET)]):
        number = client.open_stream("GET")
        block, out, first = f.block(client.fields(path="/headers", extra={"x-cut": "y" * 50})), [], True
        for size in pieces:
            piece, block = block[:size], block[size:]
            out.append(f.headers(number, piece, end_headers=False) if first else
                       f.continuation(number, piece, False))
            first = False
        client.send(*out, f.continuation(number, block))
        eq(fields_of(client.response(number)).get("x-cut"), "y" * 50, f"the field, cut {pieces}")


@blocks("RFC 9113 4.3, 6.2: between HEADERS and its CONTINUATION nothing else may come")
def interleaved():
    client = connect()
    begin = f.headers(1, GET[:5], end_headers=False)
    each_fails(client, {
        name: begin + text + f.continuation(1, GET[5:]) for name, text in {
            "DATA": f.data(1, b"x"), "HEADERS of another stream": f.headers(3, GET), "PING": f.ping(),
            "HEADERS of the same stream": f.headers(1, GET[5:]), "SETTINGS": f.settings(),
            "PRIORITY": f.priority(1), "RST_STREAM": f.rst_stream(1), "WINDOW_UPDATE": f.window_update(0, 1),
            "GOAWAY": f.goaway(), "an unknown type (RFC 9113 5.5)": f.frame(0x42, 0, 1),
            "CONTINUATION of another stream": f.continuation(3, GET[5:]),
            "CONTINUATION of stream 0": f.continuation(0, GET[5:]),
        }.items()}, f.PROTOCOL_ERROR)


@blocks("RFC 9113 6.10: CONTINUATION without a block in progress is a connection error")
def lone_continuation():
    client = connect()
    each_fails(client, {
        "at first": f.continuation(1, GET),
        "behind END_HEADERS": f.headers(1, GET) + f.continuation(1, b""),
        "behind a CONTINUATION with END_HEADERS":
            f.headers(1, GET[:5], end_headers=False) + f.continuation(1, GET[5:]) + f.continuation(1, b""),
        "behind DATA": f.headers(1, GET, end=False) + f.data(1, b"x") + f.continuation(1, b""),
        "on stream 0": f.continuation(0, GET),
    }, f.PROTOCOL_ERROR)


@blocks("a header block in more CONTINUATION frames than any client needs is refused, 10 are not")
def many_continuations():
    client = connect()
    number = client.open_stream("GET")
    block = f.block(client.fields(path="/headers", extra=[(f"x-{i}", "y" * 500) for i in range(20)]))
    step = len(block) // 10 + 1
    client.send(f.headers(number, block[:step], end_headers=False),
                *[f.continuation(number, block[at:at + step], at + step >= len(block))
                  for at in range(step, len(block), step)])
    eq(client.response(number).status, 200, "status with 10 frames")
    number = client.open_stream("GET")
    client.send_some(f.headers(number, GET, end_headers=False)
                     + b"".join(f.continuation(number, b"", False) for _ in range(1000)))
    client.expect_connection_error(f.ENHANCE_YOUR_CALM, f.PROTOCOL_ERROR, f.INTERNAL_ERROR)


# ---- limits ----------------------------------------------------------------------------------------------


@blocks("a header list of 64 KiB or 128 fields is taken, a larger one refused without reaching the backend")
def list_limits():
    client = connect()
    few = 128 - len(client.fields())
    fields = client.fields(path="/status/204", extra=[(f"x-{i}", "1") for i in range(few)])
    number = client.open_stream("GET")
    client.send_headers(number, fields)
    eq(client.response(number).status, 204, "status with 128 fields")
    used = sum(len(k) + len(v) + 32 for k, v in client.fields(path="/status/204"))
    number = client.open_stream("GET")
    big = [(f"x-{i}", "v" * 8000) for i in range(7)]
    client.send_headers(number, client.fields(path="/status/204", extra=big))
    check(used + sum(len(k) + len(v) + 32 for k, v in big) < 65536, "the list is within its limit")
    eq(client.response(number).status, 204, "status with 56 KiB")

    other = connect_unserved()
    # Whether pseudo-header fields count is left open.
    for extra in ([(f"x-{i}", "1") for i in range(129)], [(f"x-{i}", "v" * 8000) for i in range(9)],
                  [("x", "v" * 65536)]):
        number = other.open_stream("GET")
        other.send_headers(number, other.fields(extra=extra))
        stream = other.streams[number]
        other.wait(lambda s=stream: s.message or s.rst is not None, what="an answer")
        check(stream.message is None or stream.message.status == 431, f"status {stream.message}")
        check(stream.message or stream.rst in (f.ENHANCE_YOUR_CALM, f.PROTOCOL_ERROR, f.REFUSED_STREAM,
                                               f.CANCEL, f.INTERNAL_ERROR), f"reset with {stream.rst}")
    other.ping()
    other.origin.expect_no_connection(0)


@blocks("after a header list that is too large the table is in step, and the connection goes on")
def table_after_limit():
    client = connect()
    number = client.open_stream("GET")
    client.send_headers(number, client.fields(path="/get", extra=[(f"x-{i}", "1") for i in range(150)]))
    client.wait(lambda: client.streams[number].message or client.streams[number].rst is not None, what="431")
    got = fields_of(client.get("/headers", {"x-149": "1", "x-0": "1"}))
    eq((got.get("x-149"), got.get("x-0")), ("1", "1"), "fields of the table")
    survives(client)


@blocks("header blocks of random bytes end their connection or one stream, and never the gateway")
def random_blocks():
    chance = random.Random(7541)
    client = connect()
    for _ in range(60):
        victim = H2Client(client.gateway.port)
        victim.sends_raw = True
        victim.send_some(f.headers(1, bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))))
        victim.send_some(f.rst_stream(1) + f.ping())
        victim.wait(lambda v=victim: v.goaways or v.ping_acks or v.end, what="an answer")
        victim.close()
    survives(client)
