# SPDX-License-Identifier: Apache-2.0
"""Requests of other sites, and beyond a limit: no spelling of what csrf and localRateLimit read helps."""
from hg import *
from hg.framework import Failure
from hg.h2 import H2Client
from plays import acted

CSRF = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        csrf: {additionalOrigins: ["https://admin.test:8443"]}
        directResponse: {status: 200, body: in}
"""
HOST = "a.test"


def status_1(gateway, fields, method="POST", path="/x"):
    client = gateway.client()
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n{lines}\r\n"
    client.send(head.encode("latin-1"))
    status = client.response().status
    client.close()
    return status


def status_2(gateway, fields, method="POST", path="/x"):
    client = H2Client(gateway.port)
    try:
        return client.response(client.raw_request(
            [(":method", method), (":scheme", "http"), (":path", path), (":authority", HOST),
             *((name.lower(), value.encode("latin-1")) for name, value in fields)])).status
    except Failure as error:
        check("was reset" in str(error) or client.goaways, str(error))
        return 400
    finally:
        client.close()


@test("no Origin, Sec-Fetch-Site or method of another site's page is taken for the site's own", timeout=60)
def other_sites():
    gateway = Gateway(CSRF, workers=1)
    own, evil = ("Origin", "http://a.test"), ("Origin", "http://evil.test")
    listed = ("Origin", "https://admin.test:8443")
    cases = [[("Sec-Fetch-Site", site)] for site in (
        "cross-site", "same-site", "", "SAME-ORIGIN", "Same-Origin", "same-origin, cross-site",
        "cross-site, none",
        "none;x", "same-origin;v=1", "\"none\"", "null", "*", "sameorigin", "x" * 5000)]
    cases += [fields + [evil] for fields in cases]
    cases += [[("Sec-Fetch-Site", first), ("Sec-Fetch-Site", second), evil] for first, second in (
        ("same-origin", "cross-site"), ("cross-site", "same-origin"), ("none", "cross-site"),
        ("cross-site", "none"))]
    cases += [[("Origin", origin)] for origin in (
        "null", "NULL", "", "*", "http://evil.test", "http://a.test.evil.test", "http://evil-a.test",
        "http://xa.test",
        "http://a.test@evil.test", "http://evil.test@a.test", "http://a.test:81", "https://a.test",
        "http://a.test:080x",
        "https://a.test:80", "http://a.test http://evil.test", "http://evil.test http://a.test",
        "http://a.test,x",
        "http://evil.test/http://a.test", "http://evil.test#http://a.test", "a.test", "//a.test",
        "file://a.test",
        "http://[a.test]", "http://a.test\\.evil.test", "http://a%2etest", "http:a.test", "ws://a.test",
        "http://a",
        "https://admin.test", "http://admin.test:8443", "https://admin.test:84430",
        "https://x.admin.test:8443",
        "https://admin.test:8443.evil.test", "http://a.test\xa0", "x" * 5000)]
    cases += [[own, evil], [evil, own], [own, ("Origin", "null")], [listed, evil], [evil, listed],
              [evil, ("Host-", HOST)], [evil, ("X-Forwarded-Host", "evil.test")],
              [("Origin", "https://a.test"), ("X-Forwarded-Proto", "https")],
              [evil, ("Referer", "http://a.test/")],
              [evil, ("X-HTTP-Method-Override", "GET")], [evil, ("Sec-Fetch-Mode", "navigate")],
              [evil, ("Sec-Fetch-Site-", "none")], [evil, ("X-Requested-With", "XMLHttpRequest")],
              [evil, ("Content-Type", "application/json")], [evil, ("Access-Control-Request-Method", "GET")]]
    for fields in cases:
        for ask in (status_1, status_2):
            check(ask(gateway, fields) in (400, 403), f"{ask.__name__} {fields}"[:200])
    for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND", "post", "get", "Options", "TRACE", "QUERY"):
        for ask in (status_1, status_2):
            check(ask(gateway, [evil], method) in (400, 403, 405, 501), f"{ask.__name__} {method}")
    for fields in ([own], [listed], [("Sec-Fetch-Site", "same-origin")], [("Sec-Fetch-Site", "none")],
                   [("Sec-Fetch-Site", "cross-site"), listed], []):
        for ask in (status_1, status_2):
            eq(ask(gateway, fields), 200, f"what may come in: {ask.__name__} {fields}")


LIMIT = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: {localRateLimit: [{maxTokens: %s, tokensPerFill: %s, fillInterval: 1h, key: '%s'}]}
      backends: [{host: @origin@}]
"""


def spellings():
    """(method, path, fields): what a client can vary without being another one."""
    for path in ("/x", "//x", "/%78", "/x?a=1", "/x/../x", "/y", "/x#", "/" + "y" * 3000):
        yield "POST", path, []
    for method in ("GET", "POST", "PUT", "OPTIONS", "DELETE"):
        yield method, "/x", []
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "Via", "User-Agent", "Cookie",
                 "Authorization", "X-Client-Id", "Origin"):
        for value in ("10.1.1.1", "for=10.2.2.2", "::1", "", "x" * 2000):
            yield "POST", "/x", [(name, value)]


@test("a client whose tokens are gone is refused whatever else it writes, and no backend is dialled",
      timeout=60)
def exhausted():
    for number, fill, key in ((0, 0, "source.address"), (0, 0, "request.headers[\"x-client\"]")):
        gateway, backend = acted(LIMIT % (number, fill, key))
        for method, path, fields in spellings():
            for ask in (status_1, status_2):
                check(ask(gateway, fields, method, path) in (400, 429),
                      f"{key} {method} {path[:20]} {fields}"[:200])
        backend.expect_no_connection(0.1)
        gateway.stop()
    for key, same in (("source.address", [[("X-Forwarded-For", "1.2.3.4")], [("X-Client", "other")], []]),
                      ("request.headers[\"x-client\"]",
                       [[], [("X-Client", "")], [("X_Client", "b")], [("X-Clients", "b")],
                        [("Cookie", "x-client=b")]]),
                      ("int(request.headers[\"x-client\"])",
                       [[("X-Client", "a")], [("X-Client", "1x")], []])):
        gateway, backend = acted(LIMIT % (1, 1, key))
        client = gateway.client().request("GET", "/x", headers=same[0])
        upstream = backend.accept()
        upstream.read_request()
        upstream.respond(200, [("Connection", "close")])
        eq(client.response().status, 200, f"the token of {key}")
        for fields in same * 2:
            for ask in (status_1, status_2):
                eq(ask(gateway, fields), 429, f"{key}: {fields}")
        if "source" in key:
            for method, path, fields in spellings():
                for ask in (status_1, status_2):
                    check(ask(gateway, fields, method, path) in (400, 429),
                          f"{method} {path[:20]} {fields}"[:200])
        backend.expect_no_connection(0.1)
        gateway.stop()
