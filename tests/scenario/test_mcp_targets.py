# SPDX-License-Identifier: Apache-2.0
"""Several MCP targets are one server: names with prefixes, lists merged page by page, one of them dead;
targets over HTTP, of each kind."""
import json

from hg import *
from hg.mcp import MODERN, VERSIONS, Journal, Mcp, McpServer, OldMcp, text_of
from mcpplays import Told, child, expect_no_zombie, fails, play

SOME = "echo,who,ask_roots,log,touch,sleep"


def two(**options):
    return child("one", only=SOME, **options), child("two", only=SOME, **options)


# ---- names -----------------------------------------------------------------------------------------------


@test("mcp targets: tools, prompts and resources of two have the target's name, and each call finds its own")
def prefixes():
    gateway, journal = play(*two())
    client = Mcp(gateway)
    names = SOME.split(",")
    eq(sorted(client.tools()), sorted([f"one_{n}" for n in names] + [f"two_{n}" for n in names]), "tools")
    eq(client.text("one_who").split()[0], "one", "one_who")
    eq(client.text("two_who").split()[0], "two", "two_who")
    prompts = [prompt["name"] for prompt in client.all("prompts/list", "prompts")]
    eq(sorted(prompts), ["one_greet", "one_plain", "two_greet", "two_plain"], "prompts")
    said = client.request("prompts/get", {"name": "two_greet", "arguments": {"who": "me"}})
    check("greet of two: {'who': 'me'}" in said["messages"][0]["content"]["text"], f"{said}")
    uris = [one["uri"] for one in client.all("resources/list", "resources")]
    check("one+note://a" in uris and "two+note://b?x=1&y=2" in uris and len(uris) == 8, f"resources {uris}")
    for uri in uris:
        name, _, rest = uri.partition("+")
        content = client.request("resources/read", {"uri": uri})["contents"][0]
        eq(content["uri"], uri, "uri of the content: one that the client can use again")
        check("blob" in content or content["text"] == f"{rest} of {name}", f"{content}")
    templates = [one["uriTemplate"] for one in client.all("resources/templates/list", "resourceTemplates")]
    eq(sorted(templates), ["one+note://{name}", "two+note://{name}"], "templates")
    eq(client.request("resources/read", {"uri": "two+note://zz"})["contents"][0]["text"], "note://zz of two",
       "from a template")
    for kind, ref in (("ref/prompt", {"name": "two_greet"}), ("ref/resource", {"uri": "two+note://{name}"})):
        done = client.request("completion/complete", {"ref": {"type": kind, **ref},
                                                      "argument": {"name": "who", "value": "v"}})
        eq(done["completion"]["values"], ["v-two"], f"completion of {kind}")
    for one in journal.messages("tools/call") + journal.messages("prompts/get"):
        check("_" not in one["params"]["name"], f"the target got a name with a prefix: {one}")


@test("mcp targets: names that belong to nobody are errors, and no target hears of them")
def unknown_names():
    gateway, journal = play(*two())
    client = Mcp(gateway)
    for name in ("echo", "three_echo", "one", "one_", "_echo", "", "one-echo", "ONE_echo", "oneecho"):
        fails(None, client.call, name)
    for uri in ("note://a", "three+note://a", "+note://a", "one+", ""):
        fails(None, client.request, "resources/read", {"uri": uri})
    fails(None, client.request, "prompts/get", {"name": "greet"})
    fails(None, client.request, "tools/call", {"arguments": {}})
    fails(None, client.request, "tools/call", {"name": 7})
    heard = [one["params"].get("name") for one in journal.messages("tools/call")]
    check(set(heard) <= {""}, f"targets were asked for {heard}")
    eq(client.text("one_echo"), "{}", "afterwards")


@test("mcp targets: initialize is merged: what any of them can do, both instructions")
def merged_initialize():
    gateway, _ = play(*two())
    server = Mcp(gateway).server
    for key in ("tools", "resources", "prompts", "logging", "completions"):
        check(key in server["capabilities"], f"{key} in {server['capabilities']}")
    eq(server["capabilities"]["resources"].get("subscribe"), True, "subscribe")
    check("instructions of one" in server["instructions"] and "instructions of two" in server["instructions"],
          f"instructions: {server.get('instructions')}")
    check(server["serverInfo"]["name"] and server["serverInfo"]["version"], "serverInfo")


@test("mcp targets: what only one can do is asked of that one")
def uneven():
    gateway, journal = play(child("one", only="echo"), child("bare", only="echo", bare=True))
    client = Mcp(gateway)
    eq(len(client.all("resources/list", "resources")), 4, "resources of one")
    eq(len(client.all("prompts/list", "prompts")), 2, "prompts of one")
    eq(journal.messages("resources/list", server="bare"), [], "asked of the target that has none")


@test("mcp targets: prefixMode always names a single one, never names none, and the first one wins a name")
def prefix_modes():
    gateway, _ = play(child("one", only="echo"), settings={"prefixMode": "always"})
    client = Mcp(gateway)
    eq(client.tools(), ["one_echo"], "always")
    eq(client.text("one_echo"), "{}", "always")
    gateway, _ = play(child("one", only="who"), settings={"prefixMode": "conditional"})
    eq(Mcp(gateway).tools(), ["who"], "conditional with one target")
    gateway, _ = play(child("one", only="who,echo"), child("two", only="who,log"),
                      settings={"prefixMode": "never"})
    client = Mcp(gateway)
    eq(sorted(client.tools()), ["echo", "log", "who"], "never")
    eq(client.text("who").split()[0], "one", "the first one has the name")
    client.call("log")


@test("mcp targets: one target and no prefix: names, uris and cursors are the target's own")
def single():
    gateway, _ = play(child("one", page=2))
    client = Mcp(gateway)
    eq(client.request("resources/read", {"uri": "note://a"})["contents"][0]["uri"], "note://a", "uri")
    check("echo" in client.tools(), "tools")
    direct = Mcp(McpServer(page=2))
    eq(client.tools(), direct.tools(), "the list, as without a gateway")
    eq(client.server["serverInfo"]["name"], "one", "serverInfo")


@test("mcp targets: lists of three come page by page, whole, once, whatever the cursors are")
def pagination():
    gateway, _ = play(child("a", page=3, extra=7, only="echo"), child("b", page=50, extra=100, only="echo"),
                      child("c", page=1, extra=2, only="echo"))
    client = Mcp(gateway)
    names = client.tools()
    want = [f"{t}_{n}" for t, count in (("a", 7), ("b", 100), ("c", 2))
            for n in ["echo", *(f"extra{i:04d}" for i in range(count))]]
    eq(sorted(names), sorted(want), "tools")
    eq(len(client.all("resources/list", "resources")), 12, "resources")
    for cursor in ("", "x", "0", "4711|zz", "é" * 100, "A" * 10000):
        error = fails(None, client.request, "tools/list", {"cursor": cursor})
        check(error.code in (-32602, -32600), f"a cursor of nobody: {error}")
    eq(sorted(client.tools()), sorted(want), "afterwards")


# ---- dead targets ----------------------------------------------------------------------------------------


@test("mcp targets: failClosed: a target that cannot start fails initialize, and our log says which and why")
def fail_closed():
    gateway, _ = play(child("one"), child("broken", start="die:4"))
    client = Mcp(gateway, start=False)
    begun = client.start("initialize", client.introduction())
    check(begun.status >= 400 or begun.next().get("error"), "initialize with a dead target succeeded")
    begun.close()
    wait_until(lambda: "broken" in gateway.stderr + gateway.stdout and "this is why" in
               gateway.stderr + gateway.stdout, 10, "the name of the target and its stderr in our log")
    expect_no_zombie(gateway)


@test("mcp targets: failOpen: the others serve when one cannot start, dies, or hangs", timeout=60)
def fail_open():
    gateway, journal = play(child("one", only=SOME), child("broken", start="die:4"),
                            child("gone", only="die,echo"), settings={"failureMode": "failOpen"})
    client = Mcp(gateway)
    tools = client.tools()
    check("one_echo" in tools and "gone_die" in tools, f"tools {tools}")
    check(not [name for name in tools if name.startswith("broken")], f"tools of the dead: {tools}")
    fails(None, client.call, "broken_echo")
    call = client.begin("gone_die")
    check(call.status != 200 or "result" not in (call.next() or {}), "a call that killed its target worked")
    call.close()
    eq(client.text("one_who").split()[0], "one", "the one that lives")
    check("one_echo" in client.tools(), "the list of those that live")
    eq(journal.pids(server="one")[1:], [], "restarts of the one that lives")
    expect_no_zombie(gateway)


@test("mcp targets: failOpen: a target that died is back in the sessions that run, which are told of both",
      timeout=90)
def comes_back():
    gateway, journal = play(child("one", only=SOME), child("gone", only="die,echo"),
                            settings={"failureMode": "failOpen"})
    client = Mcp(gateway)
    stream = client.listen()
    check("gone_echo" in client.tools(), "tools before")
    call = client.begin("gone_die")
    check(call.status != 200 or "result" not in (call.next() or {}), "a call that killed its target worked")
    call.close()
    stream.until("notifications/tools/list_changed")
    check("gone_echo" not in client.tools(), "tools without it")
    stream.until("notifications/prompts/list_changed")
    stream.until("notifications/resources/list_changed")
    stream.until("notifications/tools/list_changed")
    check("gone_echo" in client.tools(), "tools when it is back")
    eq(client.text("gone_echo"), "{}", "a tool of it")
    eq(len(journal.pids(server="gone")), 2, "processes of it")
    eq(len(journal.pids(server="one")), 1, "processes of the other")
    first, second = journal.messages("initialize", server="gone")
    eq(second["params"], first["params"], "what it learns of the client")
    wait_until(lambda: len(journal.messages("notifications/initialized", server="gone")) == 2, 10,
               "notifications/initialized")
    for words in ("target gone is lost", "target gone is back"):
        wait_until(lambda words=words: words in gateway.stderr, 10, f"{words!r} in our log")


@test("mcp targets: failOpen: a target over HTTP that was not there at the start joins when it is",
      timeout=90)
def joins_later():
    late = free_port()
    target = {"name": "late", "mcp": {"host": f"http://127.0.0.1:{late}/mcp"}}
    gateway, _ = play(child("one", only=SOME), target,
                      settings={"failureMode": "failOpen"})
    client = Mcp(gateway)
    stream = client.listen()
    check(not [name for name in client.tools() if name.startswith("late")], "tools without it")
    McpServer("late", port=late)
    stream.until("notifications/tools/list_changed")
    eq(client.text("late_who").split()[0], "late", "a tool of it")
    wait_until(lambda: "target late is back" in gateway.stderr, 10, "our log")


@test("mcp targets: a program that is not there is an error that names it")
def missing_program():
    broken = {"name": "one", "stdio": {"cmd": "no-such-program-xyz", "args": []}}
    gateway, _ = play(broken)
    client = Mcp(gateway, start=False)
    begun = client.start("initialize", client.introduction())
    check(begun.status >= 400 or "error" in begun.next(), "initialize succeeded")
    begun.close()
    wait_until(lambda: "no-such-program-xyz" in gateway.stderr + gateway.stdout, 10, "the program in our log")
    eq(gateway.is_running(), True, "the gateway")


# ---- over HTTP -------------------------------------------------------------------------------------------


def web(name="one", kind="mcp", **options):
    """(the server, a target that names it)"""
    server = McpServer(name, **options)
    return server, server.target(name, kind)


@test("mcp targets: streamable HTTP: every kind of message, and the session of the target ends with ours")
def over_http():
    for options in ({}, {"json": True}, {"no_get": True}, {"no_sessions": True}):
        journal = Journal("web-" + "-".join(options))
        server, target = web(journal=journal, **options)
        gateway, _ = play(target)
        client = Mcp(gateway, handlers={"roots/list": lambda _: {"roots": [{"uri": "file:///x"}]}})
        eq(json.loads(client.text("echo", {"a": "é"})), {"a": "é"}, f"echo with {options}")
        call = client.begin("progress", {"steps": 3}, {"progressToken": "t"})
        call.result()
        eq([one["params"]["progress"] for one in call.seen], [1, 2, 3], f"progress with {options}")
        check("file:///x" in client.text("ask_roots"), f"roots with {options}")
        if "no_get" not in options:
            stream = client.listen()
            wait_until(lambda: journal.events("http", method="GET"), 10, "the gateway's own GET")
            client.call("log", {"general": True, "data": "there"})
            eq(stream.until("notifications/message")["data"], "there", f"the other stream with {options}")
        client.delete()
        if "no_sessions" not in options:
            journal.wait("deleted")
        for one in journal.events("http"):
            if one["method"] == "POST" and "mcp-session-id" in one["headers"]:
                check("mcp-protocol-version" in one["headers"], f"without a version: {one}")
        server.kill()


@test("mcp targets: the client's session id stays here; the target's stays there")
def session_ids_apart():
    journal = Journal("web")
    _, target = web(journal=journal)
    gateway, _ = play(target)
    client = Mcp(gateway)
    client.text("echo")
    theirs = {one["headers"].get("mcp-session-id") for one in journal.events("http")} - {None}
    eq(len(theirs), 1, "sessions of the target")
    check(client.session not in theirs, "the client has the target's session id")


@test("mcp targets: HTTP+SSE, to the target and from the client")
def old_transport():
    journal = Journal("web")
    _, target = web(kind="sse", sse=True, journal=journal)
    gateway, _ = play(target)
    client = Mcp(gateway, handlers={"roots/list": lambda _: {"roots": []}})
    eq(client.text("echo", {"a": 1}), '{"a": 1}', "echo")
    check('"roots": []' in client.text("ask_roots"), "a question")
    call = client.begin("progress", {"steps": 2}, {"progressToken": 1})
    call.result()
    eq(len(call.seen), 2, "progress")
    client.delete()
    journal.wait("legacy_gone")


@test("mcp targets: an old client on /sse is served by a child")
def old_client():
    gateway, journal = play()
    client = OldMcp(gateway, handlers={"roots/list": lambda _: {"roots": []}})
    eq(text_of(client.call("echo", {"a": 1})), '{"a": 1}', "echo")
    check('"roots": []' in text_of(client.call("ask_roots")), "a question")
    client.call("log", {"general": True, "data": "there"})
    pid = journal.pids()[0]
    client.stream.close()
    wait_until(lambda: journal.events("eof") or journal.events("sigterm"), 20, f"the child {pid} to be told")


@test("mcp targets: a target that has forgotten the session, answers nonsense or goes away is an error, once")
def bad_http():
    journal = Journal("web")
    server, target = web("bad", journal=journal)
    gateway, _ = play(target, child("good", only="echo"))
    for arguments in ({"status": 500}, {"status": 204},
                      {"status": 200, "type": "text/html", "body": "<html>"},
                      {"status": 200, "type": "application/json", "body": "{"}, {"status": 401},
                      {"status": 200, "type": "application/json", "body": "{}"},
                      {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
                      {"status": 200, "type": "application/json",
                       "body": '{"jsonrpc":"2.0","id":4711,"result":{}}'},
                      {"status": 200, "type": "text/event-stream", "body": "data: {\n\n"},
                      {"status": 200, "type": "text/event-stream", "body": ": nothing\n\n"}):
        client = Mcp(gateway)
        call = client.begin("bad_http_status", arguments)
        if call.status == 200:
            fails(None, call.result)
        check(call.status != 302, "a redirect was passed on")
        call.close()
        eq(client.text("good_echo"), "{}", f"the other target after {arguments}")
        client.delete()
    for where in ("before", "head", "body", "event"):
        client = Mcp(gateway)
        call = client.begin("bad_http_cut", {"where": where})
        if call.status == 200:
            fails(None, call.result)
        call.close()
        eq(client.text("good_echo"), "{}", f"the other target after a cut {where}")
        client.delete()
    eq(len(journal.messages("tools/call")), 14, "calls at the target: none was repeated")
    client = Mcp(gateway)
    lost = client.begin("bad_http_lost")
    if lost.status == 200:
        fails(None, lost.result)
    lost.close()
    eq(Mcp(gateway).text("good_echo"), "{}", "after a lost session")
    server.kill()
    dead = Mcp(gateway, start=False)
    begun = dead.start("initialize", dead.introduction())
    check(begun.status >= 400 or "error" in begun.next(), "initialize with a dead target")
    begun.close()


def seen_by(target, method):
    """The headers that a target got with messages of that method."""
    return [headers for headers, message in target.seen if message.get("method") == method]


SENT = {"Authorization": "Bearer mine", "traceparent": "00-1-2-01", "X-Own": "a", "Connection": "x-hop",
        "X-Hop": "1", "Accept-Encoding": "gzip", "Cookie": "c=1"}


@test("mcp targets: headers of a client reach a target over HTTP, those of a connection and of MCP stay here",
      timeout=60)
def client_headers():
    target = Told()
    gateway, _ = play(target.target(), policies={"requestHeaderModifier": {"set": {"X-Route": "r"}}})
    client = Mcp(gateway, headers=SENT)
    client.request("tools/list")
    client.headers = [("Authorization", "Bearer newer")]
    client.request("tools/list")
    wait_until(lambda: seen_by(target, "GET"), 10, "the gateway's own GET")
    client.delete()
    wait_until(lambda: seen_by(target, "DELETE") or not client.session, 10, "the end of the target's session")
    for method in ("initialize", "notifications/initialized", "tools/list", "GET"):
        headers = seen_by(target, method)[0]
        for name, value in (("authorization", "Bearer mine"), ("traceparent", "00-1-2-01"), ("x-own", "a"),
                            ("cookie", "c=1"), ("x-route", "r")):
            eq(headers.get(name), value, f"{name} with {method}")
        for name in ("x-hop", "accept-encoding", "headgate-request"):
            check(name not in headers, f"{name} with {method}")
        check("mcp-session-id" not in headers, f"the gateway's session with {method}")
        eq(headers["host"], f"127.0.0.1:{target.port}", f"host with {method}")
    eq(seen_by(target, "tools/list")[1]["authorization"], "Bearer newer", "a token that was refreshed")


@test("mcp targets: clients that share a target have their own headers there, also where a session is ours")
def headers_apart():
    target = Told()
    gateway, _ = play(target.target(), settings={"statefulMode": "stateless"})
    for count, name in enumerate(("first", "second"), 1):
        one = Mcp(gateway, start=False, headers={"Authorization": name})
        one.request("tools/list")
        # The notification of a session goes its own way: the client may have its answer before it arrives.
        wait_until(lambda count=count: len(seen_by(target, "notifications/initialized")) == count, 10,
                   "the notification")
    for method in ("initialize", "notifications/initialized", "tools/list"):
        eq([headers["authorization"] for headers in seen_by(target, method)], ["first", "second"], method)
    modern = Told()
    gateway, _ = play(modern.target())
    for name in ("first", "second"):
        Mcp(gateway, version=MODERN, headers={"Authorization": name}).request("tools/list")
    Mcp(gateway, version=MODERN).request("tools/list")
    eq([headers.get("authorization") for headers in seen_by(modern, "tools/list")], ["first", "second", None],
       "clients without sessions")


@test("mcp targets: requestHeaderModifier of a target, or of the backend that it names, changes what it gets")
def modified_headers():
    first, second = Told(), Told()
    named = f"backends:\n- name: b\n  host: 127.0.0.1:{second.port}\n" \
            "  policies: {requestHeaderModifier: {set: {Authorization: of the backend}, remove: [x-own]}}\n"
    gateway, _ = play(first.target("one", policies={"requestHeaderModifier": {"add": {"X-Own": "b"}}}),
                      {"name": "two", "mcp": {"backend": "b"}}, more=named)
    Mcp(gateway, headers={"X-Own": "a"})
    eq(seen_by(first, "initialize")[0]["x-own"], "b", "the last of two fields of that name at the first")
    check("authorization" not in seen_by(first, "initialize")[0], "the other target's header")
    eq(seen_by(second, "initialize")[0].get("authorization"), "of the backend", "the second")
    check("x-own" not in seen_by(second, "initialize")[0], "what was removed")


@test("mcp targets: an old target gets the headers with its stream and with each message")
def old_target_headers():
    journal = Journal("web")
    _, target = web(kind="sse", sse=True, journal=journal)
    gateway, _ = play(target)
    Mcp(gateway, headers={"Authorization": "mine"}).text("echo")
    got = [one["headers"].get("authorization") for one in journal.events("http")]
    check(len(got) >= 3 and set(got) == {"mine"}, f"{got}")


@test("mcp targets: an answer whose stream is cut is resumed where the target offers it")
def resumed():
    journal = Journal("web")
    _, target = web(resume=True, journal=journal)
    gateway, _ = play(target)
    client = Mcp(gateway)
    eq(client.text("http_polling"), "resumed", "the answer")
    check([one for one in journal.events("http", method="GET") if "last-event-id" in one["headers"]],
          "no GET with Last-Event-ID")


@test("mcp targets: a child and two over HTTP of different age serve one client")
def mixed():
    _, new = web("new", journal=Journal("new"))
    _, old = web("old", "sse", sse=True, versions="2024-11-05")
    gateway, _ = play(new, old, child("kid", versions="2025-06-18,2025-03-26", only=SOME))
    for version in VERSIONS:
        client = Mcp(gateway, version=version, handlers={"roots/list": lambda _: {"roots": []}})
        for name in ("new", "old", "kid"):
            eq(client.text(f"{name}_who").split()[0], name, "who")
            check('"roots": []' in client.text(f"{name}_ask_roots"), f"a question of {name}")


@test("mcp targets: names with a wrong letter, twice, or without a target are refused with what to write")
def bad_configuration():
    good = {"cmd": "true"}
    for block, word in (
            ({"targets": []}, "targets"), ({}, "targets"),
            ({"targets": [{"name": "a_b", "stdio": good}]}, "a_b"),
            ({"targets": [{"name": "a+b", "stdio": good}]}, "a+b"),
            ({"targets": [{"name": "", "stdio": good}]}, "name"),
            ({"targets": [{"stdio": good}]}, "name"),
            ({"targets": [{"name": "a", "stdio": good}, {"name": "a", "stdio": good}]}, "a"),
            ({"targets": [{"name": "a"}]}, "stdio"),
            ({"targets": [{"name": "a", "stdio": {}}]}, "cmd"),
            ({"targets": [{"name": "a", "stdio": {"cmd": ""}}]}, "cmd"),
            ({"targets": [{"name": "a", "stdio": {"cmd": "x", "arg": []}}]}, "arg"),
            ({"targets": [{"name": "a", "openapi": {"host": "x", "port": 1}}]}, "openapi"),
            ({"targets": [{"name": "a", "stdio": good, "mcp": {"host": "x", "port": 1}}]}, "one"),
            ({"targets": [{"name": "a", "mcp": {"port": 1}}]}, "host"),
            ({"targets": [{"name": "a", "stdio": good}], "failureMode": "open"}, "failOpen"),
            ({"targets": [{"name": "a", "stdio": good, "policies": {}}]}, "child"),
            ({"targets": [{"name": "a", "mcp": {"host": "x:1"}, "policies": {"timeout": {}}}]}, "route"),
            ({"targets": [{"name": "a", "stdio": good}], "prefixMode": "sometimes"}, "conditional"),
            ({"targets": [{"name": "a", "stdio": good}], "statefulMode": "yes"}, "stateless"),
            ({"targets": [{"name": "a", "stdio": good}], "port": 0}, "port")):
        text = "mcp: " + json.dumps({"port": free_port(), **block})
        status, out, error = validate(text)
        check(status != 0, f"accepted: {text}")
        check(word in out + error, f"{text}: no {word!r} in {out + error}")
    status, out, error = validate("mcp: " + json.dumps({"targets": [{"name": "a.b-1", "stdio": good}]}))
    eq(status, 0, f"a good one: {out}{error}")
