# SPDX-License-Identifier: Apache-2.0
"""Methods and statuses that decide whether there is a body."""
from hg import *
from hg.h2 import fetch2
from plays import acted, play


@test("HEAD has the head of GET and no body, whatever frames it")
def head_requests():
    gateway, _ = play()
    client = gateway.client()
    for path in ("/bytes/10", "/bytes/0", "/bytes/1000000", "/stream-bytes/500", "/close-delimited/10",
                 "/anything"):
        answer = client.request("HEAD", path).response("HEAD")
        eq((answer.status, answer.body), (200, b""), f"HEAD {path}")
        if path.startswith("/bytes"):
            eq(answer.header("Content-Length"), path.split("/")[2], f"Content-Length of {path}")
        if answer.header("Connection") == "close":
            client.expect_fin()
            client = gateway.client()
    eq(client.get("/bytes/3").body, pattern(3), "the next body")


@test("a HEAD response and its next response on the same connections stay apart")
def head_keeps():
    gateway, backend = acted()
    client = gateway.client().request("HEAD", "/h")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    eq(client.response("HEAD").header("Content-Length"), "1000000", "Content-Length")
    client.request("GET", "/g")
    eq(upstream.read_request().target, "/g", "the next request on the same connection")
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    eq(client.response().body, b"ok", "body")


@test("204 and 304 have no body, and their connections go on")
def bodiless_statuses():
    gateway, _ = play()
    client = gateway.client()
    for status in (204, 304):
        answer = client.get(f"/status/{status}")
        eq((answer.status, answer.body, answer.header("Transfer-Encoding")), (status, b"", None), "answer")
    eq(client.get("/anything").json()["request"], 3, "request number on the one backend connection")


@test("304 keeps the Content-Length of what it stands for, 204 loses one")
def lengths_of_bodiless():
    gateway, backend = acted()
    client = gateway.client()
    client.request("GET", "/a")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n")
    answer = client.response()
    eq((answer.header("Content-Length"), answer.header("ETag")), ("77", '"x"'), "fields of the 304")
    client.request("GET", "/b")
    upstream.read_request()
    upstream.send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    eq(client.response().headers.all("Content-Length"), [], "Content-Length of the 204")


@test("any status of three digits from 200 to 599 comes through with its body")
def statuses():
    gateway, _ = play()
    client = gateway.client()
    for status in (200, 201, 203, 206, 226, 299, 300, 404, 418, 451, 499, 500, 503, 517, 599):
        answer = client.get(f"/status/{status}?body=hello")
        eq((answer.status, answer.body), (status, b"hello"), f"/status/{status}")


@test("every token is a method, and arrives as it was sent")
def methods():
    gateway, _ = play()
    client = gateway.client()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "PURGE", "PROPFIND", "get",
                   "M-SEARCH", "!#$%&'*+-.^_`|~", "X" * 40):
        eq(client.request(method, "/anything").response(method).json()["method"], method, "method")


TRACED = """
binds:
- port: @port@
  listeners: [{routes: [{backends: [{host: @origin@}]}]}]
frontendPolicies: {http: {trace: forward}}
"""


@test("TRACE is 405 with what is allowed, unless the configuration says otherwise; HTTP/2 as well")
def trace():
    gateway, origin = play()
    answer = gateway.client().request("TRACE", "/anything").response("TRACE")
    eq((answer.status, "GET" in answer.header("Allow")), (405, True), "status and Allow")
    eq(gateway.wait_log(lambda r: r.status == 405)["close_reason"], "request_bad", "close_reason")
    eq(fetch2(gateway.port, "/anything", "TRACE").status, 405, "status over HTTP/2")
    gateway = Gateway(TRACED, origin=origin)
    eq(gateway.client().request("TRACE", "/anything").response("TRACE").json()["method"], "TRACE", "method")


@test("Max-Forwards counts down for OPTIONS and TRACE and is answered here at 0; other methods carry it on")
def max_forwards():
    backend = Backend()
    gateway = Gateway(TRACED, origin=backend)
    client = gateway.client()
    for method, sent, seen in (("OPTIONS", "1", "0"), ("TRACE", "10", "9"), ("GET", "0", "0"),
                               ("GET", "x", "x")):
        client.request(method, "/a", {"Max-Forwards": sent})
        upstream = backend.accept() if method == "OPTIONS" else upstream
        eq(upstream.read_request().header("Max-Forwards"), seen, f"{method} with {sent}")
        upstream.respond(200)
        eq(client.response(method).status, 200, f"status of {method}")
    client.request("OPTIONS", "*", {"Max-Forwards": "0"})
    eq(client.response("OPTIONS").status, 200, "OPTIONS that ends here")
    client.request("TRACE", "/a?b", {"Max-Forwards": "0", "X-Mine": "1", "Authorization": "secret",
                                     "Cookie": "c"})
    answer = client.response("TRACE")
    eq((answer.status, answer.header("Content-Type")), (200, "message/http"), "TRACE that ends here")
    check(answer.text.startswith("TRACE /a?b HTTP/1.1\r\n"), answer.text)
    check("\r\nX-Mine: 1\r\n" in answer.text, answer.text)
    check("secret" not in answer.text and "Cookie" not in answer.text, f"secrets: {answer.text}")
    for value in ("-1", "", "1, 2", "99999999999999999999"):
        eq(gateway.client().request("OPTIONS", "/a", {"Max-Forwards": value}).response("OPTIONS").status, 400,
           f"status for {value!r}")


@test("OPTIONS * and absolute targets arrive in the form a backend wants")
def target_forms():
    gateway, backend = acted()
    client = gateway.client()
    client.request("OPTIONS", "*", host="example.com")
    upstream = backend.accept()
    request = upstream.read_request()
    eq((request.target, request.header("Host")), ("*", "example.com"), "OPTIONS *")
    upstream.respond(204)
    client.response()
    for target, want in (("http://example.com/a?b=c", "/a?b=c"), ("http://example.com", "/"),
                         ("http://example.com?q", "/?q"),
                         ("HTTP://EXAMPLE.com/", "/")):
        client.request("GET", target, host="example.com")
        request = upstream.read_request()
        eq((request.target, request.header("Host").lower()), (want, "example.com"), target)
        upstream.respond()
        client.response()


@test("CONNECT is refused with 405 and the connection ends")
def connect_refused():
    gateway, origin = play()
    client = gateway.client()
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\nraw bytes follow")
    answer = client.response("GET")
    eq((answer.status, answer.body, answer.header("Content-Type"), answer.header("Connection")),
       (405, b"method not allowed", "text/plain", "close"), "answer")
    client.expect_fin()
    eq(gateway.wait_log().fields["http.method"] if hasattr(gateway.wait_log(), "fields") else "CONNECT",
       "CONNECT", "log")
    eq(origin.stats()["requests"], 1, "requests at the backend, this one included")


@test("a body of GET and DELETE is forwarded like any other")
def bodies_of_others():
    gateway, _ = play()
    client = gateway.client()
    for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
        answer = client.request(method, "/anything", body=b"hello").response(method)
        if method != "HEAD":
            eq((answer.json()["body"], answer.json()["framing"]), ("hello", "content-length"), method)
    eq(client.get("/anything").json()["body_length"], 0, "body of the next one")


@test("Content-Length: 0 of a POST arrives, and none is invented")
def zero_length():
    gateway, _ = play()
    client = gateway.client()
    eq(client.request("POST", "/anything",
                      [("Content-Length", "0")]).response().json()["headers"].get("Content-Length"),
       "0", "Content-Length")
    eq(client.request("POST", "/anything").response().json()["headers"].get("Content-Length"), None,
       "Content-Length")
