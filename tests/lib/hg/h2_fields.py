# SPDX-License-Identifier: Apache-2.0
"""Strict checks of header sections (RFC 9113): a Failure where a lenient reader would accept."""
import re

from hg.framework import check
from hg.http1 import Fields, Request, Response

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
VALUE = re.compile(rb"|[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?")
CONNECTION_SPECIFIC = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
                       b"http2-settings"}


def judge_fields(fields):
    """({pseudo-header field: value}, Fields): RFC 9113 8.2, 8.3."""
    pseudo, rest = {}, []
    for name, value in fields:
        name, value = bytes(name), bytes(value)
        check(VALUE.fullmatch(value), f"value of {name!r}: {value!r}")
        if name.startswith(b":"):
            check(not rest and name.decode() not in pseudo, f"pseudo-header field {name!r}: {fields}")
            pseudo[name.decode()] = value.decode("latin-1")
            continue
        check(TOKEN.fullmatch(name), f"field name {name!r}")
        check(name not in CONNECTION_SPECIFIC, f"connection-specific field {name!r}")
        check(name != b"te" or value == b"trailers", f"te: {value!r}")
        rest.append((name.decode(), value.decode("latin-1")))
    return pseudo, Fields(rest)


def judge_request(pseudo, rest):
    method = pseudo.pop(":method", None)
    check(method, "no :method")
    protocol, authority = pseudo.pop(":protocol", None), pseudo.pop(":authority", None)
    scheme, path = pseudo.pop(":scheme", None), pseudo.pop(":path", None)
    if method == "CONNECT" and protocol is None:
        check(scheme is None and path is None and authority, "CONNECT with :scheme or :path")
    else:
        check(scheme in ("http", "https") and path, f":scheme {scheme!r}, :path {path!r}")
        check(path.startswith("/") or (path, method) == ("*", "OPTIONS"), f":path {path!r}")
    check(not pseudo, f"unknown pseudo-header fields {pseudo}")
    hosts = rest.all("Host")
    check(authority or hosts, "neither :authority nor host")
    check(all(host == authority for host in hosts), f":authority {authority!r}, host {hosts}")
    request = Request(method, path, "2", rest)
    request.authority, request.scheme, request.protocol = authority, scheme, protocol
    return request


def judge_response(pseudo, rest):
    status = pseudo.pop(":status", "")
    check(re.fullmatch("[1-5][0-9]{2}", status) and not pseudo, f":status {status!r}, {pseudo}")
    return Response(int(status), "", "2", rest)
