# SPDX-License-Identifier: Apache-2.0
"""Who reaches an MCP endpoint: no web page of another site, nobody who only knocks, no child the gateway."""
import json

from hg import *
from hg.mcp import BOTH, Mcp, McpGateway, OldMcp, config, stdio
from mcpplays import child, play

JSON = {"Content-Type": "application/json", "Accept": BOTH}


def initialize(gateway, headers, path="/mcp"):
    client = Mcp(gateway, start=False)
    body = json.dumps(client.message("initialize", client.introduction())).encode()
    return fetch(gateway.port, path, "POST", headers=[*JSON.items(), *headers], body=body)


@test("mcp sites: a page of another site gets 403, one of this host or of the list is served", timeout=60)
def origins():
    gateway, journal = play(settings={"allowedOrigins": ["https://app.example"]})
    for headers in ([("Origin", "http://localhost:6274")], [("Origin", "https://[::1]")], [],
                    [("Origin", "https://APP.example")], [("Sec-Fetch-Site", "same-origin")],
                    [("Origin", "http://127.0.0.1:1"), ("Sec-Fetch-Site", "cross-site")]):
        eq(initialize(gateway, headers).status, 200, f"{headers}")
    started = len(journal.pids())
    for headers in ([("Origin", "http://evil.example")], [("Origin", "null")], [("Origin", "file://")],
                    [("Origin", "http://app.example")], [("Origin", "https://app.example.evil.example")],
                    [("Origin", "http://evil.example"), ("Host", "evil.example")],
                    [("Sec-Fetch-Site", "cross-site")]):
        answer = initialize(gateway, headers)
        eq(answer.status, 403, f"{headers}: {answer.text}")
    eq(len(journal.pids()), started, "children started for pages of other sites")


@test("mcp sites: the site itself is an origin for clients of other hosts, whose names nobody can rebind")
def same_site():
    gateway, _ = play(more="config: {forwarded: {trusted: [127.0.0.1/32]}}\n")
    own = [("Origin", "http://tools.example:8080"), ("Host", "tools.example:8080")]
    eq(initialize(gateway, [*own, ("X-Forwarded-For", "10.0.0.1")]).status, 200, "a client of another host")
    eq(initialize(gateway, own).status, 403, "a client of this host")
    other = [own[0], ("Host", "tools.example"), ("X-Forwarded-For", "10.0.0.1")]
    eq(initialize(gateway, other).status, 403, "another port")


@test("mcp sites: with dnsRebindingProtection a client of another host is refused, whatever Host it writes")
def local_clients():
    gateway, _ = play(settings={"dnsRebindingProtection": True},
                      more="config: {forwarded: {trusted: [127.0.0.1/32]}}\n")
    for address, status in (("10.0.0.1", 403), ("::ffff:10.0.0.1", 403), ("127.9.9.9", 200), ("::1", 200)):
        got = initialize(gateway, [("Host", "localhost"), ("X-Forwarded-For", address)])
        eq(got.status, status, f"a client of {address}")


@test("mcp sites: a header that counts once is refused when it comes twice")
def twice():
    gateway, _ = play()
    client = Mcp(gateway)
    body = json.dumps(client.message("ping")).encode()
    for name, values in (("Mcp-Session-Id", (client.session, client.session)),
                         ("Mcp-Session-Id", (client.session, "0" * 32)),
                         ("Origin", ("http://localhost", "http://evil.example")),
                         ("MCP-Protocol-Version", ("2025-06-18", "2025-03-26")),
                         ("Content-Type", ("application/json", "application/json"))):
        headers = [(key, value) for key, value in {**JSON, "Mcp-Session-Id": client.session}.items()
                   if key != name]
        answer = fetch(gateway.port, "/mcp", "POST", headers=[*headers, *((name, one) for one in values)],
                       body=body)
        eq(answer.status, 400, f"{name} twice: {answer.text}")
    eq(client.request("ping"), {}, "afterwards")


@test("mcp sites: who only knocks starts no child: a stream of /sse, a bad initialize", timeout=60)
def knocking():
    gateway, journal = play()
    for headers in ({"Accept": "text/event-stream"}, {"Accept": "image/*,*/*;q=0.8"}):
        stream = gateway.client().request("GET", "/sse", headers=list(headers.items()))
        eq(stream.response_head("GET").status, 200, "the stream")
    client = Mcp(gateway, start=False)
    for params in (None, {}, {"protocolVersion": 7}):
        body = json.dumps(client.message("initialize", params)).encode()
        check(b'"error"' in fetch(gateway.port, "/mcp", "POST", headers=list(JSON.items()), body=body).body,
              f"initialize with {params}")
    eq(journal.pids(), [], "children")
    OldMcp(gateway)
    eq(len(journal.pids()), 1, "children of a client that initialized")


@test("mcp sites: bodies that are compressed or not UTF-8 are 415, and nobody claims to know an OAuth server")
def codings():
    gateway, _ = play()
    client = Mcp(gateway)
    for headers, status in (({"Content-Encoding": "gzip"}, 415), ({"Content-Encoding": "identity"}, 200),
                            ({"Content-Type": "application/json; charset=utf-16"}, 415),
                            ({"Content-Type": 'application/json; charset="UTF-8"'}, 200)):
        eq(client.post(client.message("ping"), headers).status, status, f"{headers}")
    routed = McpGateway("binds:\n- port: @port@\n  listeners: [{routes: [{backends: [{mcp: {targets: "
                     "[{name: one, stdio: {cmd: cat}}]}}]}]}]\n")
    for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server/mcp"):
        eq(fetch(routed.port, path).status, 404, path)


@test("mcp sites: a child cannot read the gateway's memory, environment or descriptors", needs=("root",))
def hidden():
    gateway, _ = play(uid=65534)
    seen = json.loads(Mcp(gateway).text("peek"))
    for what, found in seen.items():
        check(found.startswith("PermissionError"), f"{what}: {found}")


@test("mcp sites: a port is bound on the address that is written")
def bound():
    text = "binds:\n- port: @other@\n  bind: 127.0.0.2\n  listeners:\n  - routes:\n" \
           "    - policies: {directResponse: {status: 200, body: x}}\n"
    text = config([stdio()], more=text, bind="127.0.0.1")
    gateway = McpGateway(text)
    eq(Mcp(gateway).request("ping"), {}, "the MCP port")
    other = gateway.ports["other"]
    eq(fetch(f"127.0.0.2:{other}", "/").status, 200, "the other port")
    for address in (f"127.0.0.3:{gateway.port}", f"127.0.0.1:{other}", f"[::1]:{other}"):
        try:
            fetch(address, "/")
        except (OSError, Failure):
            continue
        raise Failure(f"{address} was served")
    for bad in ("localhost", "127.0.0.1:80", "", "eth0"):
        status, out, error = validate(f"binds: [{{port: 1, bind: '{bad}', listeners: [{{routes: []}}]}}]\n")
        check(status != 0 and "bind: 127.0.0.1" in out + error, f"{bad!r}: {out}{error}")
