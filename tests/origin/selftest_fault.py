# SPDX-License-Identifier: Apache-2.0
"""Checks of deliberate failures, of the options and of the program as a whole."""

import os
import random
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zlib

from selftest_lib import PROGRAM, Client, Server, check, chunked, fetch, pattern, same, ws_frame
from selftest_request import MALFORMED


# ---- failures

@check
def unstable_fails_so_many_times():
    with Client() as client:
        same([client.request("/unstable?fail=2&key=u1&code=502").reply().status for _ in range(4)],
                [502, 502, 200, 200])
        same(client.request("/unstable?fail=2&key=u1").reply().json(), {"key": "u1", "attempt": 5})
        same(client.request("/unstable?fail=1&key=u2&retry-after=7").reply().get("Retry-After"), ["7"])
        began = time.monotonic()
        same(client.request("/unstable?fail=1&key=u3&mode=delay&delay=0.2").reply().status, 200)
        assert time.monotonic() - began > 0.15
        same(client.request("/unstable?mode=x").reply().status, 400)
    for mode, how in (("rst", "rst"), ("close", "fin")):
        with Client() as client:
            same(client.request("/unstable?fail=1&key=u-%s&mode=%s" % (mode, mode)).ended(), how)
        same(fetch("/unstable?fail=1&key=u-%s&mode=%s" % (mode, mode)).json()["attempt"], 2)
    same(fetch("/counter?key=u-rst").json()["count"], 2)


@check
def close_variants_close_as_they_say():
    for target, how in (("rst", "rst"), ("fin", "fin")):
        with Client() as client:
            same((client.request("/close/" + target).ended(), client.data), (how, b""))
    with Client() as client:
        data = client.request("/close/mid-head").rest()
        assert data.startswith(b"HTTP/1.1 200 OK\r\n") and data.endswith(b"X-Unfinished: th"), data
    with Client() as client:
        same(client.request("/close/mid-body?cl=50&send=20").head().get("Content-Length"), ["50"])
        same(client.rest(), pattern(0, 20))
    for size in (20, 20000):
        with Client() as client:
            client.request("/close/rst-mid-body?cl=50000&send=%d" % size).head()
            same((client.take(size), client.ended()), (pattern(0, size), "rst"))
    with Client() as client:
        client.request("/close/mid-chunk").head()
        same(client.rest(), b"100\r\n" + pattern(0, 256) + b"\r\n100\r\n" + pattern(256, 128))
    with Client() as client:
        client.request("/close/mid-chunk?boundary=1&rst=1").head()
        same((client.take(263), client.ended()), (b"100\r\n" + pattern(0, 256) + b"\r\n", "rst"))
    with Client() as client:
        same((client.request("/close/after").reply().get("Connection"), client.ended()), (["close"], "fin"))
    with Client() as client:
        same((client.request("/close/silent").reply().get("Connection"), client.ended()), ([], "fin"))


BAD_KINDS = (
    "obs-fold dup-cl dup-cl-same cl-list cl-plus cl-negative cl-hex cl-empty cl-overflow cl-te te-1.0 "
    "te-gzip-chunked te-identity te-twice te-xchunked bad-chunk bad-second-chunk chunk-ext chunk-ext-lf "
    "chunk-lf chunk-long chunk-overflow chunk-plus chunk-space trailer-cl trailer-fold status-99 "
    "status-000 status-600 status-1000 no-version http-2.0 http-0.9 two-spaces ctl-reason lf-only bare- "
    "cr nul-value ctl-value bad-name empty-name no-colon space-colon leading-space leading-crlf "
    "204-body 204-chunked 304-body 101-unasked 100-body extra-bytes").split()


@check
def bad_answers_are_bad():
    signs = {"obs-fold": b"\r\n b", "nul-value": b"a\0b", "lf-only": b"OK\nContent",
             "204-body": b"\r\n\r\nhello", "chunk-overflow": b"10000000000000002\r\n",
             "ctl-reason": b"O\x01K", "status-99": b"HTTP/1.1 99 ",
             "extra-bytes": b"\r\n\r\npoison", "cl-te": b"Content-Length: 2\r\nTransfer-Encoding: chunked",
             "te-1.0": b"HTTP/1.0 200 OK\r\nTransfer", "no-version": b"200 OK", "bare-cr": b"a\rb"}
    for kind in BAD_KINDS:
        with Client() as client:
            client.request("/bad/" + kind).request("/close/fin")
            data = client.rest()
            assert len(data) > 10 and signs.get(kind, b"") in data, (kind, data)
    same(fetch("/bad/nonsense").status, 404)


@check
def bad_sizes_and_late_bytes():
    with Client() as client:
        same(len(client.request("/bad/huge-head?bytes=100000").reply().get("X-Huge")[0]), 100000)
        same(len(client.request("/bad/many-headers?n=300").reply().fields), 301)
        client.request("/bad/too-many-1xx?n=50")
        same([client.head().status for _ in range(50)], [103] * 50)
        same(client.reply().body, b"final\n")
        began = time.monotonic()
        same(client.request("/bad/late-bytes").reply().body, b"ok")
        same(client.reply().body, b"poison")
        assert time.monotonic() - began > 0.09


# ---- program

@check
def unix_socket_works_and_is_removed():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with Server("--unix", path) as server:
            same(server.where, "unix:" + path)
            with Client(server) as client:
                same(client.request("/anything").reply().json()["peer"], "unix")
        assert not os.path.exists(path)


@check
def workers_share_port_and_counters():
    with Server("--workers", "2", "--addr", "127.0.0.1") as server:
        assert server.where.startswith("127.0.0.1:")
        for _ in range(40):
            with Client(server) as client:
                client.request("/bytes/1?count=w").reply()
        with Client(server) as client:
            same(client.request("/counter?key=w").reply().json()["count"], 40)
            same(client.request("/stats").reply().json()["connections"], 41)


@check
def keep_alive_timeout_is_announced_and_kept():
    with Server("--keep-alive-timeout", "2") as server, Client(server) as client:
        began = time.monotonic()
        same(client.request("/bytes/1").reply().get("Keep-Alive"), ["timeout=2"])
        time.sleep(0.3)
        client.request("/bytes/1").reply()
        same(client.ended(), "fin")
        assert time.monotonic() - began > 2.2


@check
def close_idle_is_silent():
    with Server("--close-idle-ms", "150", "--date") as server, Client(server) as client:
        time.sleep(0.2)
        began = time.monotonic()
        reply = client.request("/bytes/1").reply()
        same((reply.get("Keep-Alive"), reply.get("Connection"), len(reply.get("Date")[0])), ([], [], 29))
        same(client.ended(), "fin")
        assert time.monotonic() - began > 0.12


@check
def tcp_echo_keeps_half_close():
    with Server("--tcp-echo") as server, Client(server) as client:
        same(client.send("ab").take(2), b"ab")
        data = pattern(0, 3000000)
        thread = threading.Thread(target=lambda: (client.send(data), client.sock.shutdown(socket.SHUT_WR)))
        thread.start()
        same(client.rest(), data)
        thread.join()


@check
def tcp_source_sends_the_pattern_then_fin():
    with Server("--tcp-source", "3000000") as server, Client(server) as client:
        same(client.rest(), pattern(0, 3000000))
        client.send("still open")
    with Server("--tcp-source", "0") as server, Client(server) as client:
        same(client.rest(), b"")


@check
def tcp_sink_counts_and_sums():
    with Server("--tcp-sink") as server:
        for data, verdict in ((pattern(0, 1000000), b"ok"), (pattern(1, 1000), b"bad"), (b"", b"ok")):
            with Client(server) as client:
                client.send(data).sock.shutdown(socket.SHUT_WR)
                same(client.rest(),
                        b"bytes=%d crc32=%08x pattern=%s\n" % (len(data), zlib.crc32(data), verdict))


@check
def tcp_sink_can_be_slow():
    with Server("--tcp-sink", "--rate-limit", "1000000") as server, Client(server) as client:
        began = time.monotonic()
        client.send(pattern(0, 400000)).sock.shutdown(socket.SHUT_WR)
        assert client.rest().startswith(b"bytes=400000 ")
        assert time.monotonic() - began > 0.35


@check
def tcp_discard_and_reset_end_after_so_many_bytes():
    with Server("--tcp-discard-after", "1000") as server, Client(server) as client:
        client.send(b"x" * 999)
        same(select.select([client.sock], [], [], 0.1)[0], [])
        same(client.send("x").ended(), "fin")
    with Server("--tcp-reset-after", "10") as server, Client(server) as client:
        same(client.send(b"x" * 10).ended(), "rst")


@check
def wrong_options_are_refused():
    for options in (["--port", "x"], ["--port", "65536"], ["--nonsense"], ["extra"], ["--workers"]):
        run = subprocess.run([PROGRAM.path, *options], capture_output=True, timeout=30, check=False)
        same((run.returncode, run.stderr.count(b"\n"), run.stdout), (2, 1, b""))
    run = subprocess.run([PROGRAM.path, "--port", str(PROGRAM.main.port)], capture_output=True, timeout=30,
            check=False)
    same((run.returncode, run.stderr.count(b"\n")), (1, 1))
    same(subprocess.run([PROGRAM.path, "--addr", "host"], capture_output=True, timeout=30,
            check=False).returncode, 1)
    same(subprocess.run([PROGRAM.path, "--help"], capture_output=True, timeout=30, check=False).returncode,
            0)


@check
def sigint_ends_with_status_0():
    server = Server("--workers", "2")
    with Client(server) as client:
        client.request("/sse?n=0&interval=1").head()
        server.process.send_signal(signal.SIGINT)
        same(server.process.wait(20), 0)
    server.reader.join(20)
    server.process.stdout.close()
    server.process.stderr.close()


@check
def slow_readers_do_not_block_others():
    with Server() as server:
        slow = [Client(server, rcvbuf=4096) for _ in range(400)]
        try:
            for client in slow:
                client.request("/bytes/100000000")
            with Client(server) as client:
                for _ in range(200):
                    same(client.request("/bytes/100").reply().body, pattern(0, 100))
                same(client.request("/stats").reply().json()["open"], 401)
        finally:
            for client in slow:
                client.sock.close()
        with Client(server) as client:
            for _ in range(100):
                stats = client.request("/stats").reply().json()
                if stats["open"] == 1:
                    break
                time.sleep(0.02)
        same((stats["open"], stats["aborted"]), (1, 400))


@check
def random_garbage_never_kills_it():
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 30)
    print("# seed %d" % seed)
    dice = random.Random(seed)
    seeds = [value.encode("latin-1") for value in MALFORMED.values()] + [
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"d"),
        b"GET /stream-bytes/50?chunk=7 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /headers?%zz HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        + ws_frame(1, b"hello") + ws_frame(9, b"x")]
    with Server("--quiet") as server:
        for _ in range(1500):
            data = bytearray(dice.choice(seeds) + dice.choice(seeds))
            for _ in range(dice.randrange(4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            with Client(server) as client:
                try:
                    client.send(bytes(data)).sock.shutdown(socket.SHUT_WR)
                    client.rest()
                except (ConnectionResetError, BrokenPipeError):
                    pass
        with Client(server) as client:
            same(client.request("/bytes/1").reply().body, pattern(0, 1))
    same(server.stderr, b"")
