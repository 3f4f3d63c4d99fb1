# SPDX-License-Identifier: Apache-2.0
"""The MCP endpoint as HTTP sees it: what it accepts, what it refuses and how; the life of a session."""
import json
import select

from hg import *
from hg.mcp import BOTH, MODERN, VERSIONS, Mcp, McpGateway, OldMcp, config, stdio
from mcpplays import child, expect_gone, fails, patient, play


def expect_refused(answer, status, what):
    eq(answer.status, status, f"status of {what}")
    check(answer.status < 500, f"{what} is a fault of the client")


# ---- heads -----------------------------------------------------------------------------------------------


@test("mcp: initialize gives a session for each protocol version, and a tool can be called")
def each_version():
    gateway, journal = play()
    for version in VERSIONS:
        client = Mcp(gateway, version=version)
        eq(client.version, version, "version")
        check(client.session and len(client.session) >= 22, f"session id {client.session}")
        check(client.session.isascii() and client.session.isprintable(), "plain ASCII")
        eq(json.loads(client.text("echo", {"a": "é✓", "n": 1})), {"a": "é✓", "n": 1}, "echo")
        eq(client.request("ping"), {}, "ping")
    eq(journal.messages("notifications/initialized") != [], True, "the child is told initialized")


@test("mcp: a protocol version that nobody knows is answered with one that both know")
def unknown_version():
    gateway, _ = play()
    client = Mcp(gateway, version="1999-01-01")
    check(client.version in VERSIONS, f"version {client.version}")


@test("mcp: Accept without both types is 406, another Content-Type 415, what is no JSON 400")
def heads():
    gateway, journal = play()
    client = Mcp(gateway)
    ping = client.message("ping")
    for accept in ("application/json", "text/event-stream", "text/html", ""):
        expect_refused(client.post(ping, {"Accept": accept}), 406, f"Accept {accept!r}")
    expect_refused(client.post(ping, drop=("Accept",)), 406, "no Accept")
    for accept in (BOTH, "text/event-stream,application/json",
                   "Application/JSON;q=0.5, Text/Event-Stream;q=1"):
        eq(client.send(ping, {"Accept": accept}, number=ping["id"]).result(), {}, f"Accept {accept!r}")
    for kind in ("text/plain", "application/jsonx", "application/x-www-form-urlencoded", "x/json"):
        expect_refused(client.post(ping, {"Content-Type": kind}), 415, f"Content-Type {kind!r}")
    expect_refused(client.post(ping, drop=("Content-Type",)), 415, "no Content-Type")
    for kind in ("application/json; charset=utf-8", "Application/Json;charset=UTF-8"):
        eq(client.send(ping, {"Content-Type": kind}, number=ping["id"]).result(), {}, f"type {kind!r}")
    for body in (b"", b"{", b"hello", b'{"jsonrpc":"2.0","id":1,"method":"ping"', b"\xff\xfe", b"17",
                 b'"x"', b"null", b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b'{"id":1,"method":"ping"}',
                 b'{"jsonrpc":"2.0","id":{},"method":"ping"}', b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
                 b'{"jsonrpc":"2.0","id":1,"method":7}', b'{"jsonrpc":"2.0","id":1}', b"[]",
                 b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0"}',
                 b"[" * 100000 + b"]" * 100000):
        answer = client.post(body)
        expect_refused(answer, 400, f"body {body[:60]!r}")
        check(json.loads(answer.body)["error"]["code"] in (-32700, -32600), f"{body[:60]!r}: {answer.text}")
    eq(journal.events("not_json"), [], "lines that are no JSON at the child")
    eq(client.text("echo"), "{}", "the session still works")


@test("mcp: without a session id 400, with one that nobody gave 404, for each method of HTTP")
def session_ids():
    gateway, _ = play()
    client = Mcp(gateway)
    good = client.session
    other = ("A" if good[0] != "A" else "B") + good[1:]
    for wrong, status in ((None, 400), (other, 404), ("", 400), ("x", 404), (good + "x", 404),
                          ("y" * 4000, 404)):
        client.session = None
        head = {} if wrong is None else {"Mcp-Session-Id": wrong}
        shown = (wrong or "")[:30]
        answer = client.post(client.message("tools/list"), head)
        check(answer.status == status or (wrong == "" and answer.status == 404),
              f"POST with {shown!r}: {answer.status}")
        expect_refused(client.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, head),
                       answer.status, f"a notification with {shown!r}")
        streamed = client.send(None, {"Accept": "text/event-stream", **head}, "GET")
        expect_refused(streamed.body(), answer.status, f"GET with {shown!r}")
        expect_refused(client.send(None, head, "DELETE").body(), answer.status, f"DELETE with {shown!r}")
    client.session = good
    eq(client.text("echo"), "{}", "the session that is there")


@test("mcp: a notification and an answer are 202 without a body")
def accepted():
    gateway, journal = play()
    client = Mcp(gateway)
    for body in ({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
                 {"jsonrpc": "2.0", "id": 99, "result": {}},
                 {"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "no"}}):
        answer = client.post(body)
        eq((answer.status, answer.body), (202, b""), f"{body}")
    wait_until(lambda: journal.messages("notifications/roots/list_changed"), 10, "it to reach the child")
    eq(journal.events("stray_answer"), [], "answers to what the child never asked")


@test("mcp: other methods of HTTP are 405 with Allow, other paths 404")
def other_methods():
    gateway, _ = play()
    client = Mcp(gateway)
    for method in ("PUT", "PATCH"):
        answer = client.send(b"{}", (), method).body()
        expect_refused(answer, 405, method)
        check("POST" in (answer.header("Allow") or ""), f"Allow of {method}: {answer.header('Allow')}")
    for path in ("/", "/mcp2", "/other"):
        eq(client.send(client.message("ping"), path=path).body().status, 404, f"status of {path}")


@test("mcp: MCP-Protocol-Version: unknown is 400, absent is the one of the session")
def version_header():
    gateway, _ = play()
    client = Mcp(gateway)
    for version in ("1999-01-01", "2025-13-45", "latest", "2025-06-18x"):
        expect_refused(client.post(client.message("ping"), {"MCP-Protocol-Version": version}), 400, version)
    ping = client.message("ping")
    eq(client.send(ping, drop=("MCP-Protocol-Version",), number=ping["id"]).result(), {}, "without the field")


@test("mcp: ids come back as they were: numbers, strings, large and odd ones, two at a time")
def ids():
    gateway, _ = play()
    client = Mcp(gateway)
    for number in (0, 1, -1, 1 << 53, "1", "", "a\"b\\c", "é✓", "x" * 200, "null"):
        exchange = client.begin("echo", {"n": str(number)}, number=number)
        exchange.result()
        eq(exchange.answer["id"], number, "id")
        eq(type(exchange.answer["id"]), type(number), "type of the id")
    first, second = client.begin("reorder", {"n": 1}, number=1), client.begin("reorder", {"n": 2}, number="1")
    eq([first.result()["content"][0]["text"], second.result()["content"][0]["text"]], ["1", "2"],
       "1 and \"1\" are two ids")


@test("mcp: what is in a call goes through untouched: numbers, escapes, order, spaces")
def untouched():
    gateway, journal = play(child(raw=True))
    client = Mcp(gateway)
    arguments = ('{"z":1e400,"a":0.10000000000000000000001, "b":12345678901234567890123,'
                 '"s":"\\u00e9\\/\\ud83d\\ude00","o":{"b":1,"a":2},"e":[ ]}')
    body = ('{ "params" : {"arguments":' + arguments + ' , "name":"who"},"method":"tools/call",'
            '"id":"k1" , "jsonrpc":"2.0" }')
    check(client.send(body.encode(), number="k1").result()["content"], "an answer")
    lines = [one["line"] for one in journal.events("line") if '"tools/call"' in one["line"]]
    eq(len(lines), 1, "lines with the call")
    check(arguments in lines[0], f"the arguments at the child: {lines[0]}")


@test("mcp: a batch is taken from 2025-03-26 only")
def batches():
    gateway, _ = play()
    client = Mcp(gateway, version="2025-03-26")
    batch = [client.message("ping", number="a"),
             client.message("tools/call", {"name": "echo", "arguments": {}}, number="b"),
             {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}]
    exchange = client.send(batch)
    found = {}
    if exchange.is_stream:
        while (message := exchange.next()) is not None:
            for one in message if isinstance(message, list) else [message]:
                found[one["id"]] = one
        found.update({one["id"]: one for one in client.strays})
    else:
        found = {one["id"]: one for one in exchange.body().json()}
    eq(set(found), {"a", "b"}, "answers")
    newer = Mcp(gateway, version="2025-06-18")
    expect_refused(newer.post([newer.message("ping")]), 400, "a batch of 2025-06-18")


# ---- Origin, Host ----------------------------------------------------------------------------------------


@test("mcp: dnsRebindingProtection refuses foreign hosts and origins with 403")
def rebinding():
    gateway, journal = play(settings={"dnsRebindingProtection": True})
    good = [{}, {"Host": "localhost"}, {"Host": f"127.0.0.1:{gateway.port}"}, {"Host": "[::1]:1"},
            {"Origin": "http://localhost"}, {"Origin": f"http://127.0.0.1:{gateway.port}"},
            {"Host": "LOCALHOST", "Origin": "https://[::1]:8443"}]
    for head in good:
        client = Mcp(gateway, headers=head)
        eq(client.request("ping"), {}, f"{head}")
    initialized = len(journal.messages("initialize"))
    bad = [{"Host": "evil.example"}, {"Host": "localhost.evil.example"}, {"Host": "127.0.0.1.nip.example"},
           {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost.evil.example"},
           {"Origin": "http://localhost@evil.example"}, {"Origin": "file://"},
           {"Origin": "http://127.0.0.1x"}, {"Origin": "ftp://localhost"}]
    for head in bad:
        client = Mcp(gateway, headers=head, start=False)
        answer = client.post(client.message("initialize", client.introduction()))
        check(answer.status == 403, f"{head}: {answer.status}")
    eq(len(journal.messages("initialize")), initialized, "children that were started for them")


@test("mcp: without dnsRebindingProtection any Host will do")
def no_rebinding():
    gateway, _ = play()
    eq(Mcp(gateway, headers={"Host": "tools.example"}).request("ping"), {}, "ping")


# ---- sessions --------------------------------------------------------------------------------------------


@test("mcp: DELETE ends a session: 404 from then on, the child ends, the stream of GET too")
def delete():
    gateway, journal = play()
    client = Mcp(gateway)
    client.text("echo")
    stream, session, pid = client.listen(), client.session, journal.pids()[-1]
    answer = client.delete()
    check(answer.status in (200, 204), f"DELETE: {answer.status}")
    eq(stream.next(), None, "the stream of GET")
    expect_gone(pid)
    client.session = session
    expect_refused(client.post(client.message("ping")), 404, "POST")
    expect_refused(client.send(None, {"Accept": "text/event-stream"}, "GET").body(), 404, "GET")
    expect_refused(client.send(None, (), "DELETE").body(), 404, "a second DELETE")
    client.session = None


@test("mcp: DELETE in the middle of a call ends the call")
def delete_with_call():
    gateway, journal = play()
    client = Mcp(gateway)
    call = client.begin("sleep", {"seconds": 60})
    journal.wait("message", count=3)
    client.delete()
    try:
        call.end()
    except Failure as failure:
        check("silence" not in str(failure), f"the call hangs: {failure}")
    expect_gone(journal.pids()[-1])


@test("mcp: a session that is not used ends after sessionTtl, its child with it; one in use lives",
      timeout=60)
def ttl():
    gateway, journal = play(more="config: {mcp: {sessionTtl: 2s}}")
    idle, streaming = Mcp(gateway), Mcp(gateway)
    stream = streaming.listen()
    pids = journal.pids()
    by_session = {idle.text("who").split()[1]: idle, streaming.text("who").split()[1]: streaming}
    eq(set(by_session), {str(pid) for pid in pids}, "a child a session")
    gone = [pid for pid in pids if by_session[str(pid)] is idle][0]
    expect_gone(gone, 30)
    answer = idle.post(idle.message("ping"))
    eq(answer.status, 404, "the idle one")
    idle.session = None
    eq(streaming.request("ping"), {}, "the one with a stream")
    stream.close()


@test("mcp: session ids cannot be guessed: no two alike, nothing counts up")
def unguessable():
    gateway, _ = play()
    seen = []
    for _ in range(12):
        client = Mcp(gateway)
        seen.append(client.session)
        client.delete()
    eq(len(set(seen)), len(seen), "different ids")
    for left, right in zip(seen, seen[1:]):
        same = sum(a == b for a, b in zip(left, right))
        check(same < len(left) / 2, f"alike: {left} {right}")


@test("mcp: two clients have children of their own and do not hear of each other")
def apart():
    gateway, journal = play()
    one, two = Mcp(gateway), Mcp(gateway)
    check(one.text("who") != two.text("who"), "one child for two sessions")
    stream = two.listen()
    one.call("log", {"general": True, "data": "of one"})
    two.call("log", {"general": True, "data": "of two"})
    eq(stream.until("notifications/message")["data"], "of two", "the log of two")
    eq(len(journal.pids()), 2, "children")


@test("mcp: a second stream of GET: the first ends or the second is 409, and messages come once")
def two_streams():
    gateway, _ = play()
    client = Mcp(gateway)
    first = client.listen()
    second = client.send(None, {"Accept": "text/event-stream"}, "GET", drop=("Content-Type",))
    check(second.status in (200, 409), f"the second GET: {second.head}")
    client.call("log", {"general": True, "data": "once"})
    if second.status == 409:
        eq(first.until("notifications/message")["data"], "once", "on the first")
    else:
        eq(second.until("notifications/message")["data"], "once", "on the second")


@test("mcp: a body over the limit is refused with 413 while others work", timeout=60)
def large_body():
    gateway, journal = play()
    client, other = Mcp(gateway), Mcp(gateway)
    eq(len(client.text("echo", {"a": "x" * (1 << 20)})) > (1 << 20), True, "a call of 1 MiB")
    before = gateway.rss_bytes()
    huge = client.connection()
    head = [(name, value) for name, value in client.base_headers() if value]
    huge.request("POST", "/mcp", [*head, ("Content-Length", str(1 << 30)), ("Expect", "100-continue")])
    answer = huge.response_head("POST")
    if answer.status == 100:
        huge.send_until_answered(b"x" * 65536)
        answer = huge.response_head("POST")
    eq(answer.status, 413, "a body of 1 GiB")
    huge.close()
    eq(other.request("ping"), {}, "another client")
    check(gateway.rss_bytes() - before < (64 << 20) * factor(), "memory for what was refused")
    check(all(len(json.dumps(one)) < 8 << 20 for one in journal.messages()), "it went to the child")


@test("mcp: the session id that clients of 2024-11-05 have in their query is in no log and no list")
def no_session_in_log():
    gateway, _ = play()
    client = OldMcp(gateway)
    secret = client.message_path.partition("=")[2]
    check(len(secret) >= 16, f"the endpoint is {client.message_path}")
    client.call("echo", {"a": 1})
    entry = gateway.wait_log(lambda r: r.get("mcp.tool") == "echo")
    eq((entry["http.path"], secret.startswith(entry["mcp.session"])), ("/sse", True), "path and session")
    shown = json.dumps([gateway.streams(), gateway.admin_json("/streams?history=1"),
                        gateway.admin_json("/mcp/sessions")])
    check(secret not in "".join(r.line for r in gateway.log()), "the log shows it")
    check(secret not in shown, "a list shows it")


@test("mcp: bodies that are not finished count with the memory they take, not with what has come of them",
      timeout=120)
def grown_bodies():
    gateway, _ = play()
    client, other = Mcp(gateway), Mcp(gateway)
    head = [(name, value) for name, value in client.base_headers() if value]

    def begin(size):
        one = client.connection().request("POST", "/mcp", [*head, ("Content-Length", str((4 << 20) - 1))])
        return one.send(b"x" * size)

    # 61 of 64 MiB; with its next byte one of two takes four instead of two.
    held = [begin((4 << 20) - 2) for _ in range(14)] + [begin(2 << 20), begin(2 << 20), begin(1 << 20)]
    eq(other.request("ping"), {}, "a small body")
    total = 14 * ((4 << 20) - 2) + (5 << 20)
    wait_until(lambda: sum(one["bytes_in"] for one in gateway.streams()) == total, 30, "the bodies")
    eq(other.request("ping"), {}, "a small body behind them")
    for one in held[14:16]:
        one.send(b"x" * 65536)
    wait_until(lambda: select.select([one.socket for one in held], [], [], 0)[0], 10, "a refusal")
    refused = select.select([one.socket for one in held], [], [], 0)[0]
    eq([one.response_head("POST").status for one in held if one.socket in refused], [503], "the refused")
    eq(other.request("ping"), {}, "a small body behind it")


@test("mcp: bodies that are not finished are bounded in all", timeout=120)
def unfinished_bodies():
    gateway, _ = play()
    client, other = Mcp(gateway), Mcp(gateway)
    head = [(name, value) for name, value in client.base_headers() if value]

    def begin(count):
        one = client.connection().request("POST", "/mcp", [*head, ("Content-Length", str(4 << 20))])
        return one.send_until_answered(b"x" * 65536, count)

    def is_refused(one):
        return bool(select.select([one.socket], [], [], 0)[0])

    def complete():
        late = begin(4 << 20)
        status = late.response_head("POST").status
        late.close()
        return status

    held = [begin((4 << 20) - 1) for _ in range(17)]
    wait_until(lambda: any(map(is_refused, held)), 30, "one body too many to be refused")
    refused = [one for one in held if is_refused(one)]
    eq({one.response_head("POST").status for one in refused}, {503}, "what the refused get")
    eq(other.request("ping"), {}, "a small body")
    for connection in held:
        connection.close()
    wait_until(lambda: complete() == 400, 30, "the room of those that left")


@test("mcp: a call of 3 MiB and an answer of 3 MiB go through")
def large_messages():
    gateway, _ = play()
    client = Mcp(gateway)
    size = 3 << 20
    eq(len(client.text("big", {"bytes": size})), size, "an answer")
    eq(len(json.loads(client.text("echo", {"a": "y" * (size // 2)}))["a"]), size // 2, "there and back")


@test("mcp: the same as a backend of a route, beside others, with the policies of the route")
def as_backend():
    target = json.dumps({"targets": [stdio("inner")]})
    gateway = McpGateway(f"""
binds:
- port: @port@
  listeners:
  - routes:
    - name: tools
      matches: [{{path: {{pathPrefix: /tools}}}}]
      policies:
        urlRewrite: {{path: {{prefix: /mcp}}}}
        responseHeaderModifier: {{add: {{x-from: tools}}}}
      backends:
      - mcp: {target}
    - name: rest
      backends:
      - host: @origin@
""", origin=Origin())
    client = Mcp(gateway, path="/tools")
    eq(client.text("who").split()[0], "inner", "who")
    eq(gateway.fetch("/get").status, 200, "the other route")
    exchange = client.start("ping")
    eq(exchange.head.header("x-from"), "tools", "the policy of the route")
    exchange.result()


@test("mcp: the access log has method, tool and the beginning of the session")
def access_log():
    gateway, _ = play()
    client = Mcp(gateway)
    client.text("echo")
    record = gateway.wait_log(lambda r: r.get("mcp.tool") == "echo")
    eq((record["mcp.method"], record.status), ("tools/call", 200), "method and status")
    known = record["mcp.session"]
    check(known and client.session.startswith(known.rstrip("…")) and len(known) < len(client.session),
          f"mcp.session={known}: an id in a log is a key")


@test("mcp: HTTP/2 clients are served like others", needs=("module:h2",))
def over_h2():
    from hg.h2 import H2Client
    gateway, _ = play()
    first = Mcp(gateway)
    client = H2Client(gateway.port)
    body = json.dumps(first.message("ping", number="h2")).encode()
    head = [(name.lower(), value) for name, value in first.base_headers() if value]
    stream = client.request("/mcp", "POST", head, body)
    answer = client.response(stream)
    eq(answer.status, 200, "status")
    check(b'"h2"' in answer.body, f"{answer.body}")
