# SPDX-License-Identifier: Apache-2.0
"""Every request that reaches the MCP endpoint ends once, whatever a target answers, with a reason."""
import json
import os
import select

from hg import *
from hg.mcp import PYTHON, SERVER, Mcp
from hg.process import Process
from mcpplays import INITIALIZED, Told, child, fails, play

LIAR = os.path.join(os.path.dirname(SERVER), "liar.py")


class Liar(Process):
    """The server whose answers are changed on their way out, over HTTP."""

    def __init__(self, kind, *more):
        self.port = free_port()
        super().__init__([PYTHON, "-S", "-E", LIAR, kind, self.port, *more], "liar")
        wait_until(lambda: "listening" in self.stdout, 10, "the liar to listen")

    def target(self, name="liar"):
        kind = "sse" if self.argv[4] == "sse" else "mcp"
        return {"name": name, kind: {"host": f"http://127.0.0.1:{self.port}/{kind}"}}


def outcomes(calls, seconds):
    """How each call ended: its status, and the answer of a 200. A call that does not end is a failure."""
    found = []
    for call in calls:
        ready = call.connection.buffered or select.select([call.connection.socket], [], [], seconds)[0]
        check(ready, f"call {call.id} has no answer after {seconds} s")
        if call.status != 200:
            found.append((call.status, call.body()))
            continue
        call.wait()
        call.end()
        found.append((200, call.answer))
    return found


def lie(target, may_time_out, rounds):
    """Calls in rounds; (status, answer) of all of them."""
    gateway, _ = play(target, policies={"timeout": {"requestTimeout": "2s"}})
    client = Mcp(gateway)
    ended = []
    for _ in range(rounds):
        calls = [client.begin("lie") for _ in range(6)]
        got = outcomes(calls, 20)
        for call in calls:
            call.close()
        ended += got
        eq(client.strays, [], "answers that nobody asked for")
        if any(status == 404 for status, _ in got):
            client.session = None
            client = Mcp(gateway)
    statuses = {status for status, _ in ended}
    check(statuses <= ({200, 404, 504} if may_time_out else {200}), f"statuses {statuses}")
    truths = [answer for _, answer in ended if isinstance(answer, dict) and "result" in answer]
    errors = [answer["error"] for _, answer in ended if isinstance(answer, dict) and "error" in answer]
    check(truths and errors, f"{len(truths)} answers, {len(errors)} errors")
    return errors


@test("mcp answers: each request to a target over HTTP has one answer at once, whatever the target's is",
      timeout=90)
def http_liar():
    for kind in ("http", "events"):
        errors = lie(Liar(kind, "--seed", "7").target(), False, 20)
        for error in errors:
            check(error["code"] != -32000 or "liar: " in error["message"], f"without a reason: {error}")


@test("mcp answers: each request to a child has one answer, at the latest at its deadline", timeout=120)
def stdio_liar():
    liar = {"name": "liar", "stdio": {"cmd": PYTHON, "args": ["-S", "-E", LIAR, "stdio", "--seed", "3"]}}
    lie(liar, True, 8)


@test("mcp answers: each request to an HTTP+SSE target has one answer, at the latest at its deadline",
      timeout=120)
def sse_liar():
    lie(Liar("sse", "--seed", "5").target(), True, 8)


BAD_ANSWERS = {
    "no JSON": "hello", "cut": '{"jsonrpc":"2.0","id":$', "a list": "[]", "empty": "",
    "deep": '{"jsonrpc":"2.0","id":$,"result":' + "[" * 100 + "]" * 100 + "}",
    "an id twice": '{"jsonrpc":"2.0","id":$,"id":$,"result":{}}', "no version": '{"id":$,"result":{}}',
    "two": '{"jsonrpc":"2.0","id":$,"result":{}}{}',
    "both": '{"jsonrpc":"2.0","id":$,"result":{},"error":null}',
}


@test("mcp answers: a complete response that is no message is an error with its reason, not silence",
      timeout=60)
def bad_json():
    target = Told()
    gateway, _ = play(target.target())
    client = Mcp(gateway)
    for what, text in BAD_ANSWERS.items():
        target.answers["tools_list"] = (200, "application/json", text)
        error = fails(-32000, client.request, "tools/list")
        check("one: " in error.text, f"{what}: {error.text}")
    for what, text in BAD_ANSWERS.items():
        target.answers["initialize"] = (200, "application/json", text)
        fresh = Mcp(gateway, start=False)
        error = fails((-32000, -32603), fresh.request, "initialize", fresh.introduction())
        check("one: " in error.text, f"initialize with {what}: {error.text}")
    wait_until(lambda: "has not answered a request" in gateway.stderr, 10, "the reason in our log")


@test("mcp answers: an id that comes back as a string is that of the request; a BOM before JSON is no fault")
def lenient():
    target = Told()
    gateway, _ = play(target.target())
    client = Mcp(gateway)
    begin, tools = '{"jsonrpc":"2.0","id":', ',"result":{"tools":[]}}'
    for id_text, mark in (("$", ""), ('"$"', ""), ("$", "\ufeff"), ('"$"', "\ufeff")):
        target.answers["tools_list"] = (200, "application/json", mark + begin + id_text + tools)
        eq(client.request("tools/list"), {"tools": []}, f"id {id_text}, mark {mark!r}")
    for id_text, mark in (('"x$"', ""), ('"$0"', ""), ('" $"', ""), ("$", "\ufeff\ufeff"), ("$", " \ufeff")):
        target.answers["tools_list"] = (200, "application/json", mark + begin + id_text + tools)
        error = fails(-32000, client.request, "tools/list")
        check("one: " in error.text, f"id {id_text}, mark {mark!r}: {error.text}")


@test("mcp answers: why initialize failed stands in the client's error, the log and the history", timeout=60)
def initialize_reasons():
    refused = json.dumps({"jsonrpc": "2.0", "id": "server-error",
                          "error": {"code": -32600, "message": 'not "you"'}})
    for answer, reason in (((401, "text/plain", "no"), "status 401"),
                           ((400, "application/json", refused), 'not "you"'),
                           ((200, "text/html", "<html>"), "status 200"),
                           ((200, "application/json", '{"jsonrpc":"2.0","id":$,"result":{}}'), "no version")):
        target = Told(initialize=answer)
        gateway, _ = play(target.target())
        client = Mcp(gateway, start=False)
        error = fails((-32000, -32603), client.request, "initialize", client.introduction())
        check("one: " in error.text and reason in error.text, f"{answer}: {error.text}")
        wait_until(lambda: "target one" in gateway.stderr, 10, "the target in our log")
        line = gateway.wait_log(lambda line: line.get("mcp.method") == "initialize")
        check(reason in line.get("mcp.error", ""), f"the access log: {line}")
        check(reason in gateway.admin("/streams?history=1").text.replace('\\"', '"'), "the history")
        gateway.stop()


@test("mcp answers: a target that does not answer initialize is lost after initializeTimeout, says our log",
      timeout=60)
def initialize_deadline():
    for kind in ("stdio", "mcp"):
        silent = Backend()
        target = child("one", start="hang") if kind == "stdio" else \
            {"name": "one", "mcp": {"host": f"http://{silent.address}/mcp"}}
        gateway, _ = play(target, more="config: {mcp: {initializeTimeout: 1s}}\n")
        client = Mcp(gateway, start=False)
        with within(1.0, "the deadline", before=20):
            error = fails(-32000, client.request, "initialize", client.introduction())
        check("one: it did not answer initialize in time" in error.text, f"{error.text}")
        wait_until(lambda: "did not answer initialize in time" in gateway.stderr, 10, "the reason in our log")
        gateway.stop()


@test("mcp answers: lines of a child that are no messages are logged at a bounded rate, and counted",
      timeout=60)
def bad_lines():
    gateway, _ = play(child("one"))
    client = Mcp(gateway)
    for line in ("Listening on port 3000", "\ufeff{}", '{"id":1,"result":{}}', "}") * 50:
        client.call("not_json", {"line": line})
    for words in ("no message of JSON-RPC", "Listening on port 3000"):
        check(words in gateway.stderr, f"{words} in our log")
    check(gateway.stderr.count("no message of JSON-RPC") < 100, "lines in the log")
    check(gateway.metrics()("headgate_mcp_protocol_violations_total") >= 200, "the counter")


@test("mcp answers: a line of a child that names a request and is no message ends that request", timeout=60)
def bad_answer_line():
    line = '{"jsonrpc":"2.0","id":%s,"result":{},"error":null}'
    program = ("import json, sys\n"
               "for text in sys.stdin:\n"
               "    m = json.loads(text)\n"
               "    if m.get('method') == 'initialize':\n"
               f"        answer = {{'jsonrpc': '2.0', 'id': m['id'], 'result': {INITIALIZED!r}}}\n"
               "        print(json.dumps(answer), flush=True)\n"
               "    elif 'id' in m:\n"
               f"        print('{line}' % m['id'], flush=True)\n")
    gateway, _ = play({"name": "one", "stdio": {"cmd": PYTHON, "args": ["-S", "-E", "-c", program]}})
    client = Mcp(gateway)
    for _ in range(2):
        error = fails(-32000, client.request, "tools/list")
        check("one: Invalid Request" in error.text, error.text)


@test("mcp answers: a target may name another path of its own before it has served anything", timeout=60)
def redirected():
    backend = Backend()
    gateway, _ = play({"name": "one", "mcp": {"host": f"http://{backend.address}/mcp"}})
    client = Mcp(gateway, start=False)
    begun = client.start("initialize", client.introduction())
    first = backend.accept()
    eq(first.read_request().target, "/mcp", "the configured path")
    first.send(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /mcp/\r\nContent-Length: 0\r\n"
               b"Connection: close\r\n\r\n")
    second = backend.accept()
    request = second.read_request()
    eq(request.target, "/mcp/", "the path that it named")
    body = json.dumps({"jsonrpc": "2.0", "id": json.loads(request.body)["id"], "result": INITIALIZED})
    second.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    eq(begun.result()["protocolVersion"], "2025-06-18", "initialize")
