# SPDX-License-Identifier: Apache-2.0
"""Fields that change on the way: X-Forwarded-*, Via, and everything hop-by-hop."""
import re

from hg import *
from plays import SIMPLE, acted, play

TRUSTING = SIMPLE + "config:\n  forwarded: {trusted: [127.0.0.0/8]}\n"
SPOOFED = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7"), ("X-Forwarded-Proto", "https"),
           ("X-Forwarded-Host", "evil"), ("Forwarded", "for=6.6.6.6")]


def seen(client, headers=(), host=None):
    """The fields at the backend, lower-cased names."""
    answer = client.request("GET", "/anything", headers, host=host).response()
    return {name.lower(): value for name, value in answer.json()["headers"].items()}


@test("a request arrives with the client's address, the scheme and the host it asked for")
def added():
    gateway, _ = play()
    got = seen(gateway.client(source="127.0.0.5"), host="shop.example:8080")
    eq((got["x-forwarded-for"], got["x-forwarded-proto"], got["x-forwarded-host"]),
       ("127.0.0.5", "http", "shop.example:8080"), "X-Forwarded-*")


@test("what a stranger says about itself is replaced")
def untrusted():
    gateway, _ = play()
    got = seen(gateway.client(), SPOOFED, host="real")
    eq((got["x-forwarded-for"], got["x-forwarded-proto"], got["x-forwarded-host"], got.get("forwarded")),
       ("127.0.0.1", "http", "real", None), "fields")


def play_at(backend, more=""):
    return Gateway(more + """
binds:
- port: @port@
  listeners: [{routes: [{backends: [{host: @origin@}]}]}]
""", origin=backend)


@test("what a trusted peer says is kept, and its address appended")
def trusted():
    gateway, _ = play(TRUSTING)
    got = seen(gateway.client(), SPOOFED, host="real")
    eq((got["x-forwarded-for"], got["x-forwarded-proto"], got["x-forwarded-host"], got.get("forwarded")),
       ("6.6.6.6, 7.7.7.7, 127.0.0.1", "https", "evil", "for=6.6.6.6"), "fields")
    got = seen(gateway.client(), host="plain")
    eq((got["x-forwarded-for"], got["x-forwarded-host"]), ("127.0.0.1", "plain"), "without any")


@test("trust is a matter of address: a list that does not fit trusts nobody, IPv6 peers are named without "
      "brackets")
def trust_list():
    gateway, _ = play(SIMPLE + "config:\n  forwarded: {trusted: [10.0.0.0/8, '::1/128']}\n")
    eq(seen(gateway.client(), SPOOFED)["x-forwarded-for"], "127.0.0.1", "from 127.0.0.1")
    eq(seen(Raw(("::1", gateway.port)), SPOOFED)["x-forwarded-for"], "6.6.6.6, 7.7.7.7, ::1", "from ::1")


@test("forwarded: off adds nothing, and takes nothing away that does not say who the client is")
def forwarded_off():
    gateway, _ = play(SIMPLE + "config:\n  forwarded: {mode: 'off'}\n")
    got = seen(gateway.client(), SPOOFED)
    eq((got["x-forwarded-for"], got["x-forwarded-host"], got["forwarded"]),
       (["6.6.6.6", "7.7.7.7"], "evil", "for=6.6.6.6"), "fields")
    check("x-forwarded-for" not in seen(gateway.client()), "X-Forwarded-For was added")


def trusted_fields():
    """{name: is it taken from strangers where forwarded.mode is off}, from the table in the reference."""
    with open("config/README.md", encoding="utf-8") as file:
        table = file.read().split("<!-- trusted: ")[1].split("<!-- end of trusted -->")[0]
    rows = re.findall(r"(?m)^\| `([^`]+)` \| (in both modes|`append`) \|", table)
    return {name.replace("-*", "*").replace("*", "-x"): mode == "in both modes" for name, mode in rows}


@test("each field of the reference's table is taken from strangers, those that name the client in either "
      "mode, whatever the spelling, and a trusted peer's pass")
def documented():
    fields = trusted_fields()
    check(len(fields) > 20 and "x-forwarded-client-cert" in fields, sorted(fields))
    ours = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
    for mode in ("append", "'off'"):
        for trusted in ("10.0.0.0/8", "127.0.0.0/8"):
            gateway, _ = play(SIMPLE + f"config: {{forwarded: {{mode: {mode}, trusted: [{trusted}]}}}}\n")
            got = set()
            for spell in (str, str.title, *(lambda name, to=to: name.replace("-", to) for to in "_.")):
                spelled = [(spell(name), "forged") for name in [*fields, "x-fine"]]
                got |= {re.sub("[_.]", "-", name) for name, value in seen(gateway.client(), spelled).items()
                        if "forged" in value}
            want = {name for name, always in fields.items()
                    if trusted.startswith("127") or (mode != "append" and not always)}
            eq(sorted(got - ours), sorted((want | {"x-fine"}) - ours), f"mode {mode}, trusted {trusted}")


@test("Connection cannot take away what a trusted peer says of the client")
def nominated():
    gateway, _ = play(TRUSTING)
    got = seen(gateway.client(), [("X-Forwarded-Client-Cert", "Hash=00"), ("X-One", "1"),
                                  ("Connection", "X-Forwarded-Client-Cert, X-One, X-Real-IP"),
                                  ("X-Real-IP", "192.0.2.1")])
    eq((got.get("x-forwarded-client-cert"), got.get("x-real-ip"), got.get("x-one")),
       ("Hash=00", "192.0.2.1", None), "fields")


@test("X-Forwarded-Host is what the client asked for, not what a rewrite makes of it")
def host_before_rewrite():
    gateway, _ = play(SIMPLE.replace("      backends:",
                                     "      policies: {urlRewrite: {authority: {full: inner.test}}}\n"
                                     "      backends:"))
    got = seen(gateway.client(), host="outer.test")
    eq((got["host"], got["x-forwarded-host"]), ("inner.test", "outer.test"), "Host and X-Forwarded-Host")


@test("hop-by-hop fields and what Connection nominates do not travel, in either direction")
def hop_by_hop():
    gateway, backend = acted()
    client = gateway.client()
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-One\r\nConnection: x-two\r\n"
                "X-One: 1\r\nX-Two: 2\r\n"
                "X-Three: 3\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
                "TE: gzip, trailers\r\n"
                "HTTP2-Settings: x\r\nTrailer: X-T\r\n\r\n")
    upstream = backend.accept()
    request = upstream.read_request()
    names = {name.lower() for name, _ in request.headers.pairs}
    eq(names & {"x-one", "x-two", "keep-alive", "proxy-connection", "http2-settings", "upgrade"}, set(),
       "dropped fields")
    eq((request.header("X-Three"), request.header("TE"), request.header("Connection")),
       ("3", "trailers", "te"), "kept")
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Secret, keep-alive\r\n"
                  "X-Secret: 1\r\n"
                  "Keep-Alive: timeout=9\r\nProxy-Connection: a\r\nX-Public: 2\r\nUpgrade: h2c\r\n\r\nok")
    answer = client.response()
    names = {name.lower() for name, _ in answer.headers.pairs}
    eq(names & {"x-secret", "keep-alive", "proxy-connection", "connection", "upgrade"}, set(),
       "dropped fields")
    eq(answer.header("X-Public"), "2", "kept")


@test("a nomination of a field that routes, frames, authorises or was added by us is ignored")
def protected():
    gateway, _ = play()
    names = ["Host", "Content-Length", "Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Host",
             "Content-Type",
             "Forwarded", "X-Forwarded-Proto"]
    client = gateway.client()
    client.request("POST", "/anything", [("Connection", ", ".join(names)), ("Authorization", "Basic eA=="),
                                         ("Cookie", "a=b"), ("Content-Type", "text/plain")], body=b"hello",
                                         host="here")
    got = client.response().json()
    headers = {name.lower(): value for name, value in got["headers"].items()}
    eq((headers["host"], headers["authorization"], headers["cookie"], headers["content-type"],
        headers["x-forwarded-for"],
        headers["x-forwarded-host"], got["body"]),
       ("here", "Basic eA==", "a=b", "text/plain", "127.0.0.1", "here", "hello"), "fields")


@test("a nomination does not take away what a rule of the route sets")
def rules_survive():
    gateway, _ = play(SIMPLE.replace("      backends:", "      policies:\n        requestHeaderModifier:\n"
                                     "          set: {x-role: guest, x-forwarded-proto: https}\n      "
                                     "backends:"))
    got = seen(gateway.client(), [("Connection", "x-role"), ("X-Role", "admin")])
    eq((got["x-role"], got["x-forwarded-proto"]), ("guest", "https"), "fields set by the rule")


@test("Via is added only when asked for, in both directions, behind what is there")
def via():
    gateway, _ = play()
    answer = gateway.client().get("/anything")
    eq((answer.header("Via"), answer.json()["headers"].get("Via")), (None, None), "without via")
    gateway, _ = play(SIMPLE + "config:\n  via: true\n")
    answer = gateway.client().get("/anything", [("Via", "1.0 before")])
    eq((answer.header("Via"), answer.json()["headers"]["Via"]),
       ("1.1 headgate", ["1.0 before", "1.1 headgate"]), "with via")


@test("fields keep their order, spelling and repetition")
def order():
    gateway, _ = play()
    sent = [("b-Field", "1"), ("A-field", "2"), ("b-Field", "3"), ("x", ""), ("X-Bytes", "caf\u00e9 \t tab"),
            ("Cookie", "a=b"),
            ("Cookie", "c=d")]
    got = gateway.client().get("/anything", sent).json()["order"]
    eq([tuple(pair) for pair in got if pair[0].lower() in {"b-field", "a-field", "x", "x-bytes", "cookie"}],
       sent, "fields")


@test("response fields keep their order and repetition")
def response_order():
    gateway, _ = play()
    answer = gateway.client().get("/response-headers?Set-Cookie=a%3D1&X-B=2&Set-Cookie=b%3D2&X-A=1")
    eq([pair for pair in answer.headers.pairs if pair[0] in ("Set-Cookie", "X-B", "X-A")],
       [("Set-Cookie", "a=1"), ("X-B", "2"), ("Set-Cookie", "b=2"), ("X-A", "1")], "fields")


@test("a name that is read as a framing one never passes, nor does a trailer that speaks for a gateway")
def twins():
    backend = Backend()
    gateway = play_at(backend)
    client = gateway.client().send(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent_Length: 7\r\n"
        "transfer_Encoding: chunked\r\nProxy_Connection: close\r\nX_Fine: 1\r\n\r\n"
        "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n"
        "X-Forwarded-Port: 1\r\nAUTHORIZATION: x\r\nContent_Length: 9\r\nX_Sum: 2\r\n\r\n")
    upstream = backend.accept()
    head = upstream.read_until(b"\r\n\r\n").decode()
    names = [line.split(":")[0].lower() for line in head.split("\r\n")[1:] if line]
    eq([name for name in names if "_" in name], ["x_fine"], "names with an underscore")
    body = upstream.read_until(b"\r\n\r\n").decode()
    eq(body, "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX_Sum: 2\r\n\r\n", "body and trailers")
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer_Encoding: x\r\n\r\n"
                  "0\r\nX-Sum: 3\r\nX-Forwarded-Server: me\r\n\r\n")
    answer = client.read_until(b"X-Sum: 3\r\n\r\n").decode()
    check("X-Forwarded-Server" not in answer and "Transfer_Encoding" not in answer, answer)


@test("names with underscores are kept, dropped or refused, as configured")
def underscores():
    for rule, want in (("keep", "1"), ("drop", None), ("reject", 400)):
        backend = Backend()
        gateway = play_at(backend, f"frontendPolicies: {{http: {{headersWithUnderscores: {rule}}}}}\n")
        client = gateway.client().request("GET", "/", {"X_Fine": "1"})
        if want == 400:
            eq(client.response().status, 400, "status")
            continue
        upstream = backend.accept()
        eq(upstream.read_request().header("X_Fine"), want, f"the field with {rule}")
        upstream.respond(200)
        eq(client.response().status, 200, "status")
