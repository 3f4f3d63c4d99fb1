# SPDX-License-Identifier: Apache-2.0
"""How connections of HTTP/2 end: idle, of age, in a drain, without an answer to PING."""
import os
import re
import select
import time

from hg import *
from hg import h2_frames as f
from hg.h2 import H2Client
from hg.h2_websocket import H2WebSocket
from h2backends import one_exchange
from h2cases import HTTP2_BACKEND, SIMPLE, connect, form
from plays import acted, play
from timers import expect_fired

FRONTEND = SIMPLE + "frontendPolicies: {http: %s}\n"
MANIFESTS = os.path.join(os.path.dirname(__file__), "..", "data", "manifests")
BUFFERED = "headgate_relay_buffered_bytes"
GOAWAY_STEP_S = 1.0  # between the two GOAWAY of a graceful shutdown


IDLE = "config: {http2: {idleTimeout: %s}}\n"
# Whoever ends sooner than this has not waited for it.
LONG_DRAIN = "config: {connectionTerminationDeadline: 60s}\n"


def expect_polite(client, reason=f.NO_ERROR):
    """GOAWAY without an error, then FIN."""
    client.expect_connection_error(reason)
    eq(client.end, "fin", "end of the connection")


# ---- idle ------------------------------------------------------------------------------------------------


@test("a connection without streams is closed with GOAWAY after http2.idleTimeout, not http1IdleTimeout")
def idle():
    client = connect(FRONTEND % "{http1IdleTimeout: 200ms}" + IDLE % "1s")
    with within(1.0, "the close of a connection that never had a stream"):
        expect_polite(client)
    other = H2Client(client.gateway.port)
    eq(other.get("/get").status, 200, "status")
    with within(1.0, "the close after a stream"):
        expect_polite(other)
    expect_fired(client.gateway, "keepalive_idle", 2)


@test("the idle timeout of HTTP/2 does not fire while a stream is open, or the client sends PINGs",
      waits=True)
def busy():
    # Long enough for a machine that withholds the processor from either side for more than a second.
    client = connect(SIMPLE + IDLE % "2s")
    number = client.request("/delay/2.5")
    eq(client.response(number).status, 200, "status")
    begin = time.monotonic()
    while time.monotonic() < begin + 3:
        client.send_some(f.ping())
        client.poll()
        check(not client.end, "the connection ended while its client sent PINGs")
        time.sleep(0.05)
    with within(2.0, "the close after the last PING"):
        expect_polite(client)
    expect_fired(client.gateway, "keepalive_idle", 1)


@test("a connection whose client answers our PINGs is not idle; PINGs of its own are not needed", waits=True)
def answers():
    # Long enough for a machine that withholds the processor from either side for a second or two.
    client = connect(FRONTEND % "{http2KeepaliveInterval: 100ms}" + IDLE % "3s")
    begin = time.monotonic()
    while time.monotonic() < begin + 5:
        client.poll()
        check(not client.end, "the connection ended while its client answered PINGs")
        time.sleep(0.02)
    eq(client.get("/get").status, 200, "status")


@test("an unfinished header block does not push the idle timeout off, however slowly it grows")
def trickled_block():
    client = connect(SIMPLE + IDLE % "1s")
    client.send(f.headers(1, b"", end_headers=False))
    with within(1.0, "the end"):
        while not client.end:
            client.send_some(f.continuation(1, b"", end_headers=False))
            client.poll()
            time.sleep(0.1)
    expect_fired(client.gateway, "keepalive_idle", 1)


@test("a WebSocket without traffic keeps its connection from being idle")
def websocket_is_busy():
    client = connect(SIMPLE + IDLE % "500ms")
    socket = H2WebSocket(client)
    client.expect_silence(1.2)
    socket.echo("still here")
    socket.close()


@test("a request that crosses the GOAWAY of an idle close is answered, or certainly not begun")
def idle_race():
    client = connect(SIMPLE + IDLE % "300ms")
    for _ in range(6):
        other = H2Client(client.gateway.port)
        time.sleep(0.29)
        number = other.open_stream("GET")
        other.send_some(f.headers(number, f.block(other.fields(path="/get?count=race"))))
        stream = other.streams[number]
        other.wait(lambda s=stream, o=other: s.ended or o.end, what="an answer or the end")
        if not stream.ended:
            check(other.goaways and other.goaways[-1].number < number, f"GOAWAY covers it: {other.goaways}")
        other.close()


# ---- age -------------------------------------------------------------------------------------------------


@test("maxConnectionAge: GOAWAY 2^31-1, later GOAWAY with the last stream, and nothing is lost",
      waits=True, timeout=40)
def age():
    client = connect(SIMPLE + "config: {timeouts: {maxConnectionAge: 1s}}\n")
    begin = time.monotonic()
    long = client.request("/delay/4?body=10")
    client.expect_goaway(f.NO_ERROR)
    told = time.monotonic()
    check_time(told - begin, 1.0, "the first GOAWAY")
    eq(client.goaways[0].number, f.LARGEST_WINDOW, "last stream of the first GOAWAY")
    crossing = client.request("/get?count=crossing")  # sent before the client saw it, for all they know
    is_late = time.monotonic() - told > GOAWAY_STEP_S / 2
    client.wait(lambda: len(client.goaways) == 2, what="the second GOAWAY")
    check_time(time.monotonic() - told, GOAWAY_STEP_S, "the second GOAWAY")
    last = client.goaways[1].number
    if is_late and last == long:
        eq(client.origin.counter("crossing"), 0, "a request that came behind the second GOAWAY")
    else:
        eq(client.response(crossing).status, 200, "status of a request between the two")
        eq(last, crossing, "last stream of the second GOAWAY")
    eq(len(client.response(long).body), 10, "body of the request that was running all the time")
    client.expect_end()
    eq(client.end, "fin", "end")


@test("maxConnectionAge of a connection without streams: it closes at once")
def age_idle():
    client = connect(SIMPLE + "config: {timeouts: {maxConnectionAge: 1s}}\n")
    with within(1.0, "the close"):
        expect_polite(client)
    expect_fired(client.gateway, "max_age", 1)


# ---- drain -----------------------------------------------------------------------------------------------


@test("SIGTERM: GOAWAY in two steps, running streams are finished, new ones on the connection refused",
      waits=True)
def drain():
    client = connect(SIMPLE + LONG_DRAIN)
    number = client.request("/delay/4?body=10")
    wait_until(client.gateway.streams, 10, "the stream")
    client.gateway.terminate()
    client.expect_goaway(f.NO_ERROR)
    eq(client.goaways[0].number, f.LARGEST_WINDOW, "last stream of the first GOAWAY")
    client.wait(lambda: len(client.goaways) == 2, what="the second GOAWAY")
    eq(client.goaways[1].number, number, "last stream of the second GOAWAY")
    late = client.request("/get?count=late")
    eq(len(client.response(number).body), 10, "body")
    client.expect_end()
    check(not client.streams[late].message, "an answer to a request behind the GOAWAY")
    client.gateway.expect_exit()
    eq(client.origin.counter("late"), 0, "late requests at the backend")


@test("SIGTERM: connections without streams close at once with GOAWAY")
def drain_idle():
    gateway, _ = play(SIMPLE + LONG_DRAIN)
    clients = [H2Client(gateway.port) for _ in range(5)]
    clients[0].get("/get")
    gateway.terminate()
    for client in clients:
        expect_polite(client)
        client.close()
    gateway.expect_exit()


@test("SIGTERM in the middle of the preface: GOAWAY as soon as the connection is one of HTTP/2")
def drain_preface():
    gateway, _ = play(SIMPLE + LONG_DRAIN)
    client = H2Client(gateway.port, start=False)
    client.send(f.PREFACE[:10])
    silent = gateway.client()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 2, 10, "connections")
    gateway.terminate()
    silent.expect_fin()  # whoever has not begun by now was told
    client.send(f.PREFACE[10:], f.settings({}))
    expect_polite(client)
    client.close()
    gateway.expect_exit()


@test("SIGTERM: a large download is delivered whole")
def drain_download():
    client = connect(SIMPLE + LONG_DRAIN, {f.INITIAL_WINDOW_SIZE: 1 << 20})
    number, checker = client.request("/bytes/30000000"), PatternCheck()
    client.streams[number].sink = checker.feed
    client.response_head(number)
    client.gateway.terminate()
    client.response(number)
    eq(checker.received, 30000000, "bytes")
    client.gateway.expect_exit()


@test("streams that outlive the drain deadline are reset: drain_deadline")
def drain_deadline():
    client = connect(SIMPLE + "config: {connectionTerminationDeadline: 1s}\n")
    number = client.request("/sse?n=0&interval=100")
    client.response_head(number)
    with within(1.0, "the exit"):
        client.gateway.terminate()
        client.gateway.expect_exit()
    client.expect_end()
    check(not client.streams[number].ended, "the stream looks complete")
    eq(client.gateway.wait_log()["close_reason"], "drain_deadline", "close_reason")


@test("a drain tells HTTP/2 backends with GOAWAY")
def drain_backend():
    gateway, _, client, number, upstream, there = one_exchange(HTTP2_BACKEND + LONG_DRAIN)
    upstream.respond(there)
    eq(client.response(number).status, 200, "status")
    gateway.terminate()
    upstream.expect_end()
    check(all(last.code == f.NO_ERROR for last in upstream.goaways), f"{upstream.goaways}")
    gateway.expect_exit()


@test("a reload keeps connections of HTTP/2, and their next requests follow the new routes")
def reload():
    client = connect()
    origin = client.gateway.names["origin"]
    origin.pause()
    running = client.request("/bytes/7")
    wait_until(client.gateway.streams, 10, "the stream")
    client.gateway.reload(SIMPLE.replace("      backends:\n      - host: @origin@\n",
                                         "      policies: {directResponse: {status: 418}}\n"))
    eq(client.get("/get").status, 418, "status by the new configuration")
    origin.resume()
    eq(len(client.response(running).body), 7, "body of the request that was running")
    eq(client.goaways, [], "GOAWAY")


# ---- PINGs -----------------------------------------------------------------------------------------------


@test("http2KeepaliveInterval sends a PING at each interval, with streams and without", waits=True)
def keepalive():
    client = connect(FRONTEND % "{http2KeepaliveInterval: 500ms, http2KeepaliveTimeout: 20s}")
    begin = time.monotonic()
    client.wait(lambda: len(client.pings) >= 2, what="two PINGs without a stream")
    number = client.request("/delay/1.5")
    client.wait(lambda: len(client.pings) >= 4, what="two PINGs beside a stream")
    for count, at in enumerate(client.pings, 1):
        check_time(at - begin, 0.5 * count, f"PING {count}")
    eq(client.response(number).status, 200, "status")


@test("without http2KeepaliveInterval no PING is sent")
def no_keepalive():
    client = connect(FRONTEND % "{http2KeepaliveTimeout: 1s}")
    number = client.request("/delay/1.5")
    eq(client.response(number).status, 200, "status")
    eq(client.pings, [], "PINGs")


PINGS = FRONTEND % "{http2KeepaliveInterval: 500ms, http2KeepaliveTimeout: 500ms}"


@test("a client that does not answer is closed after http2KeepaliveTimeout: ping_timeout")
def dead_client():
    gateway, backend = acted(PINGS)
    client = H2Client(gateway.port, answers=False)
    with within(1.0, "the close"):
        client.request("/x")
        upstream = backend.accept()
        upstream.read_request()
        client.expect_end()
    upstream.expect_end()
    eq(gateway.wait_log()["close_reason"], "ping_timeout", "close_reason")
    expect_fired(gateway, "ping_timeout", 1)


@test("an answer to PING with other bytes is no answer, traffic without one neither")
def wrong_answers():
    gateway, _ = play(PINGS)
    client = H2Client(gateway.port, answers=False)
    with within(1.0, "the close"):
        while not client.end:
            client.send_some(f.ping(b"not this", ack=True))
            client.poll()
            time.sleep(0.1)
    expect_fired(gateway, "ping_timeout", 1)


@test("a client that vanished without a word is found by PING in time", needs=("netns",))
def vanished():
    net = Net()
    origin = Origin(netns=net.server)
    gateway = Gateway(FRONTEND % "{http2KeepaliveInterval: 1s, http2KeepaliveTimeout: 1s}", origin=origin,
                      netns=net.server, workers=1)
    client = H2Client((net.server.address, gateway.port), netns=net.client)
    number = client.request("/sse?n=0&interval=60000")
    client.response_head(number)
    with within(1.0, "that it is found"):
        net.drop("client")
        record = gateway.wait_log(timeout=20)
    eq(record["close_reason"], "ping_timeout", "close_reason")
    net.mend("client")


def page_files(**changes):
    """The page's files, its times as they are or changed."""
    texts = {}
    for name in ("gateway", "http2-keepalive"):
        with open(os.path.join(MANIFESTS, name + ".yaml"), encoding="utf-8") as file:
            texts[name + ".yaml"] = file.read()
    for name, value in changes.items():
        texts["http2-keepalive.yaml"], count = re.subn(rf"{name}: \w+", f"{name}: {value}",
                                                       texts["http2-keepalive.yaml"])
        eq(count, 1, f"{name} on the page")
    return texts


def played_page(interval_s, timeout_s, **changes):
    """PINGs at each interval, and the end of a client that answers none."""
    net = Net()
    Origin(netns=net.server, port=8000)
    gateway = Gateway(files=page_files(**changes), netns=net.server)
    target = net.server.address, 8080
    begin = time.monotonic()
    client, silent = H2Client(target, netns=net.client), H2Client(target, netns=net.client, answers=False)
    client.wait(lambda: len(client.pings) >= 2, 5 + 2 * interval_s, "two PINGs")
    for count, at in enumerate(client.pings, 1):
        check_time(at - begin, interval_s * count, f"PING {count}")
    eq(client.get("/nowhere").status, 404, "status on the connection")
    while not silent.end:
        client.poll()  # answers
        silent.poll()
        check(time.monotonic() - begin < 10 * (interval_s + timeout_s), "a silent client is not found")
        time.sleep(0.02)
    check_time(time.monotonic() - begin, interval_s + timeout_s, "the end of a silent client")
    expect_fired(gateway, "ping_timeout", 1)


@test("the page's http2-keepalive.yaml with shorter times: PINGs on the wire, the end of a silent client",
      waits=True, needs=("netns",), timeout=40)
def page():
    played_page(1.0, 2.0, http2KeepaliveInterval="1s", http2KeepaliveTimeout="2s")


@test("the page's http2-keepalive.yaml: PINGs on the wire every 5 s, a silent client lasts 35 s at most",
      waits=True, needs=("netns",), timeout=90, long=True)
def page_as_it_is():
    played_page(5.0, 30.0)


# ---- connections that end while a request is still handed on ---------------------------------------------


def begin_upload(client, backend, gateway):
    """A request of which a part waits in the gateway for a backend that reads nothing: (stream, upstream,
    bytes)."""
    number = client.raw_request(form(method="POST", path="/upload"), end=False)
    upstream = backend.accept()
    stream, quiet_since, sent = client.streams[number], time.monotonic(), 0
    held = gateway.metrics()(BUFFERED)
    while time.monotonic() < quiet_since + 0.5 or gateway.metrics()(BUFFERED) <= held:
        client.poll()
        if min(client.send_window, stream.send_window) < 20000:
            select.select([client.raw.socket], [], [], 0.05)
            continue
        client.send(f.data(number, bytes(16384)))
        client.send_window -= 16384
        stream.send_window -= 16384
        sent += 16384
        quiet_since = time.monotonic()
    return number, upstream, sent


def answer(client, number, upstream):
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    eq(client.response(number).body, b"ok", "body")


def answered_upload():
    """(gateway, client, connection at the backend, bytes): a complete request of which the backend has
    answered the begin and read nothing, so that the end waits in the gateway."""
    gateway, backend = acted()
    client = H2Client(gateway.port)
    number, upstream, sent = begin_upload(client, backend, gateway)
    client.send(f.data(number, b"end", True))
    answer(client, number, upstream)
    eq(len(gateway.streams()), 1, "streams")
    return gateway, client, upstream, sent + 3


@test("a client that goes with a complete response takes along what of its request the backend had not read")
def leaves_an_upload():
    gateway, client, _, _ = answered_upload()
    client.raw.rst()
    wait_until(lambda: not gateway.streams(), 10, "the end of the stream")
    eq(gateway.wait_log()["http.status"], "200", "status")


@test("SIGTERM: the rest of an upload whose response is complete still reaches the backend")
def drain_upload():
    gateway, client, upstream, sent = answered_upload()
    gateway.terminate()
    client.wait(lambda: len(client.goaways) == 2, what="the second GOAWAY")
    eq(len(upstream.read_request().body), sent, "bytes at the backend")
    expect_polite(client)
    eq(gateway.wait_log()["close_reason"], "ok", "close_reason")
    client.close()
    upstream.close()
    gateway.expect_exit()


@test("complete requests that no backend reads are at most twice the limit of streams", timeout=40)
def complete_uploads():
    gateway, backend = acted(SIMPLE + "config: {http2: {maxConcurrentStreams: 2}}\n")
    client = H2Client(gateway.port)
    for _ in range(4):
        number, upstream, _ = begin_upload(client, backend, gateway)
        client.send(f.data(number, b"end", True))
        answer(client, number, upstream)
    eq(len(gateway.streams()), 4, "streams")
    client.expect_rst(client.request("/one-too-many"), f.REFUSED_STREAM)
    backend.expect_no_connection(0)
    upstream.rst()
    wait_until(lambda: len(gateway.streams()) == 3, 10, "the end of one")
    number = client.request("/again")
    answer(client, number, backend.accept())
    client.raw.rst()


@test("a client that has its answer and takes back the rest of its request ends it at the backend")
def takes_back():
    gateway, backend = acted()
    client = H2Client(gateway.port)
    number, upstream, _ = begin_upload(client, backend, gateway)
    answer(client, number, upstream)
    eq(len(gateway.streams()), 1, "streams")
    client.reset(number)
    wait_until(lambda: not gateway.streams(), 10, "the end of the stream")
    eq(gateway.wait_log()["close_reason"], "ok", "close_reason")
    client.ping()
