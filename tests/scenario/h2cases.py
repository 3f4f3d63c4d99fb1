# SPDX-License-Identifier: Apache-2.0
"""What the plays about RFC 9113 have in common: clients, and what a broken rule has to lead to.

The gateways of connect() and its relatives are the same for all claims of a table that ask for the same
configuration. Log and counters then have what earlier claims left: a claim that looks there asks by a path or
key of its own, unused().
"""
import itertools
import select

from hg import Failure, Gateway, check, eq
from hg.framework import once
from hg.h2 import H2Client, fetch2
from hg.h2_frames import PROTOCOL_ERROR, code_name
from hg.origin import Blackhole
from plays import SIMPLE, acted, play

# RFC 9113 5.4 lets an endpoint treat a stream error as a connection error. libnghttp2 does in these cases.
STRICTER_THAN_A_STREAM_ERROR = "libnghttp2 ends the connection where RFC 9113 asks for a stream error only"
# h2spec 5.1/8, 5.1/9, 5.1/11, 5.1/12 and 5.1.1/2, instead of STREAM_CLOSED or PROTOCOL_ERROR.
# RFC 9113 6.9.2 asks for a connection error.
RESETS_STREAMS_ON_SETTINGS_OVERFLOW = "libnghttp2 resets the streams whose window overflows by SETTINGS"

HTTP2_BACKEND = SIMPLE.replace("@origin@", "@origin@\n        policies: {http: {version: HTTP/2.0}}")
FORM = [(":method", "GET"), (":scheme", "http"), (":path", "/get"), (":authority", "x")]


def form(*extra, without=(), method="GET", path="/get", authority="x"):
    """A good header section, changed: extra fields behind it, some left out."""
    values = {":method": method, ":path": path, ":authority": authority}
    return [(name, values.get(name, value)) for name, value in FORM if name not in without] + list(extra)


_numbers = itertools.count(1)


def unused(word):
    """A word that no other claim has: a path or the key of a counter."""
    return f"{word}{next(_numbers)}"


def connected(stage, values=None):
    """A client of (gateway, backend): client.gateway, client.origin."""
    client = H2Client(stage[0].port, values)
    client.gateway, client.origin = stage
    return client


def connect(config=SIMPLE, values=None, **options):
    """A client of a gateway in front of httpbin."""
    return connected(once((connect, config, *options), lambda: play(config, **options)), values)


def connect_unserved(config=SIMPLE):
    """The same in front of a backend that must not hear of it: client.origin.expect_no_connection()."""
    return connected(once((connect_unserved, config), lambda: acted(config)))


def connect_acted(config=SIMPLE, values=None):
    """The same in front of a backend that the test plays: client.origin.accept()."""
    gateway, backend = once((connect_acted, config), lambda: acted(config))
    while select.select([backend.socket], [], [], 0)[0]:
        backend.socket.accept()[0].close()  # an earlier claim has left it
    return connected((gateway, backend), values)


def connect_stuck(config=SIMPLE, values=None):
    """The same in front of a backend that no connect reaches: nobody consumes what a request brings."""
    def make():
        hole = Blackhole()
        return Gateway(config, origin=hole, workers=1, checked=False), hole
    return connected(once((connect_stuck, config), make), values)


def fields_of(response):
    """{name in lower case: value} of the request, by the backend's JSON."""
    return {name.lower(): value for name, value in response.json()["headers"].items()}


def again(client):
    """Another connection to the same gateway."""
    return connected((client.gateway, client.origin))


def each_fails(client, cases, *codes):
    """Each of {name: bytes or a function that gets a client} is a connection error, and nothing but that."""
    for name, attack in cases.items():
        victim = again(client)
        try:
            if callable(attack):
                attack(victim)
            else:
                victim.send(attack)
            victim.expect_connection_error(*codes)
        except Failure as error:
            raise Failure(f"{name}: {error}") from None
    survives(client)


def survives(client):
    """The gateway, and this connection, go on as if nothing had happened."""
    eq(client.get("/status/204").status, 204, "status of another request on the same connection")
    eq(fetch2(client.gateway.port, "/status/204").status, 204, "status on another connection")


def outcome(client, number):
    """("status", 400) or ("reset", code) of a stream."""
    stream = client.streams[number]
    client.wait(lambda: stream.ended or stream.rst is not None or stream.message is not None,
                what=f"an outcome of stream {number}")
    if stream.message is not None:
        return "status", stream.message.status
    return "reset", stream.rst


def expect_malformed(client, number, what):
    """RFC 9113 8.1.1: a stream error PROTOCOL_ERROR, or a 400 in front of it."""
    kind, value = outcome(client, number)
    check((kind, value) in (("reset", PROTOCOL_ERROR), ("status", 400)),
          f"{what}: {code_name(value) if kind == 'reset' else value}, want PROTOCOL_ERROR or 400")


def each_malformed(cases):
    """Each of {name: fields} is malformed; the backend hears of none, and the connection goes on."""
    client = connect_unserved()
    for name, fields in cases.items():
        expect_malformed(client, client.raw_request(fields), name)
    client.ping()
    client.origin.expect_no_connection(0)


def expect_refused(client, number, *codes):
    """A stream error with one of these codes, or (STRICTER_THAN_A_STREAM_ERROR) a connection error."""
    stream = client.streams[number]
    client.wait(lambda: stream.rst is not None or client.goaways, what=f"an error of stream {number}")
    got = client.goaways[0].code if client.goaways else stream.rst
    check(got in codes, f"{code_name(got)}, want {' or '.join(map(code_name, codes))}")
