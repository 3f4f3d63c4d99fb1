# SPDX-License-Identifier: Apache-2.0
"""Checks of requests: the reported data, and the parsing of HTTP/1."""

import socket
import threading
import time
import zlib

from selftest_lib import CHUNKED, EXPECT, Client, Server, check, chunked, fetch, fnv, pattern, same


# ---- about the request

@check
def headers_are_shown_exactly():
    reply = fetch("/headers", fields=["X-A:  one\t", "x-b: \xe9\"\\", "X-a: two"])
    got = reply.json()
    same(got["headers"], {"Host": "h", "X-A": ["one", "two"], "x-b": "\xe9\"\\"})
    same(got["order"], [["Host", "h"], ["X-A", "one"], ["x-b", "\xe9\"\\"], ["X-a", "two"]])
    same(reply.get("x-origin"), ["main"])


@check
def anything_tells_all():
    body = b"some \x01 text"
    got = fetch("/anything/deep?a=1&b=%41+c&a=2", method="PUT", fields=["X-A: b"], body=body).json()
    same([got[key] for key in ("method", "target", "path", "version", "framing", "body_length", "origin")],
         ["PUT", "/anything/deep?a=1&b=%41+c&a=2", "/anything/deep", "HTTP/1.1", "content-length", 11,
          "main"])
    same(got["query"], {"a": "1", "b": "A c"})
    same((got["body"], got["body_fnv1a64"], got["body_crc32"]),
            (body.decode(), fnv(body), "%08x" % zlib.crc32(body)))
    assert got["peer"].startswith("[::ffff:127.0.0.1]:"), got["peer"]


@check
def anything_reads_chunks_extensions_trailers():
    body = chunked(b"abc", b"defg", trailer=b"X-T: v\r\n").replace(b"3\r\n", b"3;x=y\r\n", 1)
    got = fetch("/anything", method="POST", fields=CHUNKED, body=body).json()
    same((got["body"], got["chunks"], got["chunk_extensions"], got["trailers"], got["framing"]),
         ("abcdefg", 2, 1, {"X-T": "v"}, "chunked"))


@check
def anything_hides_long_bodies():
    got = fetch("/anything", method="POST", body=pattern(0, 4096)).json()
    same((got["body"].encode("latin-1"), got["body_is_pattern"]), (pattern(0, 4096), True))
    same(fetch("/anything", method="POST", body=pattern(0, 4097)).json()["body"], None)


@check
def get_refuses_other_methods():
    same(fetch("/get").json()["method"], "GET")
    same(fetch("/get", method="POST").status, 405)
    same(fetch("/nonsense").status, 404)


@check
def connections_and_requests_are_numbered():
    with Client() as one, Client() as two:
        first = one.request("/anything").reply().json()
        second = one.request("/anything").reply().json()
        other = two.request("/anything").reply().json()
    same((first["request"], second["request"], other["request"]), (1, 2, 1))
    same((first["connection"] == second["connection"], first["connection"] == other["connection"]),
            (True, False))


@check
def counters_count():
    for _ in range(3):
        fetch("/bytes/1?count=c1")
    same(fetch("/counter?key=c1&reset=1").json(), {"key": "c1", "count": 3})
    same(fetch("/counter?key=c1").json()["count"], 0)


# ---- plain HTTP behaviour

@check
def pipelined_requests_are_answered_in_order():
    with Client() as client:
        client.send("".join("GET /bytes/%d HTTP/1.1\r\nHost: h\r\n\r\n" % size for size in range(2000)))
        for size in range(2000):
            same(client.reply().body, pattern(0, size))


@check
def pipelined_bodies_and_large_answers_are_answered_in_order():
    with Client() as client:
        upload = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + pattern(0, 70000)
        big = b"GET /bytes/300000 HTTP/1.1\r\nHost: h\r\n\r\n"
        chunks = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks += chunked(b"x" * 300, b"y")
        thread = threading.Thread(target=client.send, args=((upload + big + chunks) * 5,))
        thread.start()
        for _ in range(5):
            same(client.reply().json()["is_pattern"], True)
            same(client.reply().body, pattern(0, 300000))
            same(client.reply().body, b"x" * 300 + b"y")
        thread.join()


@check
def every_split_of_a_request_is_read_the_same():
    whole = b"POST /anything?q=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + \
        chunked(b"abc", b"de", trailer=b"X-T: v\r\n")
    with Client() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(1, len(whole), 2):
            client.send(whole[:at])
            time.sleep(0.001)
            client.send(whole[at:])
            got = client.reply().json()
            same((got["body"], got["trailers"]), ("abcde", {"X-T": "v"}))


@check
def one_byte_at_a_time():
    whole = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd"
    with Client() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            client.send(bytes([byte]))
            time.sleep(0.0005)
        same(client.reply().json()["length"], 4)


@check
def connection_fields_follow_the_version():
    with Client() as client:
        same(client.request("/bytes/1", fields=["Connection: close"]).reply().get("Connection"), ["close"])
        same(client.ended(), "fin")
    with Client() as client:
        same(client.request("/bytes/1", version="1.0").reply().get("Connection"), ["close"])
        same(client.ended(), "fin")
    with Client() as client:
        for _ in range(2):
            same(client.request("/bytes/1", version="1.0",
                    fields=["Connection: keep-alive"]).reply().get("Connection"),
                 ["keep-alive"])
    same(fetch("/bytes/1").get("Connection"), [])


@check
def head_has_the_same_head_and_no_body():
    with Client() as client:
        for target in ("/bytes/100", "/stream-bytes/100", "/status/517?body=x", "/headers",
                       "/drip?numbytes=5&duration=0", "/sse?n=2&interval=1", "/delay/0?body=3",
                       "/response-headers?a=b", "/echo", "/stats"):
            reply = client.request(target, method="HEAD").reply(False)
            assert reply.status in (200, 517), target
            assert reply.get("Content-Length") or reply.get("Transfer-Encoding"), target
        same(client.request("/bytes/3").reply().body, pattern(0, 3))


@check
def expect_gets_100_then_the_answer():
    with Client() as client:
        client.request("/upload", method="POST", fields=EXPECT + ["Content-Length: 3"])
        same(client.head().status, 100)
        same(client.send("abc").reply().json()["length"], 3)
        client.request("/expect-reject", method="POST", fields=EXPECT + ["Content-Length: 3"])
        reply = client.reply()
        same((reply.status, reply.get("Connection")), (417, ["close"]))
        same(client.ended(), "fin")
    same(fetch("/bytes/1", fields=["Expect: magic"]).status, 417)


@check
def half_closed_client_is_answered():
    with Client() as client:
        client.request("/bytes/5").request("/delay/0.05?body=5")
        client.sock.shutdown(socket.SHUT_WR)
        same((client.reply().body, client.reply().body), (pattern(0, 5), pattern(0, 5)))
        same(client.ended(), "fin")


GOOD = "GET /bytes/1 HTTP/1.1\r\nHost: h\r\n"
POST = "POST /upload HTTP/1.1\r\nHost: h\r\n"
POST_BYTES = "POST /bytes/1 HTTP/1.1\r\nHost: h\r\n"
TE = "Transfer-Encoding: chunked\r\n"
MALFORMED = {
    "lf": "GET /bytes/1 HTTP/1.1\nHost: h\n\n", "lf_in_head": "GET /bytes/1 HTTP/1.1\r\nHost: h\n\r\n",
    "lf_at_end": GOOD + "\n", "cr_in_value": GOOD + "A: b\rc\r\n\r\n", "nul": GOOD + "A: b\0c\r\n\r\n",
    "ctl": GOOD + "A: b\x7fc\r\n\r\n", "fold": GOOD + "A: b\r\n c\r\n\r\n",
    "fold_first": "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "space_colon": GOOD + "A : b\r\n\r\n", "empty_name": GOOD + ": b\r\n\r\n",
    "bad_name": GOOD + "A(: b\r\n\r\n",
    "no_colon": GOOD + "A\r\n\r\n", "blank_first": "\r\n" + GOOD + "\r\n",
    "no_host": "GET / HTTP/1.1\r\n\r\n",
    "two_hosts": GOOD + "Host: h\r\n\r\n", "host_comma": "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "host_at": "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "host_differs": "GET http://x/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "two_spaces": "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "space_end": "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
    "fragment": "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
    "high_target": "GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n",
    "not_a_path": "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "http_0_9": "GET /\r\n\r\n",
    "http_2": "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    "http_1_2": "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "connect": "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
    "two_lengths": POST + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "length_list": POST + "Content-Length: 1, 1\r\n\r\na",
    "length_plus": POST + "Content-Length: +1\r\n\r\na", "length_empty": POST + "Content-Length:\r\n\r\n",
    "length_over": POST + "Content-Length: 9223372036854775808\r\n\r\n",
    "length_and_chunked": POST + TE + "Content-Length: 1\r\n\r\n0\r\n\r\n",
    "chunked_twice": POST + TE + TE + "\r\n0\r\n\r\n",
    "chunked_list": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked_1_0": "POST /upload HTTP/1.0\r\nHost: h\r\n" + TE + "\r\n0\r\n\r\n",
    "chunk_size": POST + TE + "\r\nxx\r\n", "chunk_lf": POST + TE + "\r\n1\na\r\n0\r\n\r\n",
    "chunk_long": POST + TE + "\r\n1\r\nab\r\n0\r\n\r\n",
    "chunk_over": POST + TE + "\r\n10000000000000001\r\n",
    "chunk_plus": POST + TE + "\r\n+1\r\na\r\n", "chunk_blank": POST + TE + "\r\n1 \r\na\r\n",
    "trailer_length": POST + TE + "\r\n0\r\nContent-Length: 1\r\n\r\n",
    "trailer_fold": POST + TE + "\r\n0\r\nA: b\r\n c\r\n\r\n",
    "trailer_lf": POST + TE + "\r\n0\r\nA: b\n\r\n", "chunk_ext_lf": POST + TE + "\r\n1;ab\nx\r\n0\r\n\r\n",
    "trailer_huge": POST + TE + "\r\n0\r\n" + ("A: " + "b" * 4000 + "\r\n") * 5 + "\r\n",
    "last_lf": POST + TE + "\r\n0\r\n\n",
}


@check
def malformed_requests_get_400_and_the_connection_ends():
    with Server("--name", "strict") as server:
        for name, data in MALFORMED.items():
            with Client(server) as client:
                try:
                    same(client.send(data).reply().status, 400)
                    same(client.ended(), "fin")
                except (AssertionError, EOFError, socket.timeout) as error:
                    raise AssertionError("%s: %r" % (name, error))
        with Client(server) as client:
            client.send(POST + "Content-Length: 5\r\n\r\nab").sock.shutdown(socket.SHUT_WR)
            same(client.ended(), "fin")
        with Client(server) as client:
            same(client.send(GOOD + "A: " + "b" * 300000 + "\r\n\r\n").reply().status, 431)
        with Client(server) as client:
            stats = client.request("/stats").reply().json()
        same((stats["bad_requests"], stats["truncated"]), (len(MALFORMED) + 1, 1))
    same(server.stderr.count(b"\n"), len(MALFORMED) + 2)
    assert b'request 1: line ends with a bare LF: "GET /bytes/1 HTTP/1.1\\x0a' in server.stderr, server.stderr


@check
def unusual_but_good_requests_are_answered():
    with Client() as client:
        for data in ("GET http://H/bytes/1 HTTP/1.1\r\nHost: h\r\n\r\n",
                     "QUERY /bytes/1 HTTP/1.1\r\nHost: h:80\r\n\r\n",
                     "GET /bytes/1 HTTP/1.1\r\nHost:\r\nA:\r\n\r\n",
                     GOOD + "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
                     POST_BYTES + "Transfer-Encoding: Chunked\r\n\r\n01;a;b=c\r\nx\r\n000\r\n\r\n",
                     "GET /bytes/1 HTTP/1.1\r\nHost: h\r\nA: " + "b" * 200000 + "\r\n\r\n",
                     POST_BYTES + "Content-Length: 3\r\nA: " + "b" * 65420 + "\r\n\r\nabc",
                     GOOD + "".join("A%d: b\r\n" % n for n in range(2000)) + "\r\n"):
            same(client.send(data).reply().body, pattern(0, 1))


@check
def heads_that_fill_the_buffer_leave_room_for_the_body():
    tail = b"\r\n\r\n" + chunked(b"abc", b"de", trailer=b"X-T: some value\r\n")
    with Client() as client:
        for size in range(65440, 65540, 3):
            head = b"POST /anything HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nA: "
            client.send(head + b"a" * (size - len(head) - 4) + tail)
            got = client.reply().json()
            same((got["body"], got["trailers"]), ("abcde", {"X-T": "some value"}))
