# SPDX-License-Identifier: Apache-2.0
"""TCP routes: bytes as they are, both ends as they end."""
import os
import select
import socket
import threading
import zlib

from hg import *

CONFIG = """
config:
  splice: {mode: @splice@}
binds:
- port: @port@
  listeners:
  - name: tcp
    protocol: TCP
    tcpRoutes:
    - name: echo
      backends:
      - host: @origin@
"""
MIB = 1 << 20


def start(origin, splice="auto", **options):
    return Gateway(CONFIG, origin=origin, splice=f'"{splice}"', **options)


def pair(splice="auto"):
    """(client, upstream, gateway) of one tunnel."""
    backend = Backend()
    gateway = start(backend, splice)
    client = gateway.client()
    upstream = backend.accept()
    wait_until(lambda: [stream["state"] for stream in gateway.streams()] == ["tunnel"], 5, "the tunnel")
    return client, upstream, gateway


def each_lane(function):
    """The same claim with the kernel lane allowed and without it."""
    def both():
        for splice in ("auto", "off"):
            function(splice)
    return both


@test("bytes of both directions come through, and the log tells both counts")
def echo():
    gateway = start(Origin(tcp_echo=True))
    client = gateway.client()
    for size in (1, 100, 65536, 300000):
        client.send(pattern(size))
        verify(client.read(size), size)
    client.fin()
    client.expect_fin()
    record = gateway.wait_log()
    eq(record["protocol"], "tcp", "protocol")
    eq((record["bytes_in"], record["bytes_out"]), ("365637", "365637"), "bytes")
    eq(record["close_reason"], "ok", "close_reason")
    eq(record["route"], "default/echo", "route")
    check("http.status" not in record, "http.status in the line of a tunnel")


@test("a backend that speaks first is heard before the client says a word")
def server_first():
    client, upstream, _ = pair()
    upstream.send("220 hello\r\n")
    eq(client.read_line(), b"220 hello\r\n", "greeting")


@test("FIN of the client goes to the backend, whose bytes still come; and the other way round")
@each_lane
def half_close(splice):
    client, upstream, gateway = pair(splice)
    client.send("question").fin()
    eq(upstream.read_eof(), b"question", "question")
    client.expect_silence(0.1)
    upstream.send(pattern(MIB // 2)).fin()
    verify(client.read_eof(), MIB // 2)
    gateway.wait_log(lambda r: r["close_reason"] == "ok")
    client, upstream, gateway = pair(splice)
    upstream.send("banner").fin()
    eq(client.read_eof(), b"banner", "banner")
    upstream.expect_silence(0.1)
    client.send(pattern(MIB // 2)).fin()
    verify(upstream.read_eof(), MIB // 2)
    gateway.wait_log(lambda r: r["close_reason"] == "ok")


@test("FIN without a byte is passed on both ways")
def empty():
    client, upstream, gateway = pair()
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    record = gateway.wait_log()
    eq((record["bytes_in"], record["bytes_out"], record["close_reason"]), ("0", "0", "ok"), "record")


@test("RST of the client becomes RST at the backend, and the other way round")
@each_lane
def resets(splice):
    for before in (b"", b"some bytes"):
        client, upstream, gateway = pair(splice)
        if before:
            client.send(before)
            eq(upstream.read(len(before)), before, "before")
        client.rst()
        upstream.expect_rst()
        eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")
        client, upstream, gateway = pair(splice)
        if before:
            upstream.send(before)
            eq(client.read(len(before)), before, "before")
        upstream.rst()
        client.expect_rst()
        eq(gateway.wait_log()["close_reason"], "upstream_rst", "close_reason")


@test("RST after a half close of the other side is passed on, too")
@each_lane
def reset_after_fin(splice):
    client, upstream, gateway = pair(splice)
    client.send("x").fin()
    eq(upstream.read_eof(), b"x", "x")
    upstream.rst()
    client.expect_rst()
    eq(gateway.wait_log()["close_reason"], "upstream_rst", "close_reason")
    client, upstream, gateway = pair(splice)
    upstream.send("x").fin()
    eq(client.read_eof(), b"x", "x")
    client.rst()
    upstream.expect_rst()
    eq(gateway.wait_log()["close_reason"], "client_rst", "close_reason")


@test("RST of a client that stopped reading reaches a backend that keeps sending")
@each_lane
def reset_under_load(splice):
    client, upstream, _ = pair(splice)
    upstream.send_until_blocked(pattern(1 << 18))
    client.rst()
    upstream.expect_rst()


def expect_refused(gateway):
    """A reset that may come as early as in connect()."""
    try:
        gateway.client().expect_rst()
    except ConnectionResetError:
        pass


@test("a backend that refuses: the client is reset, the log says connect_failed")
def refused():
    gateway = start(f"127.0.0.1:{free_port()}")
    expect_refused(gateway)
    record = gateway.wait_log()
    eq((record["close_reason"], record["bytes_out"]), ("connect_failed", "0"), "record")


@test("a backend that does not answer: the client is reset after connectTimeout")
def connect_timeout():
    from hg.origin import Blackhole
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: @origin@
        policies:
          tcp: {connectTimeout: {secs: 0, nanos: 500000000}, keepalives: {}}
""", origin=Blackhole())
    with within(0.5, "connectTimeout"):
        gateway.client().expect_rst()
    eq(gateway.wait_log()["close_reason"], "connect_timeout", "close_reason")


@test("what the client sends before the backend is connected arrives")
def early_bytes():
    backend = Backend()
    gateway = start(backend)
    client = gateway.client().send(pattern(100000)).fin()
    upstream = backend.accept()
    verify(upstream.read_eof(), 100000)
    upstream.send("done").fin()
    eq(client.read_eof(), b"done", "answer")


@test("weights decide per connection")
def weights():
    heavy, light, never = Backend(), Backend(), Backend()
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - {host: @heavy@, weight: 3}
      - {host: @light@, weight: 1}
      - {host: @never@, weight: 0}
""", heavy=heavy, light=light, never=never)
    counts = {heavy: 0, light: 0}
    clients = []
    for _ in range(400):
        clients.append(gateway.client())
        ready = select.select([b.socket for b in (heavy, light, never)], [], [], 10 * factor())[0]
        check(ready and never.socket not in ready, "no backend, or the one with weight 0")
        backend = heavy if heavy.socket in ready else light
        backend.accept().close()
        counts[backend] += 1
        clients[-1].close()
    share = counts[heavy] / 400
    # A fair choice is outside these bounds once in 10^8.
    check(0.62 <= share <= 0.87, f"the backend with weight 3 of 4 got {share:.2f}")


@test("200 tunnels at once, each with its own bytes", timeout=60)
def many():
    gateway = start(Origin(tcp_echo=True))
    clients = [gateway.client() for _ in range(200)]
    for number, client in enumerate(clients):
        client.send(pattern(20000, number * 7))
    wait_until(lambda: len(gateway.streams()) == 200, 5, "200 streams")
    for number, client in enumerate(clients):
        verify(client.read(20000), 20000, number * 7)
    for client in clients:
        client.fin()
    for client in clients:
        client.expect_fin()
    eq(len(gateway.wait_log(count=200)), 200, "log lines")


def warmed_up(gateway, backend):
    """RSS once the code and the buffers of each worker have been in use."""
    for _ in range(8):
        client = gateway.client()
        upstream = backend.accept()
        for sender, receiver in ((client, upstream), (upstream, client)):
            sender.send(pattern(300000)).fin()
            verify(receiver.read_eof(), 300000)
    gateway.wait_log(count=8)
    return gateway.rss_bytes()


def pump(sock, size):
    """Sends size pattern bytes and FIN."""
    block = pattern(65521 * 8)  # a whole number of periods
    left = size
    while left:
        piece = block[:min(left, len(block))]
        sock.sendall(piece)
        left -= len(piece)
    sock.shutdown(socket.SHUT_WR)


def checksum(sock, results, name):
    crc, count = 0, 0
    while True:
        data = sock.recv(1 << 18)
        if not data:
            break
        crc, count = zlib.crc32(data, crc), count + len(data)
    results[name] = (count, crc)


@test("100 MiB each way at the same time, verified by checksum", timeout=60, heavy=True)
@each_lane
def large(splice):
    size = (20 if is_asan() else 100) * MIB
    backend = Backend()
    gateway = start(backend, splice)
    before = warmed_up(gateway, backend)
    client = gateway.client()
    upstream = backend.accept()
    for side in (client, upstream):
        side.socket.settimeout(30)
    results = {}
    threads = [threading.Thread(target=pump, args=(side.socket, size)) for side in (client, upstream)]
    threads += [threading.Thread(target=checksum, args=(side.socket, results, name))
                for name, side in (("down", client), ("up", upstream))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want = (size, zlib.crc32(pattern(size)))
    eq(results, {"up": want, "down": want}, "length and checksum")
    record = gateway.wait_log(count=9)[-1]
    eq((record["bytes_in"], record["bytes_out"]), (str(size), str(size)), "bytes")
    if not is_asan():
        # A worker's buffer for looking into sockets of the kernel lane is touched when it is first needed.
        most = MIB if splice == "off" else 6 * MIB
        check(gateway.rss_bytes() - before < most, f"RSS grew by {gateway.rss_bytes() - before}")


def socket_buffers():
    """What the kernel holds at most between sender and reader: two queues of the gateway, one before."""
    most = {}
    for name in "tcp_rmem", "tcp_wmem":
        with open(f"/proc/sys/net/ipv4/{name}") as sizes:
            most[name] = int(sizes.read().split()[2])
    return most["tcp_rmem"] + 2 * most["tcp_wmem"]


@test("a reader that stops costs a bounded amount of memory, and gets every byte when it goes on")
@each_lane
def slow_reader(splice):
    backend = Backend()
    gateway = start(backend, splice)
    before = warmed_up(gateway, backend)
    pairs = []
    for _ in range(4):
        client = gateway.client(rcvbuf=8192)
        pairs.append((client, backend.accept()))
    sent = [upstream.send_until_blocked(pattern(65521), quiet_s=0.15, limit=2 * socket_buffers()) for _,
            upstream in pairs]
    check(max(sent) < socket_buffers() + 2 * MIB, f"a reader that takes nothing was sent {max(sent)} bytes")
    if not is_asan():
        # Beside the kernel lane each worker keeps up to 1 MiB of what it looked at in a socket.
        most = 4 * 256 * 1024 + MIB + (0 if splice == "off" else 2 * MIB)
        check(gateway.rss_bytes() - before < most,
              f"RSS grew by {gateway.rss_bytes() - before} for 4 readers that stopped")
    for (client, upstream), size in zip(pairs, sent):
        upstream.fin()
        got = PatternCheck()
        while True:
            data = client.read_some()
            if not data:
                break
            got.feed(data)
        eq(got.received, size, "bytes after the pause")


@test("a tunnel to a Unix socket behaves like one to a port")
def unix_backend():
    path = os.path.join(tmpdir(), "backend.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    gateway = start(f"unix:{path}")
    client = gateway.client().send("ping")
    upstream = Raw(listening.accept()[0])
    eq(upstream.read(4), b"ping", "ping")
    upstream.send(pattern(200000)).fin()
    verify(client.read_eof(), 200000)
    client.fin()
    upstream.expect_fin()
    upstream.close()
    gateway.wait_log(lambda r: r["close_reason"] == "ok")


@test("a listener without a route for the connection resets it: no_route")
def no_route():
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - {name: tcp, protocol: TCP, tcpRoutes: []}
""")
    expect_refused(gateway)
    eq(gateway.wait_log()["close_reason"], "no_route", "close_reason")
