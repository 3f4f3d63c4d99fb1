# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 8.1, 8.1.1, 8.7: bodies, their announced and true lengths, trailers, interim responses."""
from hg import *
from hg import h2_frames as f
from h2cases import connect, connect_acted, connect_unserved, each_malformed, expect_malformed, form, outcome


bodies = table("bodies, their announced and true lengths, trailers, interim responses", timeout=60)


def post(*extra, path="/upload"):
    return form(*extra, method="POST", path=path)


def expect_unfinished(upstream):
    """The backend's connection ends before its request is complete."""
    try:
        upstream.read_request()
    except Failure as error:
        note("as it should be:", error)
        return
    raise Failure("the backend got a complete request")


def connects(client):
    return client.gateway.metrics()("headgate_upstream_connects_total")


def begun_since(client, before):
    """The connections of the backend, beyond so many, when no stream is left. A request that turns out
    malformed may have one: its head may have gone out before the end of its body was known."""
    wait_until(lambda: not client.gateway.streams(), 5, "the end of the stream")
    return [client.origin.accept() for _ in range(int(connects(client) - before))]


# ---- requests: content-length against DATA ---------------------------------------------------------------


@bodies("RFC 9113 8.1.1: DATA that is more or less than content-length is malformed, and no complete request")
def lengths():
    for pieces in ([b"1234"], [b"123456"], [b"12345", b"6"], [b"1", b"2", b"3"], [b""]):
        client = connect_acted()
        before = connects(client)
        number = client.raw_request(post(("content-length", "5")), end=False)
        client.send(*[f.data(number, piece, i == len(pieces) - 1) for i, piece in enumerate(pieces)])
        expect_malformed(client, number, f"content-length 5 with {pieces}")
        client.ping()
        for upstream in begun_since(client, before):
            if pieces[0] != b"12345":  # which may be complete for the backend before the sixth byte comes
                expect_unfinished(upstream)


@bodies("RFC 9113 8.1.1: HEADERS that end their stream and announce a body are malformed")
def length_without_body():
    each_malformed({"5": post(("content-length", "5")), "1": form(("content-length", "1"))})


@bodies("RFC 9113 8.1.1: a Content-Length that is not one number is malformed")
def length_syntax():
    client = connect_unserved()
    for values in (["5", "5"], ["5", "6"], ["5, 5"], ["+5"], ["-5"], ["0x5"], [""], ["5a"], ["5 5"],
                   ["99999999999999999999"], ["9223372036854775808"]):
        number = client.raw_request(post(*[("content-length", value) for value in values]), end=False)
        expect_malformed(client, number, f"content-length {values}")
    client.ping()
    client.origin.expect_no_connection(0)


@bodies("RFC 9113 8.1.1: a body as long as announced is passed on with its length, another one chunked")
def framings():
    client = connect()
    for extra, framing, size in (([("content-length", "10")], "content-length", 10), ([], "chunked", 10),
                                 ([("content-length", "0")], "content-length", 0)):
        number = client.raw_request(post(*extra, path="/anything"), end=False)
        client.send_data(number, pattern(size), True)
        got = client.response(number).json()
        eq((got["framing"], got["body_length"]), (framing, size), f"framing and bytes, {extra}")
    zero = [("content-length", "0")]
    for method, extra in (("GET", []), ("GET", zero), ("POST", zero)):
        number = client.raw_request(form(*extra, method=method, path="/anything"))
        eq(client.response(number).json()["body_length"], 0, f"bytes of {method} {extra}")


@bodies("RFC 9113 8.1: a request without a body is not chunked for HTTP/1.1")
def no_body():
    client = connect()
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        number = client.raw_request(form(method=method, path="/anything"))
        if method != "HEAD":
            eq(client.response(number).json()["framing"], "none", f"framing of {method}")
    eq(client.response(client.raw_request(post(path="/anything"))).json()["body_length"], 0, "bytes of POST")


@bodies("RFC 9113 8.1: DATA in pieces of any size is the same body")
def pieces():
    client = connect()
    for step, count in ((1, 20), (7, 20), (1000, 20), (16384, 3)):  # within the window of a stream
        body, number = pattern(step * count), client.raw_request(post(), end=False)
        for at in range(0, len(body), step):
            client.send(f.data(number, body[at:at + step], at + step >= len(body)))
        got = client.response(number).json()
        eq((got["length"], got["crc32"]), (len(body), f"{crc32(len(body)):08x}"), f"body in steps of {step}")


# ---- trailers --------------------------------------------------------------------------------------------


@bodies("RFC 9113 8.1: trailers of a request reach an HTTP/1.1 backend behind the chunked body")
def request_trailers():
    client = connect()
    for body in (b"body", b""):
        extra = {"te": "trailers", "trailer": "x-sum"}
        number = client.request("/anything", "POST", extra, body or None, False)
        client.send_headers(number, [("x-sum", "123"), ("x-other", "456")], True)
        got = client.response(number).json()
        eq((got["framing"], got["body"] or ""), ("chunked", body.decode()), "framing and body")
        trailers = got["trailers"]
        trailers = dict(trailers) if isinstance(trailers, list) else trailers
        eq({k.lower(): v for k, v in trailers.items()}, {"x-sum": "123", "x-other": "456"}, "trailers")


@bodies("RFC 9113 8.1: trailers with pseudo-header fields or bad names and values are malformed")
def malformed_trailers():
    for trailers in ([(":path", "/")], [(":status", "200")], [("x", "y"), (":method", "GET")],
                     [("X-Sum", "1")], [("connection", "close")], [("transfer-encoding", "chunked")],
                     [("x", "a\r\nb")], [("", "x")]):
        client = connect_acted()
        number = client.raw_request(post(), end=False)
        upstream = client.origin.accept()
        client.send(f.data(number, b"body"), f.headers(number, f.block(trailers)))
        expect_malformed(client, number, f"trailers {trailers}")
        client.ping()
        expect_unfinished(upstream)


@bodies("RFC 9113 8.1: a second HEADERS frame that does not end the stream is malformed")
def trailers_without_end():
    client = connect_acted()
    number = client.raw_request(post(), end=False)
    upstream = client.origin.accept()
    client.send(f.headers(number, f.block([("x", "y")]), end=False))
    client.wait(lambda: client.goaways or client.streams[number].rst is not None or
                client.streams[number].message, what="an error")
    if client.goaways:
        client.expect_goaway(f.PROTOCOL_ERROR)
    else:
        expect_malformed(client, number, "trailers without END_STREAM")
    expect_unfinished(upstream)


@bodies("RFC 9113 8.1.1: trailers count: content-length 5, 4 bytes and trailers are malformed")
def length_and_trailers():
    client = connect_acted()
    before = connects(client)
    number = client.raw_request(post(("content-length", "5")), end=False)
    client.send(f.data(number, b"1234"), f.headers(number, f.block([("x", "y")])))
    expect_malformed(client, number, "a body that trailers cut short")
    for upstream in begun_since(client, before):
        expect_unfinished(upstream)


@bodies("RFC 9113 8.1: trailers of an HTTP/1.1 response come as trailers, and not among the fields")
def response_trailers():
    client = connect()
    answer = client.get("/stream-bytes/40000?trailer=1", {"te": "trailers"})
    verify(answer.body, 40000)
    eq((answer.trailers["x-length"], answer.trailers["x-crc32"]), ("40000", f"{crc32(40000):08x}"),
       "trailers")
    eq((answer.headers["x-length"], answer.headers["transfer-encoding"]), (None, None), "fields")


# ---- responses -------------------------------------------------------------------------------------------


@bodies("RFC 9113 8.1: HEAD has the fields of GET and no DATA")
def head():
    client = connect()
    for path in ("/bytes/1000", "/stream-bytes/1000", "/get"):
        answer = client.response(client.request(path, "HEAD"))
        eq((answer.status, answer.body), (200, b""), f"HEAD {path}")
    answer = client.response(client.request("/bytes/1000", "HEAD"))
    eq(answer.headers["content-length"], "1000", "content-length")
    eq(client.get("/get").status, 200, "the next request")


@bodies("RFC 9113 8.1: HEAD whose backend sends a body all the same delivers none of it")
def head_with_body():
    client = connect_acted()
    number = client.request("/x", "HEAD")
    upstream = client.origin.accept()
    upstream.read_request()
    upstream.respond(200, body=b"unasked")
    answer = client.response(number)
    eq((answer.status, answer.body, answer.headers["content-length"]), (200, b"", "7"), "answer")
    number = client.request("/y")
    again = client.origin.accept()  # a connection with stray bytes is not used again
    eq(again.read_request().target, "/y", "target")
    again.respond(200, body=b"asked")
    eq(client.response(number).body, b"asked", "body")


@bodies("204 and 304 end with their head; chunked, close-delimited and empty bodies end with END_STREAM")
def endings():
    client = connect()
    for path, status, size in (("/status/204", 204, 0), ("/status/304", 304, 0), ("/bytes/0", 200, 0),
                               ("/stream-bytes/0", 200, 0), ("/stream-bytes/100000", 200, 100000),
                               ("/close-delimited/100000", 200, 100000), ("/close-delimited/0", 200, 0)):
        answer = client.get(path)
        eq(answer.status, status, f"status of {path}")
        if status == 200:
            verify(answer.body, size)


@bodies("a body that its HTTP/1.1 backend cuts short is reset, and never looks complete")
def short_bodies():
    client = connect()
    for path in ("/close/mid-body?cl=1000&send=100", "/close/rst-mid-body?cl=1000&send=100",
                 "/close/mid-chunk", "/close/mid-chunk?boundary=1"):
        number = client.request(path)
        client.expect_rst(number, f.INTERNAL_ERROR, f.CANCEL, f.PROTOCOL_ERROR)
        check(not client.streams[number].ended, f"{path} looks complete")
    eq(client.get("/get").status, 200, "another request on the connection")
    reasons = [r["close_reason"] for r in client.gateway.wait_log(lambda r: "/close/" in r["http.path"], 4)]
    eq(reasons, ["upstream_fin", "upstream_rst", "upstream_fin", "upstream_fin"], "close reasons")


@bodies("malformed HTTP/1.1 responses are a 502, and none of their fields gets through")
def bad_responses():
    client = connect()
    for kind in ("cl-te", "dup-cl", "bare-cr", "nul-value", "obs-fold", "bad-name", "space-colon",
                 "status-99", "ctl-value", "te-xchunked"):
        eq(outcome(client, client.request(f"/bad/{kind}")), ("status", 502), f"outcome of {kind}")
    eq(client.get("/get").status, 200, "another request on the connection")


# ---- interim responses -----------------------------------------------------------------------------------


@bodies("RFC 9113 8.1: interim responses come as HEADERS in front of the final ones")
def interim():
    client = connect()
    answer = client.get("/informational?code=103&n=2")
    eq([i.status for i in answer.interim], [103, 103], "interim responses")
    eq((answer.status, answer.text), (200, "final\n"), "the final one")
    check(answer.interim[0].headers["link"], "link of the 103")


@bodies("Expect: 100-continue is answered before the body comes")
def expect_continue():
    client = connect()
    number = client.request("/upload", "POST", {"expect": "100-continue", "content-length": "10"}, end=False)
    client.wait(lambda: client.streams[number].interim, what="100")
    eq(client.streams[number].interim[0].status, 100, "status")
    client.send_data(number, pattern(10), True)
    eq(client.response(number).json()["is_pattern"], True, "is_pattern")


@bodies("a 101 that nobody asked for is never passed on: HTTP/2 has none (RFC 9113 8.6)")
def no_101():
    client = connect()
    eq(outcome(client, client.request("/bad/101-unasked")), ("status", 502), "outcome")


# ---- early responses, 8.1 --------------------------------------------------------------------------------


@bodies("RFC 9113 8.1: an answer before the end of the upload arrives, then NO_ERROR or the rest is taken")
def early_answer():
    client = connect()
    number = client.request("/early/413?close=1", "POST", end=False)
    client.send_data(number, pattern(1000))
    eq(client.response_head(number).status, 413, "status")
    stream = client.streams[number]
    try:
        for _ in range(40):
            if stream.rst is not None:
                break
            client.send_data(number, bytes(16384))
        if stream.rst is None:
            client.send_data(number, b"", True)
    except Failure:
        check(stream.rst is not None, "the upload stopped without a reset")
    client.wait(lambda: stream.ended or stream.rst is not None, what="the end of the stream")
    check(stream.rst in (None, f.NO_ERROR, f.CANCEL), f"reset with {stream.rst}")
    check(stream.ended, "the response was complete before the reset")
    eq(client.get("/get").status, 200, "another request on the connection")
