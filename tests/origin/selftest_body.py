# SPDX-License-Identifier: Apache-2.0
"""Checks of bodies, uploads, simple responses and protocol switches."""

import socket
import threading
import time
import zlib

from selftest_lib import (
    CHUNKED, EXPECT, PROGRAM, Client, P, TABLE, check, chunked, fetch, fnv, pattern, same, ws_frame,
    ws_open, ws_read,
)


# ---- bodies

@check
def pattern_windows_are_unique():
    ring = TABLE + TABLE[:8]
    same(len({ring[at:at + 8] for at in range(P)}), P)


@check
def bytes_have_the_pattern():
    with Client() as client:
        for size in (0, 1, 4096, 4097, P - 1, P, 5 * P + 3, 3000000):
            same(client.request("/bytes/%d" % size).reply().body, pattern(0, size))
        same(client.request("/bytes/70000?offset=123456789").reply().body, pattern(123456789, 70000))
        same(client.request("/bytes/1099511627777").reply().status, 404)


@check
def bytes_stream_without_end_and_without_memory():
    with Client() as client:
        client.request("/bytes/1099511627776")
        same(client.head().get("Content-Length"), ["1099511627776"])
        offset = 0
        while offset < 200 << 20:
            data, client.data = client.data, b""
            if data != pattern(offset, len(data)):
                raise AssertionError("wrong bytes after %d" % offset)
            offset += len(data)
            client.more()
    with open("/proc/%d/status" % PROGRAM.main.process.pid) as status:
        rss = [int(line.split()[1]) for line in status if line.startswith("VmRSS")][0]
    assert rss < 64 << 10 or PROGRAM.is_sanitized, rss


@check
def stream_bytes_has_exact_chunks_and_trailers():
    reply = fetch("/stream-bytes/100000?chunk=999&trailer=1")
    same([len(chunk) for chunk in reply.chunks], [999] * 100 + [100])
    same(reply.body, pattern(0, 100000))
    same(reply.trailer, [("X-Length", "100000"), ("X-Crc32", "%08x" % zlib.crc32(reply.body))])
    reply = fetch("/stream-bytes/300000?chunk=200000")
    same(([len(chunk) for chunk in reply.chunks], reply.body, reply.trailer),
            ([200000, 100000], pattern(0, 300000), []))
    same(fetch("/stream-bytes/0").chunks, [])
    same(fetch("/stream-bytes/9?chunk=0").status, 400)
    reply = fetch("/stream-bytes/100000", version="1.0")
    same((reply.get("Transfer-Encoding"), reply.body), ([], pattern(0, 100000)))


@check
def close_delimited_ends_with_fin():
    reply = fetch("/close-delimited/100000")
    same((reply.get("Content-Length"), reply.get("Connection"), reply.body),
            ([], ["close"], pattern(0, 100000)))


@check
def delay_waits():
    began = time.monotonic()
    same(fetch("/delay/0.25?body=4&code=201").body, pattern(0, 4))
    assert time.monotonic() - began > 0.2
    same(fetch("/delay/x").status, 404)


@check
def drip_spreads_its_bytes():
    with Client() as client:
        began = time.monotonic()
        reply = client.request("/drip?duration=0.4&numbytes=4&delay=0.1&code=202").head()
        same((reply.status, reply.get("Content-Length")), (202, ["4"]))
        same(client.take(1), b"*")
        first = time.monotonic() - began
        same(client.take(3), b"***")
        whole = time.monotonic() - began
    assert first > 0.08 and whole > 0.35, (first, whole)


@check
def sse_sends_events_one_by_one():
    with Client() as client:
        began = time.monotonic()
        reply = client.request("/sse?n=4&interval=60").reply()
        same(reply.chunks, [b"data: %d\n\n" % n for n in range(4)])
        same(reply.get("Content-Type"), ["text/event-stream"])
        assert time.monotonic() - began > 0.15
        reply = client.request("/sse?n=2&interval=0&pad=3&close=1").reply()
        same((reply.body, reply.get("Transfer-Encoding")), (b"data: 0 xxx\n\ndata: 1 xxx\n\n", []))


@check
def informational_answers_come_first():
    with Client() as client:
        client.request("/informational?code=103&n=2&gap=20")
        same([client.head().status, client.head().status], [103, 103])
        same(client.reply().body, b"final\n")
        same(client.request("/informational?code=101").reply().status, 400)


# ---- uploads

@check
def echo_gives_back_while_it_arrives():
    with Client() as client:
        client.request("/echo", method="POST", fields=["Content-Length: 6"])
        same(client.head().get("Content-Length"), ["6"])
        for part in (b"ab", b"cd", b"ef"):
            same(client.send(part).take(2), part)
        client.request("/echo", method="POST", fields=CHUNKED)
        same(client.head().get("Transfer-Encoding"), ["chunked"])
        same(client.send(b"2\r\nab\r\n").take(7), b"2\r\nab\r\n")
        same(client.send(b"0\r\nX-T: v\r\n\r\n").take(13), b"0\r\nX-T: v\r\n\r\n")
        same(client.request("/echo").reply().body, b"")
        same(client.request("/echo", method="HEAD", body=b"xyz").reply(False).get("Content-Length"), ["3"])
        same(client.request("/bytes/1").reply().body, pattern(0, 1))


@check
def echo_pushes_back():
    with Client(rcvbuf=16384) as client:
        client.request("/echo", method="POST", fields=["Content-Length: 100000000"])
        client.sock.settimeout(0.2)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += client.sock.send(pattern(sent, 1 << 20))
        except socket.timeout:
            pass
        assert sent < 32 << 20, sent
        client.sock.settimeout(30)
        client.head()
        same(client.take(sent), pattern(0, sent))


@check
def upload_reports_length_and_checksums():
    data = pattern(0, 1000000)
    got = fetch("/upload?fnv=1", method="POST", body=data[:5000]).json()
    same((got["length"], got["fnv1a64"], got["is_pattern"]), (5000, fnv(data[:5000]), True))
    got = fetch("/upload", method="POST", fields=CHUNKED, body=chunked(data, b"x")).json()
    same((got["length"], got["crc32"], got["is_pattern"], got["chunks"]),
         (1000001, "%08x" % zlib.crc32(data + b"x"), False, 2))
    same(fetch("/upload").json()["length"], 0)


@check
def upload_can_read_slowly():
    began = time.monotonic()
    same(fetch("/upload?rate=1000000", method="POST", body=pattern(0, 300000)).json()["is_pattern"], True)
    assert time.monotonic() - began > 0.25


@check
def early_answers_before_the_body():
    with Client() as client:
        client.request("/early/413", method="POST", fields=EXPECT + ["Content-Length: 1000000"])
        same(client.reply().status, 413)
        client.send(pattern(0, 1000000))
        same(client.request("/bytes/2").reply().body, pattern(0, 2))
        client.request("/early/500?close=1", method="POST", fields=["Content-Length: 1000"])
        reply = client.reply()
        same((reply.status, reply.get("Connection"), client.ended()), (500, ["close"], "fin"))
    with Client() as client:
        client.request("/early/503?close=hard", method="POST", fields=["Content-Length: 1000"])
        same((client.reply().status, client.ended()), (503, "fin"))
        client.send("more")
        time.sleep(0.05)
        try:
            client.send("more")
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            raise AssertionError("the closed connection took more body")


@check
def expect_reject_can_keep_the_connection():
    with Client() as client:
        client.request("/expect-reject?keep=1", method="POST", fields=EXPECT + ["Content-Length: 3"])
        same(client.reply().status, 417)
        same(client.send("abc").request("/bytes/2").reply().body, pattern(0, 2))


# ---- simple responses

@check
def status_sends_any_three_digits():
    with Client() as client:
        for code in (200, 204, 299, 304, 404, 429, 503, 517, 999):
            same(client.request("/status/%d" % code).reply().status, code)
        same(client.request("/status/517?body=a%20b").reply().body, b"a b")
        same(client.request("/status/20").reply().status, 404)
        same(client.request("/status/204?body=x").reply().get("Content-Length"), [])


@check
def redirect_and_response_headers():
    reply = fetch("/redirect?to=http%3A%2F%2Fx%2Fy%3Fz&code=308")
    same((reply.status, reply.get("Location")), (308, ["http://x/y?z"]))
    same(fetch("/redirect?to=a%0d%0ab").status, 400)
    reply = fetch("/response-headers?X-A=1&X-A=2&Set-Cookie=a%3Db")
    same((reply.get("X-A"), reply.get("Set-Cookie")), (["1", "2"], ["a=b"]))
    reply = fetch("/response-headers?X-A=1%0d")
    same((reply.status, reply.get("X-A")), (400, []))


# ---- protocol switches

@check
def websocket_echoes():
    with Client() as client:
        same(ws_open(client, "?push=3", "Sec-WebSocket-Protocol: a, b").get("Sec-WebSocket-Protocol"),
                ["a"])
        same([ws_read(client) for _ in range(3)], [(1, True, b"%d" % n) for n in range(3)])
        for size in (0, 1, 125, 126, 65535, 65536):
            same(ws_read(client.send(ws_frame(2, pattern(0, size)))), (2, True, pattern(0, size)))
        same(ws_read(client.send(ws_frame(9, b"p"))), (10, True, b"p"))
        client.send(ws_frame(1, b"one", final=False) + ws_frame(9, b"") + ws_frame(10, b"") + ws_frame(0,
                b"two"))
        same([ws_read(client) for _ in range(3)], [(1, False, b"one"), (10, True, b""), (0, True, b"two")])
        frame = ws_frame(1, b"slowly")
        for byte in frame:
            client.send(bytes([byte]))
            time.sleep(0.001)
        same(ws_read(client), (1, True, b"slowly"))
        same(ws_read(client.send(ws_frame(8, b"\x03\xe8bye"))), (8, True, b"\x03\xe8bye"))
        same(client.ended(), "fin")


@check
def websocket_large_frame_both_ways():
    with Client() as client:
        ws_open(client)
        data = pattern(0, 3000000)
        thread = threading.Thread(target=client.send, args=(ws_frame(2, data),))
        thread.start()
        same(ws_read(client), (2, True, data))
        thread.join()


@check
def websocket_errors_close_with_1002():
    for data in (ws_frame(1, b"a", mask=None), ws_frame(1, b"a", bits=0x40), ws_frame(0, b"a"),
            ws_frame(3, b"a"),
                 ws_frame(9, b"a", final=False), ws_frame(1, b"a", final=False) + ws_frame(1, b"b"),
                 ws_frame(9, b"a" * 126), b"\x81\xfe\x00\x05mask", ws_frame(8, b"a")):
        with Client() as client:
            ws_open(client)
            client.send(data)
            frame = ws_read(client)
            while frame[0] != 8:
                frame = ws_read(client)
            same(frame[2][:2], b"\x03\xea")
            same(client.ended(), "fin")


@check
def websocket_handshake_is_checked():
    same(fetch("/ws").status, 426)
    same(fetch("/ws", fields=["Connection: upgrade", "Upgrade: websocket"]).status, 400)
    same(fetch("/ws-refuse", fields=["Connection: upgrade", "Upgrade: websocket"]).status, 403)


@check
def raw_upgrade_echoes_and_keeps_half_close():
    with Client() as client:
        client.request("/upgrade-raw?push=hello", fields=["Connection: upgrade", "Upgrade: echo"])
        reply = client.head()
        same((reply.status, reply.get("Upgrade"), client.take(5)), (101, ["echo"], b"hello"))
        data = pattern(0, 2000000)
        thread = threading.Thread(target=lambda: (client.send(data), client.sock.shutdown(socket.SHUT_WR)))
        thread.start()
        same(client.rest(), data)
        thread.join()
    same(fetch("/upgrade-raw").status, 426)
    with Client() as client:
        client.request("/upgrade-raw", fields=["Connection: upgrade", "Upgrade: echo"]).send("early")
        client.sock.shutdown(socket.SHUT_WR)
        client.head()
        same(client.rest(), b"early")
