# SPDX-License-Identifier: Apache-2.0
"""Protocol 2026-07-28: no session, fields of the head that say what the body says, listeners, no GET."""
import json

from hg import *
from hg.mcp import META, MODERN, Journal, Mcp, McpError, McpGateway, McpServer, text_of
from mcpplays import child, play


def refused(client, message, status, code, what, headers=(), drop=()):
    answer = client.post(message, headers, drop=drop, rpc=message.get("method"), params=message.get("params"))
    eq(answer.status, status, f"status: {what}")
    error = answer.json()["error"]
    if code is not None:
        eq(error["code"], code, f"code: {what}")
    return answer.json()


def stages():
    """A gateway in front of a child, in front of an HTTP target, in front of two of both."""
    server = McpServer("web")
    yield "a child", "", play(child("one"))[0]
    yield "HTTP", "", play(server.target())[0]
    yield "both", "one_", play(child("one"), server.target("web"))[0]


@test("mcp 2026-07-28: discover, lists and calls work without a session, over a child, HTTP and both",
      timeout=60)
def stateless():
    for what, prefix, gateway in stages():
        client = Mcp(gateway, version=MODERN)
        found = client.request("server/discover")
        check(MODERN in found["supportedVersions"], f"{what}: {found}")
        eq(found["resultType"], "complete", f"resultType, {what}")
        check("tools" in found["capabilities"], f"capabilities, {what}")
        check(prefix + "echo" in client.tools(), f"tools, {what}")
        exchange = client.begin(prefix + "echo", {"a": "é"})
        eq(json.loads(text_of(exchange.result())), {"a": "é"}, f"echo, {what}")
        eq(exchange.head.header("Mcp-Session-Id"), None, f"a session id, {what}")
        call = client.begin(prefix + "progress", {"steps": 2}, {"progressToken": "p"})
        call.result()
        eq(len(call.seen), 2, f"progress, {what}")


@test("mcp 2026-07-28: discover of several is what all of them know, and instructions of all")
def discover():
    gateway, _ = play(child("one"), child("two"))
    found = Mcp(gateway, version=MODERN).request("server/discover")
    check("instructions of one" in found["instructions"] and "instructions of two" in found["instructions"],
          f"{found}")
    check(found.get("cacheScope") in ("public", "private", None), f"{found}")


@test("mcp 2026-07-28: fields that are missing or differ from the body are 400 and -32020, here")
def mismatches():
    gateway, journal = play()
    client = Mcp(gateway, version=MODERN)
    call = client.message("tools/call", {"name": "echo", "arguments": {}})
    for headers in ({"Mcp-Method": "tools/list"}, {"Mcp-Method": "TOOLS/CALL"}, {"Mcp-Name": "who"},
                    {"Mcp-Name": "Echo"}, {"MCP-Protocol-Version": "2025-11-25"},
                    {"Mcp-Name": "=?base64?eA==?="}, {"Mcp-Name": "=?base64?***?="}):
        refused(client, call, 400, -32020, headers, headers)
    for name in ("Mcp-Method", "Mcp-Name"):
        refused(client, call, 400, -32020, f"no {name}", drop=(name,))
    refused(client, call, 400, None, "no MCP-Protocol-Version", drop=("MCP-Protocol-Version",))
    eq(journal.messages("tools/call"), [], "calls at the child")
    for headers in ({"Mcp-Name": "=?base64?ZWNobw==?="}, {"mcp-name": "  echo  "}):
        sent = client.send(call, headers, number=call["id"], rpc="tools/call", params=call["params"])
        eq(text_of(sent.result()), "{}", f"{headers}")


@test("mcp 2026-07-28: a version that nobody knows is 400 and -32022 with those that are known")
def unknown_version():
    gateway, _ = play()
    client = Mcp(gateway, version=MODERN)
    client.wanted = "2099-01-01"
    answer = refused(client, client.message("tools/list"), 400, -32022, "2099-01-01")
    check(MODERN in answer["error"]["data"]["supported"], f"{answer}")
    eq(answer["error"]["data"]["requested"], "2099-01-01", "requested")


@test("mcp 2026-07-28: a method that is gone or unknown is 404 and -32601")
def gone_methods():
    gateway, _ = play()
    client = Mcp(gateway, version=MODERN)
    for method in ("initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"):
        answer = refused(client, client.message(method), 404, -32601, method)
        check(answer["id"], f"the id of the answer to {method}")


@test("mcp 2026-07-28: _meta without a version or without capabilities is 400 and -32602")
def bad_meta():
    gateway, _ = play()
    client = Mcp(gateway, version=MODERN)
    for missing in ("protocolVersion", "clientCapabilities"):
        message = client.message("tools/list")
        del message["params"]["_meta"][META + missing]
        answer = client.post(message, rpc="tools/list", params=message["params"])
        eq(answer.status, 400, f"without {missing}")
    message = client.message("tools/list")
    del message["params"]["_meta"][META + "clientInfo"]
    listed = client.send(message, rpc="tools/list", number=message["id"]).result()
    check(listed["tools"], "without clientInfo")


@test("mcp 2026-07-28: what the server wants to know is a result, and the answer goes back with the state")
def input_required():
    for what, prefix, gateway in stages():
        client = Mcp(gateway, version=MODERN)
        for kind in ("sampling", "elicitation", "roots"):
            asked = client.call(f"{prefix}ask_{kind}", {"text": "w\"é"})
            eq((asked["resultType"], asked["requestState"]), ("input_required", "state of w\"é"),
               f"{kind}, {what}")
            params = {"name": f"{prefix}ask_{kind}", "arguments": {"text": "w\"é"},
                      "requestState": asked["requestState"], "inputResponses": {"q": {"n": [1, "é"]}}}
            got = json.loads(text_of(client.request("tools/call", params)))
            eq(got, {"answer": {"n": [1, "é"]}, "state": "state of w\"é"}, f"{kind}, {what}")


@test("mcp 2026-07-28: subscriptions/listen: acknowledged first, then what was asked for, of every target",
      timeout=60)
def listen():
    for what, prefix, gateway in stages():
        client = Mcp(gateway, version=MODERN)
        uri = "one+note://a" if prefix else "note://a"
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [uri]}
        with client.start("subscriptions/listen", {"notifications": wanted}, number="sub-1") as listener:
            first = listener.next()
            eq(first["method"], "notifications/subscriptions/acknowledged", f"the first message, {what}")
            eq(first["params"]["_meta"][META + "subscriptionId"], "sub-1", f"its subscription, {what}")
            eq(first["params"]["notifications"], wanted, f"what was agreed, {what}")
            client.call(prefix + "change", {"kind": "prompts"})
            client.call(prefix + "touch", {"uri": "note://a"})
            client.call(prefix + "change", {"kind": "tools"})
            told = listener.next()
            eq((told["method"], told["params"]["uri"]), ("notifications/resources/updated", uri), what)
            eq(told["params"]["_meta"][META + "subscriptionId"], "sub-1", f"its subscription, {what}")
            eq(listener.next()["method"], "notifications/tools/list_changed", what)


@test("mcp 2026-07-28: closing the stream of a call cancels it, of a child and over HTTP", timeout=60)
def closing_cancels():
    journal = Journal("web")
    server = McpServer("web", journal=journal)
    gateway, kid = play(child("one"), server.target("web"))
    client = Mcp(gateway, version=MODERN)
    for name, book in (("one", kid), ("web", journal)):
        call = client.begin(f"{name}_sleep", {"seconds": 60})
        wait_until(lambda b=book: b.messages("tools/call"), 10, f"the call at {name}")
        call.close()
        eq(book.wait("cancelled")["tool"], "sleep", f"cancelled at {name}")
    with client.start("subscriptions/listen", {"notifications": {"toolsListChanged": True}}) as listener:
        listener.next()
    kid.wait("cancelled", method="subscriptions/listen")
    journal.wait("cancelled", method="subscriptions/listen")


@test("mcp 2026-07-28: closing at once cancels, too: no call stays behind a client that has gone", timeout=60)
def closing_at_once():
    gateway, journal = play()
    client = Mcp(gateway, version=MODERN)
    client.text("who")
    for _ in range(20):
        client.begin("sleep", {"seconds": 60}).close()
    wait_until(lambda: len(journal.events("cancelled")) == len(journal.messages("tools/call")) - 1, 10,
               "each call that reached the child to be cancelled")


@test("mcp 2026-07-28: two clients share no ids: the same id, token and question at once", timeout=60)
def same_ids():
    gateway, _ = play()
    clients = [Mcp(gateway, version=MODERN) for _ in range(4)]
    calls = [client.begin("progress", {"steps": 3 + number}, {"progressToken": "t"}, number=1)
             for number, client in enumerate(clients)]
    for number, call in enumerate(calls):
        eq(text_of(call.result()), f"{3 + number} steps", "the answer")
        eq(len(call.seen), 3 + number, "progress")


@test("mcp 2026-07-28: requestTimeout is a 504, and the target is told", timeout=60)
def timeout():
    gateway, journal = play(policies={"timeout": {"requestTimeout": "1s"}})
    client = Mcp(gateway, version=MODERN)
    wait_until(lambda: client.begin("who").status == 200, 30, "the child to be there")
    with within(1.0, "the answer", before=60):
        answer = client.begin("sleep", {"seconds": 60}).body()
    eq((answer.status, answer.text), (504, "request timeout"), "status and body")
    journal.wait("cancelled", tool="sleep")


@test("mcp 2026-07-28: a route matches on Mcp-Method and Mcp-Name, without a look at the body")
def matched():
    server = McpServer("one")
    target = json.dumps({"targets": [server.target()]})
    gateway = McpGateway(f"""
binds:
- port: @port@
  listeners:
  - routes:
    - name: forbidden
      matches: [{{path: {{pathPrefix: /mcp}}, headers: [{{name: mcp-name, value: {{exact: who}}}}]}}]
      policies: {{directResponse: {{status: 403, body: not this tool}}}}
    - name: tools
      backends:
      - mcp: {target}
""")
    client = Mcp(gateway, version=MODERN)
    eq(client.text("echo"), "{}", "echo")
    eq(client.begin("who").status, 403, "who")


@test("mcp 2026-07-28: what the target needs in its head is set anew: the name without our prefix, encoded")
def own_head():
    journals = [Journal("a"), Journal("b")]
    targets = [McpServer(name, journal=book).target(name) for name, book in zip("ab", journals)]
    gateway, _ = play(*targets)
    client = Mcp(gateway, version=MODERN)
    eq(client.text("b_who").split()[0], "b", "b_who")
    client.request("resources/read", {"uri": "a+note://é x"})
    for book in journals:
        eq(book.events("header_mismatch"), [], "fields that do not fit their body")
    heads = [one["headers"] for one in journals[0].events("http")]
    read = [head for head in heads if head.get("mcp-method") == "resources/read"]
    eq(len(read), 1, "reads at a")


@test("mcp 2026-07-28: where a target is older, discover says so or we speak for it, and nothing hangs")
def older_target():
    gateway, _ = play(child("old", versions="2025-11-25,2025-06-18"))
    client = Mcp(gateway, version=MODERN)
    try:
        found = client.request("server/discover")
        if MODERN in found["supportedVersions"]:
            eq(client.text("who").split()[0], "old", "who")
    except McpError as error:
        check(error.code in (-32601, -32602, -32022, -32004, -32000), f"discover: {error}")
    eq(Mcp(gateway).text("who").split()[0], "old", "the older way")
