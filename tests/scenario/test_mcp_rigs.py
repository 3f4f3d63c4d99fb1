# SPDX-License-Identifier: Apache-2.0
"""The MCP client and the MCP server of the tests understand each other: when these fail, those through the
gateway prove nothing."""
import json

from hg import *
from hg.mcp import MODERN, VERSIONS, Journal, Mcp, McpError, McpServer, OldMcp, text_of


@test("the rigs: a session with each protocol version, from initialize to DELETE")
def sessions():
    journal = Journal()
    server = McpServer(journal=journal)
    for version in VERSIONS:
        client = Mcp(server, version=version)
        eq(client.version, version, "the version")
        check(client.session, "no session id")
        eq(json.loads(client.text("echo", {"a": "é✓"})), {"a": "é✓"}, "echo")
        eq(client.request("ping"), {}, "ping")
        client.request("logging/setLevel", {"level": "error"})
        eq(json.loads(client.text("received"))["level"], "error", "the level")
        session = client.session
        eq(client.delete().status, 204, "DELETE")
        client.session = session
        eq(client.post(client.message("ping")).status, 404, "after DELETE")
        client.session = None
        eq(client.post(client.message("ping")).status, 400, "without a session")
    eq(len(journal.messages("initialize")), 3, "initialize in the journal")


@test("the rigs: lists in pages, prompts, resources, completion and errors")
def lists():
    client = Mcp(McpServer(page=3, extra=10))
    tools = client.tools()
    check(len(tools) == len(set(tools)) and "extra0009" in tools and "echo" in tools, f"tools: {tools}")
    eq(len(client.all("resources/list", "resources")), 4, "resources")
    note_a = client.request("resources/read", {"uri": "note://a"})
    eq(note_a["contents"][0]["text"], "note://a of one", "a resource")
    eq(len(client.all("prompts/list", "prompts")), 2, "prompts")
    check("greet of one" in json.dumps(client.request("prompts/get", {"name": "greet"})), "a prompt")
    completed = client.request("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"},
                                                       "argument": {"name": "who", "value": "x"}})
    eq(completed["completion"]["values"], ["x-one"], "completion")
    for method, params, code in (("tools/call", {"name": "none"}, -32602), ("no/such", {}, -32601),
                                 ("resources/read", {"uri": "x:"}, -32002)):
        try:
            client.request(method, params)
            raise Failure(f"{method} {params} was answered")
        except McpError as error:
            eq(error.code, code, f"code of {method}")
    eq(client.call("error")["isError"], True, "isError")


@test("the rigs: progress, log, questions to the client, the stream of GET, cancellation")
def messages():
    journal = Journal()
    client = Mcp(McpServer(journal=journal), handlers={
        "sampling/createMessage": lambda params: {"role": "assistant", "model": "m", "content": {
            "type": "text", "text": "re: " + params["messages"][0]["content"]["text"]}}})
    call = client.begin("progress", {"steps": 3}, {"progressToken": "t"})
    call.result()
    eq([one["params"]["progress"] for one in call.seen], [1, 2, 3], "progress")
    check("re: hello" in client.text("ask_sampling", {"text": "hello"}), "sampling")
    stream = client.listen()
    client.call("log", {"general": True, "data": "there"})
    eq(stream.next()["params"]["data"], "there", "on the stream of GET")
    client.request("resources/subscribe", {"uri": "note://a"})
    client.call("touch", {"uri": "note://a"})
    eq(stream.until("notifications/resources/updated"), {"uri": "note://a"}, "an update")
    slow = client.begin("sleep", {"seconds": 30})
    journal.wait("message", message=journal_call(client, "sleep", {"seconds": 30}))
    client.notify("notifications/cancelled", {"requestId": slow.id, "reason": "enough"})
    eq(journal.wait("cancelled")["reason"], "enough", "cancelled")
    eq(slow.end().answer, None, "an answer to what was cancelled")


def journal_call(client, tool, arguments):
    return {"jsonrpc": "2.0", "id": client._number, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}


@test("the rigs: a stream is resumed behind the last event")
def resumption():
    client = Mcp(McpServer(resume=True))
    call = client.begin("http_polling")
    first = call.next_event()
    check(first.id and first.retry and not first.data, f"the first event: {first.__dict__}")
    try:
        call.end()
    except Failure:
        pass
    again = client.listen(first.id)
    eq(text_of(again.next()["result"]), "resumed", "the rest")
    eq(again.next(), None, "the end")


@test("the rigs: 2026-07-28 has no session, asks by its results and ends a listener with its stream")
def modern():
    journal = Journal()
    server = McpServer(journal=journal)
    client = Mcp(server, version=MODERN)
    found = client.request("server/discover")
    check(MODERN in found["supportedVersions"] and found["resultType"] == "complete", f"discover: {found}")
    eq(client.text("echo", {"a": 1}), '{"a": 1}', "echo")
    asked = client.call("ask_elicitation", {"text": "w"})
    eq(asked["resultType"], "input_required", "the type")
    answers = {"q": {"action": "accept", "content": {"word": "é"}}}
    answered = client.request("tools/call", {"name": "ask_elicitation", "arguments": {"text": "w"},
                                             "requestState": asked["requestState"],
                                             "inputResponses": answers})
    check("state of w" in text_of(answered), f"answered: {answered}")
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["note://a"]}
    with client.start("subscriptions/listen", {"notifications": wanted}) as listener:
        eq(listener.next()["method"], "notifications/subscriptions/acknowledged", "the first message")
        client.call("change", {"kind": "tools"})
        client.call("change", {"kind": "prompts"})
        client.call("touch", {"uri": "note://a"})
        eq([listener.next()["method"] for _ in range(2)],
           ["notifications/tools/list_changed", "notifications/resources/updated"], "what it asked for")
    journal.wait("cancelled", method="subscriptions/listen")
    wrong = client.post(client.message("ping"), {"Mcp-Method": "tools/list"})
    eq((wrong.status, wrong.json()["error"]["code"]), (400, -32020), "a field that differs")


@test("the rigs: HTTP+SSE")
def legacy():
    client = OldMcp(McpServer(sse=True), handlers={"roots/list": lambda _: {"roots": []}})
    eq(text_of(client.call("echo", {"a": 1})), '{"a": 1}', "echo")
    check('"roots": []' in text_of(client.call("ask_roots")), "roots")
