# SPDX-License-Identifier: Apache-2.0
"""Expressions: what they read of connections and requests. A delay of 5 ms in the log says: true."""
from hg import *
from hg.pki import Authority
from hg.tls import Tls
from plays import play

CONFIG = """
config: {forwarded: {trusted: [%(trusted)s]}}
binds:
- port: @port@
  listeners:
  - routes:
%(routes)s
"""
ROUTE = """    - name: r%(index)d
      matches: [{path: {exact: /anything/%(index)d}}]
      policies:
        delay:
          duration: '(%(condition)s) ? 5 : 0'
      backends: [{host: @origin@}]
"""


def expect_true(conditions, headers=(), trusted="10.9.9.9/32", source="127.0.0.5"):
    """Each condition is true for a request with these fields from that address."""
    conditions = [c.replace("'", '"') for c in conditions]
    routes = "".join(ROUTE % {"index": i, "condition": c} for i, c in enumerate(conditions))
    gateway, _ = play(CONFIG % {"trusted": trusted, "routes": routes})
    client = gateway.client(source=source)
    for i in range(len(conditions)):
        client.request("GET", f"/anything/{i}?a=1&b=%41", headers, host="Shop.example:81")
        eq(client.response().status, 200, "status")
    wait_until(lambda: len(gateway.log()) == len(conditions), 5, "the access log")
    late = [line.get("delay") == "5ms" for line in gateway.log()]
    eq([c for c, is_late in zip(conditions, late) if not is_late], [], "what is not true")


@test("an expression reads the request and both ends of its connection")
def request_and_ends():
    expect_true([
        "request.method == 'GET' && request.path == '/anything/0' && request.host == 'Shop.example:81'",
        "request.pathAndQuery == '/anything/1?a=1&b=%41' && 'A' in request.uri.query('b')",
        "request.scheme == 'http' && request.version == 'HTTP/1.1'",
        "request.headers['X-A'] == 'one, two' && !has(request.headers.none)",
        "source.address == '127.0.0.5' && source.rawAddress == '::ffff:127.0.0.5'",
        "cidr('127.0.0.0/8').containsIP(source.address)",
        "source.port > 0 && source.port == source.rawPort",
        "destination.address == '127.0.0.1' && destination.port == @port@",
        "!has(destination.hostname) && !has(source.identity) && !has(source.subjectAltNames)",
        "string(request.startTime).startsWith('20')",
    ], [("X-A", "one"), ("x-a", "two")])


FORWARDED = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7,  8.8.8.8:99")]


@test("only a trusted peer says who the client is")
def untrusted_peer():
    expect_true(["source.address == '127.0.0.5'"], FORWARDED)


@test("behind trusted proxies the client is the last address that none of them has")
def trusted_peer():
    expect_true(["source.address == '8.8.8.8' && source.port == 99", "source.rawAddress == '127.0.0.5'"],
                FORWARDED, "127.0.0.5/32")
    expect_true(["source.address == '7.7.7.7'"], FORWARDED, "127.0.0.5/32, 8.8.8.8/32")
    expect_true(["source.address == '6.6.6.6'"], FORWARDED, "127.0.0.5/32, 8.8.8.8/32, 7.0.0.0/8")
    expect_true(["source.address == '6.6.6.6'"], FORWARDED, "0.0.0.0/0")


@test("what a trusted proxy writes that is no address ends at the proxy")
def unreadable():
    expect_true(["source.address == '127.0.0.5'"], [("X-Forwarded-For", "6.6.6.6, unknown")], "127.0.0.5/32")
    expect_true(["source.address == '127.0.0.5'"], [("X-Forwarded-For", "6.6.6.6, ")], "127.0.0.5/32")
    expect_true(["source.address == '2001:db8::1'"], [("X-Forwarded-For", "6.6.6.6, [2001:DB8::1]:80")],
                "127.0.0.5/32")
    expect_true(["source.address == '10.0.0.1'"], [("X-Forwarded-For", "::ffff:10.0.0.1")], "127.0.0.5/32")


MUTUAL = """
binds:
- port: @port@
  listeners:
  - hostname: one.example
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@, root: @root@, clientAuth: unverified}
    routes:
"""


@test("an expression reads the name and the certificate of a TLS client, the latter only if it was verified")
def certificate():
    conditions = [
        'source.subjectCn == "front" && source.issuer.contains("people") && source.subject == "CN=front"',
        'source.spiffeId == "spiffe://td/ns/web/sa/front" && "front.example" in source.subjectAltNames',
        'source.identity.trustDomain + source.identity.namespace == "tdweb" && '
        'source.identity.serviceAccount == "front"',
        'has(source.identity) && destination.hostname == "one.example" && request.scheme == "https"',
    ]
    servers, people = Authority("servers"), Authority("people")
    server = servers.issue("one.example")
    config = MUTUAL + "".join(ROUTE % {"index": i, "condition": c} for i, c in enumerate(conditions))
    gateway, _ = play(config, cert=server.cert, cert_key=server.key, root=people.cert)
    identity_uri = "spiffe://td/ns/web/sa/front"
    named = people.issue("front.example", identity_uri, client=True, cn="front")
    strange = Authority("others").issue("front.example", identity_uri, client=True, cn="front")
    for identity in (named, strange, None):
        client = Tls(gateway.port, servers, "one.example", identity=identity)
        for i in range(len(conditions)):
            eq(client.get(f"/anything/{i}", host="one.example").status, 200, "status")
    wait_until(lambda: len(gateway.log()) == 3 * len(conditions), 5, "the access log")
    eq([line.get("delay") for line in gateway.log()], ["5ms"] * 4 + [None] * 8, "delays")
