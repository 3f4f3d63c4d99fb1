# SPDX-License-Identifier: Apache-2.0
"""mcpAuthorization: a client sees and uses only what rules allow it, at every place where they can stand."""
import json

from credentials import Issuer, bearer, token
from hg import *
from hg.mcp import MODERN, Mcp, McpGateway, OldMcp
from mcpplays import ATTACHED, DELEGATED, MANIFESTS, TARGETS, TOP, Told, fails

ROUTE = """
%(more)s
binds:
- port: @port@
  listeners:
  - routes:
    - name: tools
      policies: {%(route)s}
      backends:
      - mcp:
          %(mode)s
          targets: %(targets)s
        policies: {%(backend)s}
"""
LISTS = {"tools": [{"name": "echo"}, {"name": "rm"}, {"name": "time"}], "prompts": [{"name": "hello"}],
         "resources": [{"uri": "a://b"}, {"uri": "a://c"}]}


def told():
    """A target with a few of everything, which answers each request."""
    answers = {}
    for key, items in LISTS.items():
        answers[key + "_list"] = json.dumps({"jsonrpc": "2.0", "id": "$", "result": {key: items}})
    capabilities = {"tools": {}, "prompts": {}, "resources": {}}
    answers["initialize"] = json.dumps({"jsonrpc": "2.0", "id": "$", "result": {
        "protocolVersion": "2025-03-26", "capabilities": capabilities,
        "serverInfo": {"name": "told", "version": "1"}}})
    return Told(**{method: (200, "application/json", text.replace('"$"', "$"))
                   for method, text in answers.items()})


def called(target):
    """What the target was asked for by name."""
    return [(message["method"], message["params"].get("name") or message["params"].get("uri"))
            for _, message in target.seen
            if message.get("method") in ("tools/call", "prompts/get", "resources/read")]


def play(targets, route="", backend="", more="", mode=""):
    listed = json.dumps([one.target(name) for name, one in targets.items()])
    return McpGateway(ROUTE % {"targets": listed, "route": route, "backend": backend, "more": more,
                               "mode": mode})


def rules(*texts):
    return "mcpAuthorization: {rules: %s}" % json.dumps([*texts])


def unknown(client, tool):
    """The tool seems not to exist."""
    error = fails(-32602, client.call, tool)
    eq(error.text, f"Unknown tool: {tool}", "the message")


@test("mcp authorization: claims decide which tools a client sees and calls", timeout=60)
def claims():
    target, issuer = told(), Issuer()
    key = issuer.add("k")
    gateway = play({"one": target},
                   "jwtAuth: {mode: strict, issuer: 'https://issuer', audiences: [gw], jwks: {url: '%s'}}, %s"
                   % (issuer.url, rules("mcp.tool.name == 'echo'",
                                        "jwt.role == 'admin' && mcp.tool.name != 'time'")))
    wait_until(lambda: gateway.fetch("/x", headers=bearer(token(key, "k"))).status != 503, 15, "the keys")
    user = Mcp(gateway, headers=bearer(token(key, "k", role="user")))
    admin = Mcp(gateway, headers=bearer(token(key, "k", role="admin")))
    eq(user.tools(), ["echo"], "the tools of a user")
    eq(admin.tools(), ["echo", "rm"], "those of an admin")
    eq(user.all("prompts/list", "prompts"), [], "the prompts of a user")
    eq(admin.all("prompts/list", "prompts"), [], "those of an admin, whose rule is for tools")
    user.call("echo")
    admin.call("rm")
    unknown(user, "rm")
    line = gateway.wait_log(lambda one: one.get("mcp_tool") == "rm" and one.get("http.status") == "400"
                            or one.get("close_reason") == "mcp_authorization")
    eq(line["close_reason"], "mcp_authorization", f"the reason of {line}")
    eq(line["reason"], "Authorization", "its class")
    unknown(admin, "time")
    fails(-32602, user.request, "prompts/get", {"name": "hello"})
    fails(-32602, user.request, "resources/read", {"uri": "a://b"})
    fails(-32602, user.request, "resources/subscribe", {"uri": "a://b"})
    eq(called(target), [("tools/call", "echo"), ("tools/call", "rm")], "what reached the target")
    refusals = gateway.metrics()("headgate_policy_refusals_total", policy="mcpAuthorization",
                                 rule="default/tools")
    eq(refusals, 5.0, "the metric")
    # The session of one client is no way around the rules of another.
    user.session = admin.session
    unknown(user, "rm")
    eq(user.tools(), ["echo"], "the tools of a user in the session of an admin")


@test("mcp authorization: clients of every protocol version are refused alike", timeout=60)
def versions():
    target = told()
    for mode in ("", "statefulMode: stateless"):
        gateway = play({"one": target}, rules({"deny": "mcp.tool.name == 'rm'"}), mode=mode)
        clients = [Mcp(gateway), Mcp(gateway, version="2025-03-26")]
        if not mode:
            clients += [OldMcp(gateway)]
        for client in clients:
            eq(client.tools(), ["echo", "time"], "the tools")
            client.call("echo")
            unknown(client, "rm")
        check(all(one[1] != "rm" for one in called(target)), f"reached the target: {called(target)}")
        gateway.stop()


@test("mcp authorization: clients without sessions share a session, but not what they may use", timeout=60)
def shared():
    gateway = play({"one": told()},
                   "apiKey: {mode: strict, keys: [{key: a, metadata: {team: x}}, {key: b}]}, "
                   + rules("apiKey.team == 'x' && mcp.tool.name == 'rm'", "mcp.tool.name == 'echo'"))
    own = Mcp(gateway, version=MODERN, headers=bearer("a"))
    other = Mcp(gateway, version=MODERN, headers=bearer("b"))
    for _ in range(3):
        eq(own.tools(), ["echo", "rm"], "the tools of a team")
        eq(other.tools(), ["echo"], "those of others")
        own.call("rm")
        unknown(other, "rm")


@test("mcp authorization: what others could read differently is refused, and so is a notification")
def forms():
    target = told()
    gateway = play({"one": target}, rules("mcp.tool.name == 'echo'"))
    client = Mcp(gateway, version="2025-03-26")
    call = '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{%s}}'
    for number, params in ((7, '"name":"rm"'), ('"7"', '"name":"rm"'), (7, '"name":"r\\u006d"'),
                           (7, '"name":"echo","name":"rm"'), (7, '"name":"echo","Name":"rm"'),
                           (7, '"n\\u0061me":"rm"'), (7, '"NAME":"rm"'), (7, '"name":"RM"'),
                           (7, '"name":""')):
        for text in (call % (number, params), "[" + call % (number, params) + "]"):
            answer = client.send(text.encode())
            body = answer.next() if answer.is_stream else answer.body().json()
            check("error" in body, f"{text}: {body}")
            answer.close()
    notice = b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"rm"}}'
    eq(client.post(notice).status, 400, "a call as a notification")
    eq(client.post(b"[" + notice + b"]").status, 202, "in a batch nobody waits for its response")
    fails(-32601, client.request, "vendor/run", {"name": "rm"})
    # The field by which a stream names the rules is not for clients.
    for value in ("id=1", "id=1; access=0", "id=1; access=18446744073709551615"):
        fails(-32602, client.call, "rm", headers={"headgate-request": value})
    eq(called(target), [], "what reached the target")


@test("mcp authorization: the rules of gateway, route and backend add up", timeout=60)
def levels():
    one, two = told(), told()
    attached = """
policies:
- name: {name: p, namespace: default}
  target: {gateway: {}}
  policy: {%s}
""" % rules({"deny": "mcp.tool.name == 'rm' && mcp.tool.target == 'two'"})
    gateway = play({"one": one, "two": two}, rules({"require": "has(mcp.tool.name)"}),
                   rules({"deny": "mcp.tool.name == 'time'"}), attached)
    client = Mcp(gateway)
    eq(sorted(client.tools()), ["one_echo", "one_rm", "two_echo"], "the tools")
    client.call("one_rm")
    for tool in ("two_rm", "one_time", "two_time", "three_echo"):
        fails(-32602, client.call, tool)
    eq((called(one), called(two)), ([("tools/call", "rm")], []), "what reached the targets")
    texts = json.dumps(gateway.config_dump())
    check(texts.count('"mcpAuthorization"') >= 3, "three policies in the dump")


NAMED = "{action: %s, policy: {matchExpressions: [%s]}}"


@test("mcp authorization: manifests have the rules at a Gateway, a route and a backend", timeout=90)
def manifests():
    target = told()
    deny = NAMED % ("Deny", "'mcp.tool.name == \"time\"', 'mcp.tool.name == \"rm\"'")
    for name, ref in TARGETS.items():
        for inline, tools in (("", ["echo"]), ("policies: {mcp: {authorization: %s}}" %
                                               (NAMED % ("Require", "'mcp.tool.name != \"echo\"'")), [])):
            gateway = McpGateway(MANIFESTS % target.backend(inline) +
                                 ATTACHED % (ref, "backend: {mcp: {authorization: %s}}" % deny))
            client = Mcp(gateway)
            eq(client.tools(), tools, f"with a policy of {name} {inline}")
            unknown(client, "rm")
            gateway.stop()
    eq(called(target), [], "what reached the target")


@test("mcp authorization: a reload changes the rules for the next request of a session")
def reload():
    target = told()
    text = ROUTE % {"targets": json.dumps([target.target("one")]), "route": "%s", "backend": "", "more": "",
                    "mode": ""}
    gateway = McpGateway(text % rules("mcp.tool.name == 'echo'"))
    client = Mcp(gateway)
    unknown(client, "rm")
    gateway.reload(text % rules("mcp.tool.name == 'rm'"))
    client.call("rm")
    unknown(client, "echo")


@test("mcp authorization: rules that would guard nothing are an error")
def guards_nothing():
    for text, words in (
            ("policies: {%s}\n      backends: [{host: '127.0.0.1:1'}]" % rules("true"),
             "is not an MCP backend"),
            ("backends: [{host: '127.0.0.1:1', policies: {%s}}]" % rules("true"), "is not an MCP backend"),
            ("policies: {%s}\n      backends: [{routeGroup: g}]\n"
             "routeGroups: [{name: g, routes: [{name: b, backends: [{host: '127.0.0.1:1'}]}]}]" %
             rules("true"), "is not an MCP backend"),
            ("policies: {%s}\n      backends: []" % "mcpAuthorization: {rules: []}", "is empty"),
            ("policies: {%s}\n      backends: []" % rules("mcp.tool.nam == 'x'"), "mcp.tool.name"),
            ("policies: {%s}\n      backends: []" % rules("response.code == 200"), "does not exist here"),
            ("policies: {authorization: {rules: [\"mcp.tool.name == 'x'\"]}}\n      backends: []",
             "only for messages to MCP backends")):
        status, _, stderr = validate("binds:\n- port: 3000\n  listeners:\n  - routes:\n    - name: a\n"
                                     "      " + text)
        check(status != 0 and words in stderr, f"{text}: {status} {stderr}")
    # A route above it, whose policies apply below.
    status, _, stderr = validate(DELEGATED % ("static: {host: 127.0.0.1, port: 1}") +
                                 ATTACHED % (TOP, "backend: {mcp: {authorization: %s}}" %
                                             (NAMED % ("Deny", "'true'"))))
    check(status != 0 and "is not an MCP backend" in stderr, f"delegated: {status} {stderr}")
