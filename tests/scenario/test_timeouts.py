# SPDX-License-Identifier: Apache-2.0
"""Deadlines of a request: each fires at its time, says its name everywhere, and cuts nothing else."""
import contextlib
import os
import re
import time

from hg import *
from hg.framework import binary, check_time
from hg.origin import Blackhole
from plays import acted, play
from timers import TIMED_ROUTE, expect_fired, expect_reason, expect_timeout

TCP = """
config: {timeouts: %(timeouts)s}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: @origin@
"""


def routed(policies="{}", backend="{}", timeouts="{}"):
    return TIMED_ROUTE % {"policies": policies, "backend": backend, "timeouts": timeouts}


# ---- requestTimeout --------------------------------------------------------------------------------------


@test("requestTimeout ends the wait for a response head with 504 request timeout")
def request_timeout():
    gateway, _ = play(routed("{timeout: {requestTimeout: 500ms}}"))
    client = gateway.client()
    with within(0.5, "the answer"):
        answer = client.get("/delay/60")
    expect_timeout(answer, "request timeout", "request_timeout")
    expect_reason(gateway, "request_timeout", 504, 0.5, "request timeout")
    expect_fired(gateway, "request_timeout")
    gateway.reload(routed())
    eq(client.get("/get").status, 200, "the next request on the same connection")


@test("requestTimeout counts all tries and pauses together")
def request_timeout_over_tries():
    # 255 pauses of 200 ms would last for 51 s, and then the answer would be 503.
    policies = "{timeout: {requestTimeout: 1s}, retry: {attempts: 255, backoff: 200ms, codes: [503]}}"
    gateway, origin = play(routed(policies))
    with within(1.0, "the answer"):
        answer = gateway.fetch("/status/503?count=k")
    expect_timeout(answer, "request timeout", "request_timeout")
    tries = origin.counter("k")
    record = expect_reason(gateway, "request_timeout", 504)
    # One attempt at the start, and one after each pause.
    check(1 <= tries <= 1 + record.duration_ms / 200, f"{tries} tries within {record.duration_ms} ms")
    # It ends within a pause, before the attempt that is counted already, or within an attempt.
    attempt = int(record.get("retry.attempt", 0))
    check(attempt in (tries - 1, tries), f"retry.attempt {attempt} after {tries} tries")
    expect_fired(gateway, "request_timeout")


@test("requestTimeout never cuts a body that streams", waits=True)
def request_timeout_spares_bodies():
    gateway, _ = play(routed("{timeout: {requestTimeout: 1500ms, backendRequestTimeout: 1500ms}}"))
    # A byte at the begin, and one behind each of nine pauses.
    with within(2.25, "the body"):
        drip = gateway.client().request("GET", "/drip?duration=2.5&numbytes=10")
        events = gateway.client().request("GET", "/sse?n=11&interval=250")
        answer = drip.response()
    eq((answer.status, answer.body), (200, b"*" * 10), "status and body")
    eq(events.response().text.count("data: "), 11, "events")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("a slow upload counts: requestTimeout starts with the complete head")
def request_timeout_and_upload():
    gateway, _ = play(routed("{timeout: {requestTimeout: 400ms}}"))
    client = gateway.client()
    client.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "some")
    with within(0.4, "the answer"):
        answer = client.response()
    expect_timeout(answer, "request timeout", "request_timeout")
    client.send("GET /")  # the rest of the body would come: the connection cannot be used again
    client.expect_end()
    expect_reason(gateway, "request_timeout", 504)


@test("an abandoned backend learns from a reset that nobody waits any more")
def request_timeout_resets_backend():
    gateway, backend = acted(routed("{timeout: {requestTimeout: 1s}}"))
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    eq(client.response().status, 504, "status")
    upstream.expect_rst()


# ---- backendRequestTimeout, http.requestTimeout ----------------------------------------------------------


@test("backendRequestTimeout ends one try with 504 upstream call timeout, also without a retry policy")
def per_try_timeout():
    gateway, _ = play(routed("{timeout: {backendRequestTimeout: 300ms}}"))
    with within(0.3, "the answer"):
        answer = gateway.fetch("/delay/60")
    expect_timeout(answer, "upstream call timeout", "per_try_timeout")
    expect_reason(gateway, "per_try_timeout", 504, 0.3, "upstream call timeout")
    expect_fired(gateway, "per_try_timeout")


@test("an attempt that exceeds backendRequestTimeout is repeated, and the next one has the whole time again",
      waits=True)
def per_try_retried():
    policies = "{timeout: {backendRequestTimeout: 1s}, retry: {attempts: 3, codes: []}}"
    gateway, origin = play(routed(policies))
    with within(1.0, "an attempt that times out and a good one"):
        answer = gateway.fetch("/unstable?key=a&fail=1&mode=delay&delay=60")
    eq((answer.status, answer.json()["attempt"]), (200, 2), "status and attempt")
    eq(gateway.wait_log()["retry.attempt"], "1", "retry.attempt")
    gateway.reload(routed(policies.replace("1s", "300ms")))
    with within(1.2, "four attempts that all time out"):
        answer = gateway.fetch("/delay/60?count=b")
    expect_timeout(answer, "upstream call timeout", "per_try_timeout")
    eq(origin.counter("b"), 4, "tries")


@test("http.requestTimeout of a backend replaces backendRequestTimeout, longer or shorter")
def backend_request_timeout():
    for route, backend, seconds in (("100ms", "1s", 1.0), ("60s", "300ms", 0.3)):
        gateway, _ = play(routed(f"{{timeout: {{backendRequestTimeout: {route}}}}}",
                                 f"{{http: {{requestTimeout: {backend}}}}}"))
        with within(seconds, f"route {route}, backend {backend}"):
            answer = gateway.fetch("/delay/60")
        expect_timeout(answer, "upstream call timeout", "per_try_timeout")


@test("of requestTimeout and backendRequestTimeout the one that is due first fires")
def nearest_first():
    policies = "{timeout: {requestTimeout: 1500ms, backendRequestTimeout: 1s}, " \
               "retry: {attempts: 5, codes: []}}"
    gateway, _ = play(routed(policies))
    with within(1.5, "the answer"):
        answer = gateway.fetch("/delay/60")
    expect_timeout(answer, "request timeout", "request_timeout")
    eq(gateway.wait_log()["retry.attempt"], "1", "retry.attempt")


@test("0s switches a timeout off")
def zero_is_off():
    policies = "{timeout: {requestTimeout: 0s, backendRequestTimeout: 0s}}"
    gateway, _ = play(routed(policies, "{http: {requestTimeout: 0s}}"))
    eq(gateway.fetch("/delay/0.5").status, 200, "status")
    gateway, _ = play(routed("{timeout: {backendRequestTimeout: 200ms}}", "{http: {requestTimeout: 0s}}"))
    eq(gateway.fetch("/delay/0.6").status, 200, "a backend's 0s replaces the route's 200ms")


# ---- connectTimeout --------------------------------------------------------------------------------------


@test("connectTimeout ends a connect that nobody answers, as {secs, nanos} and as a string")
def connect_timeout():
    for written, seconds in (("{secs: 0, nanos: 300000000}", 0.3), ("400ms", 0.4), ("1s", 1.0)):
        hole = Blackhole()
        gateway = Gateway(routed("{}", f"{{tcp: {{connectTimeout: {written}, keepalives: {{}}}}}}"),
                          origin=hole)
        with within(seconds, f"connectTimeout {written}"):
            answer = gateway.fetch("/get")
        expect_timeout(answer, "upstream call timeout", "connect_timeout")
        expect_reason(gateway, "connect_timeout", 504, seconds, "upstream call timeout")
        expect_fired(gateway, "connect_timeout")
        eq(gateway.metrics()("headgate_upstream_connect_failures_total"), 1, "connect failures")


@test("config.backend.connectTimeout applies where the backend says nothing; the default is 10s")
def connect_timeout_default():
    hole = Blackhole()
    text = routed().replace("config: {", "config: {backend: {connectTimeout: 300ms}, ")
    gateway = Gateway(text, origin=hole)
    with within(0.3, "the default connectTimeout", before=8):  # without it this would take 10 s
        eq(gateway.fetch("/get").status, 504, "status")
    expect_reason(gateway, "connect_timeout", 504)
    gateway, _ = play(routed())
    eq(gateway.config_dump()["config"]["backend"]["connectTimeout"], "10s", "connectTimeout in the dump")


def with_hosts(text):
    """From now on in this test, headgate sees this as /etc/hosts."""
    hosts, script = os.path.join(tmpdir(), "hosts"), os.path.join(tmpdir(), "headgate")
    inner = f"mount --bind {hosts} /etc/hosts && exec {binary('headgate')} \"$@\""
    for path, content in ((hosts, text), (script, f"#!/bin/sh\nexec unshare -m sh -c '{inner}' - \"$@\"\n")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    os.chmod(script, 0o755)
    os.environ["HEADGATE_BIN"] = script


@test("connectTimeout covers all addresses of a name, and a dead first one leaves time for the second",
      waits=True, needs=("netns", "nft"))
def connect_timeout_all_addresses():
    net = Net()
    with_hosts("127.0.0.7 two.example\n127.0.0.8 two.example\n")
    text = routed("%s", "{tcp: {connectTimeout: 2s, keepalives: {}}}").replace("@origin@", "two.example:8000")
    gateway = Gateway(text % "{}", netns=net.server, workers=1)
    backend = Backend("127.0.0.8", 8000, netns=net.server)
    net.server.ok("nft",
                  "add table inet dead; add chain inet dead in { type filter hook input priority 0; }; "
                         "add rule inet dead in ip daddr 127.0.0.7 drop")
    client = gateway.client().request("GET", "/x")
    with within(1.0, "half of the time for the first address"):
        upstream = backend.accept()
    upstream.read_request()
    upstream.respond(200, {"Connection": "close"}, b"second")
    eq(client.response().body, b"second", "body")
    net.server.ok("nft", "add rule inet dead in ip daddr 127.0.0.8 drop")
    # If the second address had its 2 s as well, requestTimeout would end it.
    gateway.reload(text % "{timeout: {requestTimeout: 2500ms}}")
    with within(2.0, "both addresses together"):
        answer = gateway.client().get("/y")
    expect_timeout(answer, "upstream call timeout", "connect_timeout")
    expect_fired(gateway, "connect_timeout")


@test("a connect that times out is repeated by a retry policy")
def connect_timeout_retried():
    hole = Blackhole()
    gateway = Gateway(routed("{retry: {attempts: 2, codes: []}}",
                             "{tcp: {connectTimeout: 200ms, keepalives: {}}}"), origin=hole)
    with within(0.6, "three connects"):
        eq(gateway.fetch("/get").status, 504, "status")
    eq(gateway.wait_log()["retry.attempt"], "2", "retry.attempt")


@test("backendRequestTimeout includes the connect, requestTimeout too")
def connect_within_try():
    for policy, body, reason in (("backendRequestTimeout", "upstream call timeout", "per_try_timeout"),
                                 ("requestTimeout", "request timeout", "request_timeout")):
        hole = Blackhole()
        gateway = Gateway(routed(f"{{timeout: {{{policy}: 300ms}}}}"), origin=hole)
        with within(0.3, policy):
            answer = gateway.fetch("/get")
        expect_timeout(answer, body, reason)
        expect_fired(gateway, reason)


@test("a TCP route whose connect times out is closed after connectTimeout")
def connect_timeout_tcp():
    hole = Blackhole()
    text = TCP % {"timeouts": "{}"} + "        policies: {tcp: {connectTimeout: 300ms, keepalives: {}}}\n"
    gateway = Gateway(text, origin=hole)
    with within(0.3, "the close"):
        gateway.client().expect_end()
    gateway.wait_log(lambda r: r["close_reason"] == "connect_timeout")
    expect_fired(gateway, "connect_timeout")


# ---- streamIdle ------------------------------------------------------------------------------------------


@test("streamIdle ends a body in which nothing moves")
def stream_idle_response():
    gateway, backend = acted(routed(timeouts="{streamIdle: 400ms}"))
    client = gateway.client().request("GET", "/x")
    upstream = backend.accept()
    upstream.read_request()
    with within(0.4, "the end"):
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "begin")
        eq(client.response_head().status, 200, "status")
        eq(client.expect_end()[1], b"begin", "what came of the body")
    upstream.expect_end()
    expect_reason(gateway, "stream_idle", 200, 0.4)
    expect_fired(gateway, "stream_idle")


@test("streamIdle starts anew with every byte, and never runs while the backend thinks", waits=True)
def stream_idle_progress():
    gateway, _ = play(routed(timeouts="{streamIdle: 1s}"))
    eq(gateway.fetch("/drip?duration=2.4&numbytes=12").status, 200, "a byte every 200 ms")
    eq(gateway.fetch("/delay/1.5").status, 200, "a response head after 1.5 s")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("an upload that stalls gets 408 after clientBodyStall, no slow one, and none that is whole",
      waits=True)
def body_stall():
    gateway, _ = play(routed(timeouts="{clientBodyStall: 1s}"))
    client = gateway.client()
    with within(1.0, "the answer"):
        client.send("POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "half")
        eq(client.response().status, 408, "status")
    expect_fired(gateway, "body_stall")
    expect_reason(gateway, "body_stall", 408, error="request body stalled")
    eq(gateway.fetch("/delay/1.5", method="POST", body=b"whole").status, 200, "a backend that thinks")
    slow = gateway.client()
    slow.send("POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n")
    for byte in "so slow":
        slow.expect_silence(0.2)
        slow.send(byte)
    eq(slow.response().status, 200, "a body that comes slowly")
    expect_fired(gateway, "body_stall")


@test("once the response has begun clientBodyStall has no say: both sides may be silent as long as "
      "streamIdle lets them", waits=True)
def body_stall_behind_head():
    def begin(client):
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "half")
        upstream = backend.accept()
        upstream.request_head()
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        eq(client.response_head().status, 200, "status")
        return upstream
    gateway, backend = acted(routed(timeouts="{clientBodyStall: 600ms}"))
    client = gateway.client()
    upstream = begin(client)
    client.expect_silence(1.5)
    client.send(" more ")
    eq(upstream.read(10), b"half more ", "the body, behind a pause")
    upstream.send("4\r\ndone\r\n0\r\n\r\n")
    eq(client.read_until(b"done\r\n0\r\n\r\n")[-9:], b"done\r\n0\r\n\r\n"[-9:], "the answer")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")
    gateway, backend = acted(routed(timeouts="{clientBodyStall: 600ms, streamIdle: 1200ms}"))
    client = gateway.client()
    with within(1.2, "streamIdle"):
        begin(client)
        client.expect_end()
    eq(gateway.wait_log()["close_reason"], "stream_idle", "close_reason")


def unread(gateway, path):
    client = gateway.client(rcvbuf=4096)
    client.request("GET", path)
    return client


@test("a client that takes nothing of its response ends by clientReadStall, whatever lane carries it",
      waits=True)
def read_stall():
    splices = ["{mode: 'off'}", "{mode: 'off', lanes: [pipe]}", "{adaptive: false, minBodyBytes: 0}"]
    for splice in splices:
        config = routed(timeouts="{clientReadStall: 1s}")
        config = config.replace("config: {", "config: {splice: " + splice + ", ")
        gateway, origin = play(config)
        client = unread(gateway, "/bytes/100000000")
        expect_reason(gateway, "read_stall", 200)
        expect_fired(gateway, "read_stall")
        wait_until(lambda: not origin.stats()["open"] - 1, 5, "the end of the connection to the backend")
        client.expect_rst()


@test("clientReadStall cuts no slow reader and no quiet stream of events", waits=True)
def read_stall_innocent():
    gateway, backend = acted(routed(timeouts="{clientReadStall: 2s}"))
    quiet = gateway.client().request("GET", "/events")
    events = backend.accept()
    events.request_head()
    events.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nfirst\r\n")
    slow = unread(gateway, "/")
    source = backend.accept()
    source.request_head()
    source.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    source.send_until_blocked(bytes(1 << 16), quiet_s=0.3, limit=90000000)
    for _ in range(12):  # longer than clientReadStall
        time.sleep(0.35)
        slow.read_some(1 << 16)
    events.send("6\r\nsecond\r\n0\r\n\r\n")
    answer = quiet.response()
    eq((answer.status, answer.text), (200, "firstsecond"), "the events")
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("a backend that reads an upload no further is not blamed on the client", waits=True)
def body_stall_backend():
    gateway, backend = acted(routed(timeouts="{clientBodyStall: 1s}"))
    client = gateway.client()
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    backend.accept()
    client.send_until_blocked(bytes(65536), quiet_s=0.1)
    client.expect_silence(2)
    eq(gateway.metrics()("headgate_timer_fired_total"), 0, "timers that fired")


@test("an upload that stalls gets 408 after streamIdle, one that the backend does not read gets 504")
def stream_idle_upload():
    gateway, _ = play(routed(timeouts="{streamIdle: 400ms}"))
    client = gateway.client()
    with within(0.4, "the answer"):
        client.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "some")
        eq(client.response().status, 408, "status")
    expect_reason(gateway, "stream_idle", 408)
    expect_fired(gateway, "stream_idle")

    gateway, backend = acted(routed(timeouts="{streamIdle: 1s}"))
    client = gateway.client()
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    backend.accept()
    # Buffers of the kernel that grow may take some more of it every now and then, up to the end.
    with contextlib.suppress(ConnectionError):
        client.send_until_answered(bytes(65536))
    eq(client.response().status, 504, "status")


# ---- tunnels ---------------------------------------------------------------------------------------------


@test("tunnelIdle ends a tunnel in which nothing moves; a byte in either direction starts it anew",
      waits=True)
def tunnel_idle():
    origin = Origin(tcp_echo=True)
    gateway = Gateway(TCP % {"timeouts": "{tunnelIdle: 1s}"}, origin=origin)
    client = gateway.client()
    for _ in range(5):
        client.expect_silence(0.25)
        client.send("x")
        eq(client.read(1), b"x", "echo")
    with within(1.0, "the end"):
        eq(client.expect_end(), ("fin", b""), "the end")
    gateway.wait_log(lambda r: r["close_reason"] == "tunnel_idle")
    expect_fired(gateway, "tunnel_idle")


@test("after an upgrade tunnelIdle takes over from requestTimeout and streamIdle")
def tunnel_idle_websocket():
    gateway, _ = play(routed("{timeout: {requestTimeout: 1s, backendRequestTimeout: 1s}}",
                             timeouts="{streamIdle: 1s, tunnelIdle: 1500ms}"))
    socket = WebSocket(gateway.port, "/ws")
    socket.echo(b"hello")
    with within(1.5, "the end"):
        socket.raw.expect_end()
    expect_reason(gateway, "tunnel_idle", 101)
    expect_fired(gateway, "tunnel_idle")


@test("halfClosed ends a tunnel whose other side keeps quiet after a FIN", waits=True)
def half_closed():
    gateway, backend = acted(TCP % {"timeouts": "{halfClosed: 1s}"})
    client = gateway.client().send("question")
    upstream = backend.accept()
    eq(upstream.read(8), b"question", "what the backend got")
    upstream.expect_silence(1.2)  # open on both sides: the timer does not run
    client.fin()
    upstream.expect_fin()
    client.expect_silence(0.4)
    with within(1.0, "the end"):
        upstream.send("late")  # progress starts it anew
        eq(client.expect_end()[1], b"late", "what the client got")
    gateway.wait_log(lambda r: r["close_reason"] == "half_closed")
    expect_fired(gateway, "half_closed")


@test("without timers of ours a tunnel stays open", timeout=10)
def tunnel_without_timers():
    gateway, _ = play(TCP % {"timeouts": "{}"}, origin_options={"tcp_echo": True})
    client = gateway.client().send("x")
    eq(client.read(1), b"x", "echo")
    client.expect_silence(1.5)
    eq(client.send("y").read(1), b"y", "echo after a pause")


# ---- the ClientHello and the end -------------------------------------------------------------------------


@test("a TLS listener closes a connection without a complete ClientHello after 15 s", waits=True, timeout=60)
def client_hello_timeout():
    gateway, _ = play("""
binds:
- port: @port@
  listeners:
  - protocol: TLS
    tcpRoutes:
    - backends: [{host: @origin@}]
""")
    with within(15.0, "the close"):
        silent, slow = gateway.client(timeout=30), gateway.client(timeout=30)
        slow.send(b"\x16\x03\x01\x02\x00\x01\x00")
        silent.expect_end()
        slow.expect_end()
    expect_fired(gateway, "client_hello_timeout", 2)


@test("connectionTerminationDeadline ends what still runs after SIGTERM; what completes in time is not cut",
      waits=True)
def drain_deadline():
    gateway, _ = play(routed().replace("config: {", "config: {connectionTerminationDeadline: 2s, "))
    long_one = gateway.client().request("GET", "/sse?n=0&interval=100")
    eq(long_one.response_head().status, 200, "status of the endless one")
    short_one = gateway.client().request("GET", "/delay/1")
    wait_until(lambda: len(gateway.streams()) == 2, 5, "both requests in flight")
    with within(2.0, "the exit"):
        gateway.terminate()
        eq(short_one.response().status, 200, "what completes within the deadline")
        gateway.expect_exit()
    record = gateway.wait_log(lambda r: r["close_reason"] == "drain_deadline")
    check_time(record.duration_ms / 1000, 2.0, "the endless one, by the access log,")
    long_one.expect_end()
    check(re.search(r"drain deadline passed with 1 client connection", gateway.stderr), gateway.stderr)


@test("/trace says which timer fired, and that a connection to a backend failed")
def which_timer():
    origin = Origin()
    gateway = Gateway(TIMED_ROUTE % {"timeouts": "{}", "policies": "{timeout: {requestTimeout: 300ms}}",
                               "backend": "{}"}, origin=origin, workers=1)
    eq(gateway.fetch("/delay/60").status, 504, "status")
    check("timer deadline=request_timeout" in gateway.admin("/trace").text, "the timer")
    check("reload generation=1" in gateway.admin("/trace").text, "the configuration")
    origin.stop()
    eq(gateway.fetch("/get").status, 503, "status")
    check("upstream_failed errno=ECONNREFUSED" in gateway.admin("/trace").text, "the failed connection")
