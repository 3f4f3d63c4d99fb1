# SPDX-License-Identifier: Apache-2.0
"""Nothing malformed reaches a backend. Every way that one parser reads otherwise than another is refused."""
import random

from hg import *
from plays import play

H = "Host: x\r\n"
POST = "POST /s HTTP/1.1\r\n" + H
GET = "GET /s HTTP/1.1\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = "GET /smuggled?count=smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

LINES = {
    "bare LF after the request line": "GET / HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after a field": "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "bare LF ends the head": "GET / HTTP/1.1\r\nHost: x\r\n\n",
    "only LF": "GET / HTTP/1.1\nHost: x\n\n",
    "CR without LF in a value": "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "CR without LF after an empty value": "GET / HTTP/1.1\r\nHost: x\r\n"
                                          "X:\rTransfer-Encoding: chunked\r\n\r\n",
    "CR CR LF": "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n",
    "CR X ends the head": "GET / HTTP/1.1\r\nHost: x\r\n\rX\r\n\r\n",
    "NUL in a value": "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "control byte in a value": "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
    "DEL in a value": "GET / HTTP/1.1\r\nHost: x\r\nX: a\x7fb\r\n\r\n",
    "vertical tab around a value": "GET / HTTP/1.1\r\nHost: x\r\nX: \x0ba\r\n\r\n",
    "folded line": "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "folded line with a tab": "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n",
    "fold hides a length": POST + "X: bar\r\n Content-Length: 3\r\n\r\nabc",
    "folded Transfer-Encoding": POST + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "blank before the first field": "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "blank before the colon": "GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
    "tab before the colon": POST + "Content-Length\t: 3\r\n\r\nabc",
    "empty name": "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no colon": "GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
    "blank in a name": "GET / HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n",
    "high byte in a name": "GET / HTTP/1.1\r\nHost: x\r\nX\xe9: z\r\n\r\n",
    "parenthesis in a name": "GET / HTTP/1.1\r\nHost: x\r\nX(): z\r\n\r\n",
    "two empty lines first": "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "CR first": "\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "LF first": "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank first": " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two blanks": "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two blanks before the version": "GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab for blank": "GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "blank behind the version": "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "blank in the target": "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "control byte in the target": "GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n",
    "high byte in the target": "GET /caf\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without slash": "GET a/b HTTP/1.1\r\nHost: x\r\n\r\n",
    "star with another method": "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad method": "G[T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": "GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": "GET /\r\nHost: x\r\n\r\n",
    "lower-case http": "GET / http/1.1\r\nHost: x\r\n\r\n",
    "RTSP": "DESCRIBE / RTSP/1.0\r\nHost: x\r\n\r\n",
    "TLS ClientHello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40,
}
VERSIONS = {
    "HTTP/2.0": "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.2": "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/1.10": "GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    "HTTP/3": "GET / HTTP/3.0\r\nHost: x\r\n\r\n",
}
HOSTS = {
    "no Host": "GET / HTTP/1.1\r\n\r\n",
    "two Hosts": "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "two different Hosts": "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "comma in Host": "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "user in Host": "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "slash in Host": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "question mark in Host": "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
    "hash in Host": "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n",
    "blank in Host": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "bad port": "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "authority against Host": "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "authority with user": "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority ends in nothing": "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
}
LENGTHS = {
    "length and coding": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": POST + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": POST + "Content-Length: 3, 3\r\n\r\nabc",
    "plus": POST + "Content-Length: +3\r\n\r\nabc",
    "minus": POST + "Content-Length: -3\r\n\r\nabc",
    "hexadecimal": POST + "Content-Length: 0x3\r\n\r\nabc",
    "empty length": POST + "Content-Length:\r\n\r\nabc",
    "blank length": POST + "Content-Length:  \r\n\r\nabc",
    "not a number": POST + "Content-Length: three\r\n\r\nabc",
    "blank inside": POST + "Content-Length: 1 0\r\n\r\n0123456789",
    "2^63": POST + "Content-Length: 9223372036854775808\r\n\r\nabc",
    "2^64": POST + "Content-Length: 18446744073709551616\r\n\r\nabc",
    "2^64+3": POST + "Content-Length: 18446744073709551619\r\n\r\nabc",
    "trailing blank": POST + "Content-Length: 3 \r\n\r\nabc",
    "tab before the number": POST + "Content-Length:\t3\r\n\r\nabc",
}
CODINGS = {
    "gzip, chunked": "gzip, chunked", "chunked, identity": "chunked, identity",
    "identity, chunked": "identity, chunked",
    "identity": "identity", "xchunked": "xchunked", "quoted": '"chunked"', "comma first": ",chunked",
    "comma behind": "chunked,", "chunked twice": "chunked, chunked", "parameter": "chunked;a=b", "empty": "",
    "trailing tab": "chunked\t", "leading tab": "\tchunked", "vertical tab": "\x0bchunked", "chunk": "chunk",
    "null": "chunked\0",
}
CHUNKS = {
    "no size": "\r\nabc\r\n0\r\n\r\n", "0x": "0x3\r\nabc\r\n0\r\n\r\n", "plus": "+3\r\nabc\r\n0\r\n\r\n",
    "minus": "-3\r\nabc\r\n0\r\n\r\n",
    "blank before": " 3\r\nabc\r\n0\r\n\r\n", "blank behind": "3 \r\nabc\r\n0\r\n\r\n",
    "tab behind": "3\t\r\nabc\r\n0\r\n\r\n",
    "underscore": "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", "not hexadecimal": "g\r\nabc\r\n0\r\n\r\n",
    "64 bits and more": "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "2^63": "8000000000000000\r\nabc\r\n0\r\n\r\n",
    "LF": "3\nabc\r\n0\r\n\r\n", "LF behind data": "3\r\nabc\n0\r\n\r\n", "CR only": "3\rabc\r\n0\r\n\r\n",
    "data too long": "3\r\nabcd\r\n0\r\n\r\n", "data too short": "4\r\nabc\r\n0\r\n\r\n",
    "LF in extension": "3;a\nbc\r\nabc\r\n0\r\n\r\n", "CR in extension": "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "NUL in extension": "3;a\0\r\nabc\r\n0\r\n\r\n",
    "extension without name": "3;\r\nabc\r\n0\r\n\r\n", "blank in extension": "3; a\r\nabc\r\n0\r\n\r\n",
    "open quote": '3;a="b\r\nabc\r\n0\r\n\r\n', "long line": "3;" + "a" * 300 + "\r\nabc\r\n0\r\n\r\n",
    "many zeros": "0" * 300 + "3\r\nabc\r\n0\r\n\r\n",
    "last chunk LF": "3\r\nabc\r\n0\n\n", "last chunk CRLF LF": "3\r\nabc\r\n0\r\n\n",
    "trailer fold": "3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
    "trailer without colon": "3\r\nabc\r\n0\r\nX\r\n\r\n",
    "trailer blank name": "3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "trailer LF": "3\r\nabc\r\n0\r\nX: y\n\r\n",
    "trailer length": "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "trailer coding": "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer host": "3\r\nabc\r\n0\r\nHost: y\r\n\r\n",
}


def refuse(gateway, name, text, statuses=(400,)):
    """The answer is one of ours, the connection ends, and what follows in the same packet is not served."""
    client = gateway.client()
    client.send(text + SMUGGLED)
    answer = client.response()
    if answer.status not in statuses:
        raise Failure(f"{name}: {answer.status}, want {statuses} for {text!r}")
    eq((answer.header("Connection"), answer.body), ("close", b""), f"Connection and body after {name}")
    kind, rest = client.expect_end(5)
    eq(rest, b"", f"bytes after the answer to {name} ({kind})")
    client.close()


def untouched(origin):
    stats = origin.stats()
    eq(stats["bad_requests"], 0, "bad requests at the backend")
    eq(stats["requests"], 1, "requests at the backend, this one included")


@test("lines, names, values and request lines that two parsers read in two ways are refused with 400")
def lines():
    gateway, origin = play()
    for name, text in LINES.items():
        refuse(gateway, name, text)
    untouched(origin)
    eq(gateway.metrics()("headgate_http_bad_requests_total"), len(LINES), "counted")


@test("versions other than 1.0 and 1.1 are refused with 505")
def versions():
    gateway, origin = play()
    for name, text in VERSIONS.items():
        refuse(gateway, name, text, (505,))
    untouched(origin)


@test("a Host that is missing, doubled, malformed or other than the target is refused with 400")
def hosts():
    gateway, origin = play()
    for name, text in HOSTS.items():
        refuse(gateway, name, text)
    untouched(origin)


@test("a Content-Length that is not exactly one number is refused with 400")
def lengths():
    gateway, origin = play()
    for name, text in LENGTHS.items():
        refuse(gateway, name, text)
    untouched(origin)


@test("a Transfer-Encoding that is not exactly one chunked is refused with 400, an unknown coding with 501")
def codings():
    gateway, origin = play()
    for name, value in CODINGS.items():
        refuse(gateway, name, POST + f"Transfer-Encoding: {value}\r\n\r\n0\r\n\r\n", (400, 501))
    refuse(gateway, "gzip alone", POST + "Transfer-Encoding: gzip\r\n\r\n", (501,))
    for pair in (("chunked", "chunked"), ("chunked", "identity"), ("identity", "chunked"), ("", "chunked")):
        refuse(gateway, f"two fields {pair}",
               POST + "".join(f"Transfer-Encoding: {v}\r\n" for v in pair) + "\r\n0\r\n\r\n")
    refuse(gateway, "HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    untouched(origin)


@test("a value that only case or leading blanks tell from the canonical one is accepted and written anew")
def canonical():
    gateway, _ = play()
    client = gateway.client()
    client.send(POST + "transfer-encoding:    CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    eq(client.response().status, 404, "an accepted upload")
    client.send("POST /anything HTTP/1.1\r\nhOST:x\r\nCONTENT-LENGTH: 0003\r\n\r\nabc")
    eq(client.response().json()["order"][-1], ["Content-Length", "3"], "the length as it was written")


@test("chunk framing that is not exact is refused with 400, and the backend never sees a complete body")
def chunks():
    gateway, origin = play()
    for name, text in CHUNKS.items():
        client = gateway.client()
        client.send(CHUNKED + text + SMUGGLED)
        answer = client.response()
        eq((answer.status, answer.header("Connection")), (400, "close"), name)
        client.expect_end(5)
        client.close()
    eq(origin.counter("smuggled"), 0, "smuggled requests")
    stats = origin.stats()
    eq(stats["bad_requests"], 0, "bad requests at the backend")
    eq(stats["requests"] - stats["truncated"] - stats["aborted"], 2,
       "complete requests at the backend: these two questions")


@test("a body where none may be is refused: CONNECT and TRACE")
def forbidden_bodies():
    gateway, origin = play()
    for method, target in (("TRACE", "/"), ("CONNECT", "x:80")):
        host = "x:80" if method == "CONNECT" else "x"
        refuse(gateway, method, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc")
    untouched(origin)


@test("a malformed head is refused however it is cut, and every byte before its fault waits")
def cut_anywhere():
    gateway, origin = play()
    dice = random.Random(5)
    for name, text in dice.sample(sorted(LINES.items()), 12):
        for cut in sorted(dice.sample(range(1, len(text)), min(6, len(text) - 1))):
            client = gateway.client()
            client.send(text[:cut])
            try:
                client.send(text[cut:])
            except OSError:
                pass
            check(client.response().status in (400, 505), f"{name} cut at {cut}")
            client.close()
    untouched(origin)


@test("the log of a refused request says why, and shows nothing raw")
def logged():
    gateway, _ = play()
    gateway.client().send("GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n").response()
    record = gateway.wait_log()
    eq((record.status, record["close_reason"], record["error"]),
       (400, "request_bad", "request target has a forbidden byte or form"), "log")
    two = "Content-Length: 1\r\n" * 2
    gateway.client().send(f"GET /a HTTP/1.1\r\nHost: x\r\n{two}\r\n").response()
    eq(gateway.wait_log(count=2)[1]["error"], "more than one Content-Length", "error")


@test("random damage to good requests never makes the backend complain", timeout=60)
def damage():
    gateway, origin = play()
    dice = random.Random(1234)
    good = [b"GET /anything?x=1 HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n",
            b"POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /anything HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            b"3;a=b\r\nxyz\r\n0\r\nX-T: 1\r\n\r\n",
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"]
    spice = [b"\r", b"\n", b"\0", b" ", b"\t", b":", b",", b";", b"#", b"\x80", b"0", b"\r\n", b"\r\n ",
             b"chunked", b"Content-Length: 1\r\n"]
    for _ in range(150 if is_asan() else 400):
        text = bytearray(dice.choice(good) + dice.choice(good))
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(text))
            kind = dice.randrange(3)
            if kind == 0:
                text[at:at + dice.randint(1, 3)] = b""
            elif kind == 1:
                text[at:at] = dice.choice(spice)
            else:
                text[at] = dice.choice(b"\r\n\0 \t:;,aA09\x7f\xff")
        client = gateway.client()
        try:
            client.send(bytes(text)).fin()
            client.expect_end(5)
        except OSError:
            pass
        client.close()
    eq(origin.stats()["bad_requests"], 0, "bad requests at the backend")
    eq(origin.malformed(), [], "malformed requests at the backend")
