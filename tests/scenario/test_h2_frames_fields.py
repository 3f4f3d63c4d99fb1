# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 8.2, 8.3, 8.5, 10.3: fields and pseudo-header fields, and what an HTTP/1.1 backend gets to see."""
from hg import *
from hg import h2_frames as f
from h2cases import (connect, connect_acted, connect_unserved, each_malformed, expect_malformed, fields_of,
                     form, unused)

PSEUDO = (":method", ":scheme", ":path", ":authority")
cases = table("fields and pseudo-header fields, and what an HTTP/1.1 backend gets to see", timeout=60)


# ---- 8.2 names and values --------------------------------------------------------------------------------


@cases("RFC 9113 8.2.1: names with upper case, blanks, controls or separators are malformed")
def names():
    each_malformed({repr(name): form((name, "v")) for name in (
        "X-Upper", "uppeR", "", " x", "x ", "a b", "a\tb", "a:b", "a\r\nb", "a\0b", "x\x7f", "x\x80", "a(b",
        "a/b", "a\"b", "a,b", "a=b", "a@b", "{a")})


@cases("RFC 9113 8.2.1: values with NUL, CR or LF are malformed")
def values():
    each_malformed({repr(value): form(("x-value", value)) for value in (
        "a\0b", "a\rb", "a\nb", "a\r\nb: c", "\r\n", "\0",
        "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")})


@cases("RFC 9113 8.2.1: values that begin or end with a blank are malformed")
def blanks():
    each_malformed({repr(value): form(("x-value", value)) for value in (" a", "a ", "\ta", "a\t", " ")})


@cases("RFC 9110 5.5: values with other control bytes are malformed")
def controls():
    each_malformed({repr(value): form(("x-value", value))
                    for value in ("a\x01b", "a\x1fb", "a\x7fb", "a\x0bb")})


@cases("RFC 9110 5.5: visible bytes, inner blanks, bytes above 0x7f and empty values pass unchanged")
def odd_values():
    client = connect()
    for value in ("", "a b", "a\tb", "ü\xff\x80", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", ",", "a,,b"):
        number = client.raw_request(form(("x-value", value), path="/headers"))
        eq(fields_of(client.response(number)).get("x-value"), value, "the value at the backend")


@cases("RFC 9113 8.2.2: connection-specific fields are malformed")
def connection_specific():
    each_malformed({name: form((name, value)) for name, value in (
        ("connection", "close"), ("connection", "x-a"), ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"), ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"), ("upgrade", "websocket"), ("upgrade", "h2c"))})


@cases("RFC 9113 8.2.2: TE says trailers or nothing")
def te():
    each_malformed({value: form(("te", value))
                    for value in ("gzip", "chunked", "trailers, gzip", "trailers;q=1")})
    client = connect()
    number = client.raw_request(form(("te", "trailers"), path="/headers"))
    eq(fields_of(client.response(number)).get("te"), "trailers", "te at the backend")


@cases("RFC 9113 8.2.3: cookie fields are joined with \"; \" for HTTP/1.1")
def cookies():
    client = connect()
    number = client.raw_request(form(("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d=4"),
                                     path="/headers"))
    eq(fields_of(client.response(number)).get("cookie"), "a=1; b=2; c=3; d=4", "Cookie at the backend")


@cases("repeated fields stay apart and in order")
def repeated():
    client = connect()
    number = client.raw_request(form(("x-a", "1"), ("x-b", "2"), ("x-a", "3"), path="/headers"))
    order = [(k.lower(), v) for k, v in client.response(number).json()["order"]]
    eq([pair for pair in order if pair[0] in ("x-a", "x-b")], [("x-a", "1"), ("x-b", "2"), ("x-a", "3")],
       "fields at the backend")


# ---- 8.3 pseudo-header fields ----------------------------------------------------------------------------


@cases("RFC 9113 8.3: pseudo-header fields are known, of requests, each once, and in front of the others")
def pseudo_headers():
    each_malformed({
        "unknown": [(":what", "x")] + form(), ":status": [(":status", "200")] + form(),
        "empty name": [(":", "x")] + form(),
        "behind a field": form(("x", "y"), (":path", "/get"), without=(":path",)),
        "all behind a field": [("x", "y")] + form(),
        ":Path": form((":Path", "/get"), without=(":path",)),
        **{f"{name} twice": [(name, value)] + form() for name, value in form()},
        **{f"{name} twice, differing": [(name, value + "x")] + form() for name, value in form()},
    })


@cases("RFC 9113 8.3.1: :method, :scheme and :path are there, and not empty")
def missing():
    each_malformed({
        **{f"no {name}": form(without=(name,)) for name in PSEUDO[:3]},
        **{f"{name} empty": [(k, "" if k == name else v) for k, v in form()] for name in PSEUDO[:3]},
        "nothing": [], "nothing but a field": [("x", "y")],
    })


@cases("RFC 9113 8.3.1, 10.3: :method is a token")
def methods():
    each_malformed({repr(method): form(method=method) for method in (
        "GET ", " GET", "GE T", "GET\r\n", "GET / HTTP/1.1", "G\0T", "G\tT", "G:T", "GET\x80",
        "GET\r\nx: y")})
    client = connect()
    for method in ("get", "M-SEARCH", "!#$%&'*+-.^_`|~1"):
        number = client.raw_request(form(method=method, path="/anything"))
        eq(client.response(number).json()["method"], method, "method at the backend")


@cases("RFC 9113 8.3.1, 10.3: :path is an absolute path, without blanks, controls and fragment")
def paths():
    each_malformed({repr(path): form(path=path) for path in (
        "get", "*", "x/y", "http://x/get", "/a b", "/get HTTP/1.1", "/a\r\nb", "/a\0b", "/a\tb", "/a#b",
        "/\x7f", "?x", "/a\x80", "/x HTTP/1.1\r\nHost: y\r\n\r\nGET /z", "//x:y@z/ a")})
    client = connect()
    for path in ("/anything/a%20b?x=%0d&y=/?", "/anything/b.c;d", "/anything?"):
        number = client.raw_request(form(path=path))
        eq(client.response(number).json()["target"], path, "target at the backend")


@cases("RFC 9113 8.3.1: OPTIONS * reaches the backend as OPTIONS *")
def options_star():
    client = connect_acted()
    number = client.raw_request(form(method="OPTIONS", path="*"))
    upstream = client.origin.accept()
    request = upstream.read_request()
    eq((request.method, request.target), ("OPTIONS", "*"), "request line")
    upstream.respond(204)
    eq(client.response(number).status, 204, "status")


@cases("RFC 9113 8.3.1: :scheme is http or https")
def schemes():
    each_malformed({repr(scheme): [(k, scheme if k == ":scheme" else v) for k, v in form()]
                    for scheme in ("ht tp", "http\r\n", "http:", "1http", "\0")})


@cases("RFC 9113 8.3.1: :authority is host[:port], and userinfo is malformed")
def authorities():
    each_malformed({repr(authority): form(authority=authority) for authority in (
        "user@x", "user:password@x", "@x", "x/y", "x?y", "x#y", "a b", "a\r\nb", "a\0b", "x\\y", "a,b", "x:y",
        "x:80:80", "[::1", "x:99999999")})
    client = connect()
    for authority in ("x", "x:80", "[::1]:8080", "127.0.0.1", "a.b-c.example:1"):
        number = client.raw_request(form(path="/headers", authority=authority))
        eq(fields_of(client.response(number)).get("host"), authority, "Host at the backend")


@cases("RFC 9113 8.3.1: host has to say what :authority says")
def authority_and_host():
    each_malformed({
        "another host": form(("host", "y")), "another port": form(("host", "x:81")),
        "empty host": form(("host", "")), "two hosts": form(("host", "x"), ("host", "x")),
        "two hosts, no :authority": form(("host", "x"), ("host", "y"), without=(":authority",)),
        "neither": form(without=(":authority",)), "empty :authority": form(authority=""),
        "host with userinfo": form(("host", "u@x"), without=(":authority",)),
    })
    client = connect()
    for fields in (form(("host", "x"), path="/headers"), form(("host", "x"), path="/headers",
                                                              without=(":authority",))):
        got = client.response(client.raw_request(fields)).json()
        eq([v for k, v in got["order"] if k.lower() == "host"], ["x"], "Host at the backend")


@cases("RFC 9113 8.5: CONNECT is refused, well-formed or not, and goes nowhere")
def connect_method():
    client = connect_unserved()
    for fields in ([(":method", "CONNECT"), (":authority", "x:443")], form(method="CONNECT"),
                   [(":method", "CONNECT"), (":authority", "x:443"), (":path", "/")],
                   [(":method", "CONNECT")]):
        number = client.raw_request(fields, end=False)
        stream = client.streams[number]
        client.wait(lambda s=stream: s.message or s.rst is not None, what="an answer")
        check(stream.message is None or stream.message.status in (400, 405, 501), f"{stream.message}")
        check(stream.message or stream.rst in (f.PROTOCOL_ERROR, f.REFUSED_STREAM, f.CONNECT_ERROR,
                                               f.HTTP_1_1_REQUIRED), f"reset with {stream.rst}")
        if stream.rst is None:
            client.reset(number)
    client.ping()
    client.origin.expect_no_connection(0)


@cases("RFC 8441 4: an extended CONNECT that lacks a pseudo-header field, or is none, is malformed")
def extended_connect():
    good = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/ws"),
            (":authority", "x"), ("sec-websocket-version", "13")]
    each_malformed({
        **{f"no {name}": [pair for pair in good if pair[0] != name]
           for name in (":scheme", ":path", ":authority")},
        "of GET": [(k, "GET" if k == ":method" else v) for k, v in good],
        ":protocol twice": [good[1]] + good,
        ":protocol empty": [(k, "" if k == ":protocol" else v) for k, v in good],
    })


@cases("RFC 8441: an extended CONNECT for another protocol than websocket is refused")
def unknown_protocol():
    client = connect_unserved()
    number = client.raw_request([(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"),
                                 (":path", "/"), (":authority", "x")], end=False)
    stream = client.streams[number]
    client.wait(lambda: stream.message or stream.rst is not None, what="an answer")
    check(stream.message is None or stream.message.status in (400, 405, 501), f"{stream.message}")
    client.origin.expect_no_connection(0)


# ---- what HTTP/1.1 gets to see ---------------------------------------------------------------------------


@cases("a request arrives at an HTTP/1.1 backend with nothing of HTTP/2 in it")
def downgrade():
    client = connect_acted()
    number = client.request("/path?q=1", "GET", {"accept": "*/*", "priority": "u=1", "x-a": "b"})
    upstream = client.origin.accept()
    request = upstream.read_request()
    eq((request.method, request.target, request.version, request.framing),
       ("GET", "/path?q=1", "1.1", "none"), "request line and framing")
    eq(request.headers["Host"], client.authority, "Host")
    eq((request.headers["accept"], request.headers["x-a"]), ("*/*", "b"), "fields")
    check(not [k for k, _ in request.headers if k.startswith(":")], f"fields {request.headers}")
    upstream.respond(200, [("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"),
                           ("X-Upper-Case", "Yes")], b"body")
    answer = client.response(number)
    eq(answer.body, b"body", "body")
    eq((answer.headers["x-upper-case"], answer.headers["x-hop"], answer.headers["content-length"]),
       ("Yes", None, "4"), "fields of the response")


@cases("the access log calls it HTTP/2.0, and counts one line a stream")
def logged():
    client, path = connect(), unused("/anything/logged")
    for _ in range(3):
        client.get(path)
    client.get(unused("/anything/behind"))
    client.gateway.wait_log(lambda r: "behind" in r["http.path"])
    records = [r for r in client.gateway.log() if r["http.path"] == path]
    eq([(r["http.version"], r["http.method"], r.status, r["close_reason"]) for r in records],
       [("HTTP/2.0", "GET", 200, "ok")] * 3, "log lines")


@cases("a malformed request has its line in the log: request_bad")
def logged_malformed():
    client, path = connect(), unused("/malformed")
    expect_malformed(client, client.raw_request(form(("host", "y"), path=path)), "another host")
    record = client.gateway.wait_log(lambda r: r.get("http.path") == path)
    eq(record["close_reason"], "request_bad", "close_reason")
