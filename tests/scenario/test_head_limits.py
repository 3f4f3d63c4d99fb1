# SPDX-License-Identifier: Apache-2.0
"""Request line, head and header count: the last that fits passes, one more is refused."""
from hg import *
from plays import SIMPLE, play


def line_of(size):
    """A request line of exactly so many bytes without its CRLF."""
    return "GET /" + "a" * (size - len("GET / HTTP/1.1")) + " HTTP/1.1"


def head_of(size):
    """A whole head of exactly so many bytes with its final CRLF."""
    start = "GET /bytes/1 HTTP/1.1\r\nHost: x\r\n"
    rest = size - len(start) - 2
    fields = ""
    while rest > 4000:
        fields += "X-F: " + "v" * (3000 - 7) + "\r\n"
        rest -= 3000
    fields += "X-F: " + "v" * (rest - 7) + "\r\n"
    return start + fields + "\r\n"


def counted(number):
    """A head with so many fields."""
    fields = "".join(f"X-{n}: {n}\r\n" for n in range(number - 1))
    return f"GET /bytes/1 HTTP/1.1\r\nHost: x\r\n{fields}\r\n"


def status_of(gateway, text, cut=None):
    client = gateway.client()
    if cut is None:
        client.send(text)
    else:
        client.send(text[:cut], text[cut:])
    answer = client.response()
    if answer.status in (414, 431):
        eq((answer.body, answer.header("Connection")), (b"", "close"), "the refusal")
        client.expect_end()
    client.close()
    return answer.status


@test("a request line of 8192 bytes passes, one of 8193 is refused with 414")
def request_line():
    gateway, _ = play()
    for cut in (None, 5000):
        eq(status_of(gateway, line_of(8192) + "\r\nHost: x\r\n\r\n", cut), 404, "8192 bytes")
        eq(status_of(gateway, line_of(8193) + "\r\nHost: x\r\n\r\n", cut), 414, "8193 bytes")
    eq(gateway.wait_log(lambda r: r.status == 414)["close_reason"], "head_too_large", "close_reason")


@test("a head of 65536 bytes passes, one of 65537 is refused with 431")
def whole_head():
    gateway, origin = play()
    for cut in (None, 100, 65500):
        eq(len(head_of(65536)), 65536, "the helper")
        eq(status_of(gateway, head_of(65536), cut), 200, "65536 bytes")
        eq(status_of(gateway, head_of(65537), cut), 431, "65537 bytes")
    eq(origin.stats()["requests"], 4, "requests at the backend, this one included")


@test("100 headers pass, 101 are refused with 431")
def header_count():
    gateway, _ = play()
    eq(status_of(gateway, counted(100)), 200, "100 headers")
    eq(status_of(gateway, counted(101)), 431, "101 headers")


@test("the limits can be lowered")
def lowered():
    gateway, _ = play(SIMPLE + "config:\n  limits: {requestLineBytes: 200, headBytes: 1000, headers: 10}\n")
    eq(status_of(gateway, line_of(200) + "\r\nHost: x\r\n\r\n"), 404, "line of 200")
    eq(status_of(gateway, line_of(201) + "\r\nHost: x\r\n\r\n"), 414, "line of 201")
    eq(status_of(gateway, head_of(1000)), 200, "head of 1000")
    eq(status_of(gateway, head_of(1001)), 431, "head of 1001")
    eq(status_of(gateway, counted(10)), 200, "10 headers")
    eq(status_of(gateway, counted(11)), 431, "11 headers")


@test("http1MaxHeaders goes before the general limit, in both directions")
def max_headers():
    gateway, _ = play(SIMPLE + "config:\n  limits: {headers: 10}\nfrontendPolicies:\n  http: "
                               "{http1MaxHeaders: 150}\n")
    eq(status_of(gateway, counted(150)), 200, "150 headers")
    eq(status_of(gateway, counted(151)), 431, "151 headers")
    gateway, _ = play(SIMPLE + "frontendPolicies:\n  http: {http1MaxHeaders: 5}\n")
    eq(status_of(gateway, counted(5)), 200, "5 headers")
    eq(status_of(gateway, counted(6)), 431, "6 headers")


@test("a head without end is refused at the limit, not collected")
def endless():
    gateway, _ = play()
    client = gateway.client()
    client.send("GET / HTTP/1.1\r\nHost: x\r\nX: ")
    try:
        for _ in range(64):
            client.send("a" * 16384)
    except OSError:
        pass
    eq(client.response().status, 431, "status")
    client = gateway.client()
    try:
        client.send("A" * 200000)
    except OSError:
        pass
    check(client.response().status in (400, 414), "a method without end")


@test("names and values of every length up to the limits arrive whole")
def lengths():
    gateway, _ = play()
    client = gateway.client()
    for size in (0, 1, 63, 64, 65, 511, 512, 4095, 4096, 16383, 32768, 60000):
        got = client.get("/anything", [("X-Long", "v" * size)]).json()["headers"]["X-Long"]
        eq(len(got), size, "length of the value")
    for size in (1, 100, 1000):
        check("N" * size in client.get("/anything", [("N" * size, "v")]).json()["headers"],
              f"a name of {size} bytes")
