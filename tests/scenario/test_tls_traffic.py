# SPDX-License-Identifier: Apache-2.0
"""What travels inside TLS of a client is what travels without: messages, tunnels, deadlines, log."""
import socket
import ssl
import time

from hg import *
from hg.h2 import H2Client
from hg.tls import Tls
from hg.tls_wire import ALERT, DATA, Forge
from splice import in_background
from test_grpc import Client as GrpcClient
from test_grpc import Server as GrpcServer
from test_grpc import grpc
from tlsplays import NAME, ONE, TUNNEL, Stage


def pieces(connection, size):
    """As they come, until there are so many bytes."""
    while size:
        data = connection.read_some(size)
        check(data, f"it ended {size} bytes too early")
        size -= len(data)
        yield data


def large():
    return (100 if not is_asan() else 20) << 20


@test("requests in one flight are answered in order over TLS, also when they share a record or are cut into "
      "many")
def pipelining():
    stage = Stage()
    sizes = [0, 1, 100, 20000, 70000, 3, 16384, 16385]
    flight = b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: one.example\r\n\r\n" % size for size in sizes)
    for version in ("1.2", "1.3"):
        client = stage.client(version=version)
        client.send(flight)
        for size in sizes:
            verify(client.response().body, size)
        client.send(*(flight[at:at + 7] for at in range(0, len(flight), 7)))
        for size in sizes:
            verify(client.response().body, size)


@test("HTTP/2 over TLS: 100 streams at once, uploads and downloads whole, log and X-Forwarded-Proto as they "
      "should be", timeout=60)
def http2():
    stage = Stage()
    client = H2Client(stage.client(alpn=["h2"]), {4: 1 << 20})
    streams = [client.request(f"/bytes/{number * 997}") for number in range(100)]
    for number, stream in enumerate(streams):
        verify(client.response(stream).body, number * 997)
    size = large() // 10
    answer = client.response(client.request("/upload", "POST", body=pattern(size)), 30).json()
    eq((answer["length"], answer["is_pattern"]), (size, True), "the upload")
    told = client.get("/headers").json()["headers"]
    eq(told["X-Forwarded-Proto"], "https", "X-Forwarded-Proto")
    record = stage.gateway.wait_log(lambda r: r["http.path"] == "/headers")
    eq((record["http.version"], record["tls.sni"], record["tls.version"], record["listener"]),
       ("HTTP/2.0", NAME, "TLSv1.3", "one"), "the log")


@test("bodies of 100 MiB go up and down at once over one HTTP/2 connection of TLS", timeout=120, heavy=True)
def http2_large():
    stage = Stage()
    size = large()
    status, out, error = stage.curl(f"/bytes/{size}", "--http2", "-o", "/dev/null", "-w",
                                    "%{http_version} %{size_download}")
    eq((status, out), (0, f"2 {size}"), error)
    client = H2Client(stage.client(alpn=["h2"]), {4: 1 << 20})
    client.grant(0, 1 << 24)
    stream = client.request("/echo", "POST", end=False)
    piece = pattern(1 << 20)
    for _ in range(size >> 22):
        client.send_data(stream, piece)
    client.send_data(stream, b"", True)
    eq(len(client.response(stream, 30).body), size >> 22 << 20, "bytes that came back")


@test("a client that reads slowly over TLS holds back the backend, and others are not held up", timeout=60)
def slow_reader():
    stage = Stage()
    slow = stage.client(rcvbuf=8192)
    slow.request("GET", f"/bytes/{64 << 20}", host=NAME)
    head = slow.response_head()
    time.sleep(1.0)
    before = stage.gateway.rss_bytes()
    for _ in range(20):
        eq(stage.client().get("/get", host=NAME).status, 200, "another client")
    check(stage.gateway.rss_bytes() - before < 24 << 20, "the body is held in memory")
    verify(slow.body(head), 64 << 20)


@test("events of server-sent events come one by one over TLS, in HTTP/1.1 and HTTP/2")
def events():
    stage = Stage()
    client = stage.client()
    client.request("GET", "/sse?n=2&interval=60000", host=NAME)
    with within(0, "the first event", before=60):
        client.response_head()
        client.read_until(b"data: 0")
    client.close()
    client = stage.client()
    client.request("GET", "/sse?n=4&interval=100", host=NAME)
    client.response_head()
    for number in range(4):
        client.read_until(b"data: %d" % number)
    status, out, error = stage.curl("/sse?n=3&interval=50", "--http2", "-N")
    eq((status, out.count("data:")), (0, 3), error)


@test("a WebSocket over TLS carries messages of every size both ways, and is closed cleanly")
def websocket():
    stage = Stage()
    ws = WebSocket(stage.client(), host=NAME)
    for size in (0, 1, 125, 126, 16384, 70000, 1 << 20):
        task = in_background(ws.send, pattern(size))
        eq(ws.receive(), pattern(size), f"a message of {size} bytes")
        task.result()
    ws.close()


@test("gRPC of grpcio over TLS: calls of each kind", needs=("module:grpc",))
def grpc_calls():
    server = GrpcServer()
    stage = Stage(backend=server)
    client = GrpcClient(stage.port)
    client.channel.close()
    with open(stage.authority.cert, "rb") as file:
        trusted = grpc.ssl_channel_credentials(file.read())
    client.channel = grpc.secure_channel(f"127.0.0.1:{stage.port}", trusted, options=(
        ("grpc.ssl_target_name_override", NAME), ("grpc.default_authority", NAME),
        ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", 64 << 20)))
    eq(client.unary("Unary", pattern(300000))[0], pattern(300000), "unary")
    eq(client.collect("Collect", [b"%d," % i for i in range(300)]), b"".join(b"%d," % i for i in range(300)),
       "a stream of the client")
    eq(b"".join(client.split("Split", pattern(100000))), pattern(100000), "a stream of the server")
    eq(list(client.chat("Chat", iter([b"ab", b"cd"]))), [b"ba", b"dc"], "both")


@test("deadlines hold over TLS: between requests, in a request's head, of the request", waits=True)
def deadlines():
    stage = Stage(ONE.replace("    - name: all\n", "    - name: all\n      policies: {timeout: "
                              "{requestTimeout: 2s}}\n") + """
config: {timeouts: {clientHeaderMin: 1s, clientBodyStall: 1s}}
frontendPolicies:
  http: {http1IdleTimeout: 2s}
""")
    fired = {}

    def expect_fired(timer):
        """This one, and no other besides those before."""
        fired[timer] = 1
        wait_until(lambda: counted(timer=timer), 5, timer)
        eq({timer: counted(timer=timer) for timer in fired}, fired, "timers that fired")
        eq(counted(), len(fired), "all timers that fired")

    def counted(**labels):
        return stage.gateway.metrics()("headgate_timer_fired_total", **labels)
    slow = stage.client()
    with within(2.0, "requestTimeout"):
        eq(slow.get("/delay/60", host=NAME).status, 504, "requestTimeout")
    slow.close()  # so that it is not idle beside the others
    expect_fired("request_timeout")
    with within(1.0, "clientHeaderMin"):
        stage.client().send("GET /get HTTP/1.1\r\nHost: one").read_eof()
    expect_fired("head_timeout")
    with within(1.0, "clientBodyStall"):
        stalled = stage.client()
        stalled.send(f"POST /upload HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9\r\n\r\nab")
        eq(stalled.response("POST").status, 408, "a body that stands still")
    expect_fired("body_stall")
    idle = stage.client()
    with within(2.0, "http1IdleTimeout"):
        eq(idle.get("/get", host=NAME).status, 200, "a request")
        eq(idle.read_eof(), b"", "nothing more")
    eq(idle.is_cut, False, "close_notify")
    expect_fired("keepalive_idle")


@test("100 MiB both ways at once through a TCP route behind TLS, byte for byte; each way ends by itself",
      timeout=120, heavy=True)
def tunnel():
    for version in ("1.2", "1.3"):
        stage = Stage(TUNNEL, Backend())
        size = large()
        client = stage.client(version=version).send(b"x")
        upstream = stage.backend.accept()
        eq(upstream.read(1), b"x", "the first byte")

        def send(connection):
            for at in range(0, size, 1 << 20):
                connection.send(pattern(1 << 20, at))

        def receive(connection):
            verify(pieces(connection, size), size)
        # Two threads may not use one SSLSocket at once: the client sends first what the other way waits for.
        task = in_background(receive, upstream)
        send(client)
        task.result()
        task = in_background(send, upstream)
        receive(client)
        task.result()
        upstream.fin()
        eq(client.read_eof(), b"", "the end")
        eq(client.is_cut, False, "close_notify for FIN")
        client.socket.sendall(b"still")
        eq(upstream.read(5), b"still", "the other way goes on")
        client.socket.unwrap()
        upstream.expect_fin()
        record = stage.gateway.wait_log(lambda r: r["protocol"] == "tls")
        eq((record["tls.sni"], record["tls.version"], record["close_reason"]),
           (NAME, f"TLSv{version}", "ok"), "the log")


@test("close_notify that finds the send buffer full at the end of a tunnel leaves when there is room",
      timeout=60, long=True)
def full_at_the_end():
    stage = Stage(TUNNEL, Backend())
    cut = []

    def waits(size):
        """The client reads nothing at first. True: not all of it fits into the kernel's buffers."""
        client = stage.client(rcvbuf=4096).send(b"x")
        upstream = stage.backend.accept()
        eq(upstream.read(1), b"x", "the first byte")
        socket.socket.shutdown(client.socket, socket.SHUT_WR)
        upstream.expect_fin()
        sender = in_background(lambda: upstream.send(pattern(size)).fin())
        looked_until = time.monotonic() + 0.06
        while (is_there := bool(stage.gateway.streams())) and time.monotonic() < looked_until:
            time.sleep(0.01)
        verify([client.read_eof()], size)
        sender.result()
        if client.is_cut:
            cut.append(size)
        client.close()
        upstream.close()
        return is_there

    low, high = 16 << 10, 8 << 20
    check(waits(high), "more than the buffers take")
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if waits(middle) else (middle, high)
    # The last record fits, and close_notify (24 bytes) does not.
    for size in range(low - 64, high + 64, 8):
        waits(size)
    eq(cut, [], "sizes whose end looks like a cut")


@test("close_notify of a client is FIN for a TCP backend, and the answer to it still arrives")
def half_close():
    stage = Stage(TUNNEL, Origin(tcp_sink=True))
    client = Forge(stage.port, stage.authority, NAME)
    client.forge(client.forged(DATA, b"0123456789") + client.forged(ALERT, b"\x01\x00"))
    check(b"bytes=10 " in client.read_eof(), "the answer behind close_notify")


@test("curl -L goes from http to https by the redirect of a route, and stays there")
def redirect():
    stage = Stage(ONE + """
- port: @plain@
  listeners:
  - routes:
    - name: to-tls
      policies:
        requestRedirect: {scheme: https, authority: {port: @port@}}
""")
    status, out, error = run([
        "curl", "-sS", "-L", "--cacert", stage.authority.cert,
        "-w", " %{num_redirects} %{http_code} %{url_effective}",
        "--resolve", f"{NAME}:{stage.port}:127.0.0.1",
        "--resolve", f"{NAME}:{stage.gateway.ports['plain']}:127.0.0.1",
        f"http://{NAME}:{stage.gateway.ports['plain']}/bytes/5?offset=0"])
    check(status == 0 and f" 1 200 https://{NAME}:{stage.port}/bytes/5" in out, f"{out} {error}")


@test("h2load over TLS: every request is answered, HTTP/2 and HTTP/1.1, with handshakes of its own for each",
      needs=("h2load",), timeout=60)
def load():
    stage = Stage(workers=2)
    for options in ([], ["--h1"]):
        status, out, error = run(["h2load", "-n2000", "-c50", "-m4", "-t1", *options, "--connect-to",
                                  f"127.0.0.1:{stage.port}", f"https://{NAME}/bytes/1000"], timeout=50)
        check(status == 0 and "2000 succeeded, 0 failed, 0 errored" in out, f"{out} {error}")
    check(stage.gateway.metrics()("headgate_tls_handshakes_total") >= 100, "handshakes")


@test("an upload over TLS that is answered early gets its answer, not a reset", timeout=60)
def early_answer():
    stage = Stage()
    for path in ("/early/413?close=1", "/early/413"):
        client = stage.client()
        client.send(f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 3000000\r\n\r\n")
        client.send(pattern(3000000))
        eq(client.response("POST").status, 413, path)


@test("without a server name, and with one that no listener has, nobody is served where all listeners have "
      "names")
def no_name():
    stage = Stage()
    for name in (None, "other.example"):
        try:
            client = Tls(stage.port, name=name)
        except (ssl.SSLError, ConnectionError):
            continue
        raise Failure(f"a handshake for {name} was served with {client.socket.getpeercert(True)[:40]}")
    eq(stage.client().get("/get", host=NAME).status, 200, "its own name")
