# SPDX-License-Identifier: Apache-2.0
"""Filters of a backendRef: for the requests that go to this backend, and for no others."""
from hg import *
from manifests import GATEWAY, ROUTE, SERVICE

RULES = """
  - matches: [{path: {value: /}}]
    backendRefs:
    - {name: svc, port: 80, weight: 1, filters: [%s]}
    - {name: svc, port: 80, weight: 1}
---"""


def play(filters, more=""):
    origin = Origin()
    return Gateway(GATEWAY + SERVICE + ROUTE + RULES % filters + more, origin_port=origin.port), origin


def both(gateway, path, what):
    """What `what` says of the answers; both backends are chosen within 64 requests."""
    found = {what(gateway.fetch(path)) for _ in range(64)}
    eq(len(found), 2, f"kinds of answer in {found}")
    return found


cases = table("filters of a backendRef")


@cases("URLRewrite changes host and path for this backend")
def rewrite():
    gateway, _ = play("{type: URLRewrite, urlRewrite: {hostname: new.example, path: {type: ReplaceFullPath, "
                      "replaceFullPath: /headers}}}")
    found = both(gateway, "/status/204",
                 lambda a: (a.status, a.status == 200 and a.json()["headers"]["Host"]))
    eq(found, {(204, False), (200, "new.example")}, "answers")


@cases("RequestRedirect answers for this backend")
def redirect():
    gateway, _ = play("{type: RequestRedirect, requestRedirect: {hostname: new.example, statusCode: 301}}")
    eq(both(gateway, "/status/204", lambda a: a.status), {204, 301}, "statuses")


@cases("RequestMirror copies what goes to this backend")
def mirror():
    copies = Backend()
    slice_of = SERVICE.replace("name: svc", "name: copy").replace("service-name: svc", "service-name: copy") \
        .replace("@origin_port@", str(copies.port))
    gateway, _ = play("{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}",
                      "\n" + slice_of)
    for _ in range(64):
        eq(gateway.fetch("/status/204").status, 204, "status")
    eq(copies.accept().read_request().target, "/status/204", "target of a copy")
    count = gateway.metrics()("headgate_mirrored_requests_total")
    check(0 < count < 64, f"{count} copies of 64 requests")


@cases("a filter that is not supported there answers 500 for this backend alone")
def refused():
    gateway, _ = play("{type: ExtensionRef, extensionRef: {group: x.example, kind: Thing, name: t}}")
    eq(both(gateway, "/status/204", lambda a: a.status), {204, 500}, "statuses")
