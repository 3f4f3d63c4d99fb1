# SPDX-License-Identifier: Apache-2.0
"""What goes both ways while a call runs: questions of the server, progress, logs, cancellation, deadlines."""
import json
import os

from hg import *
from hg.mcp import VERSIONS, Journal, Mcp, McpServer, gather, text_of
from mcpplays import child, fails, patient, play
from timers import expect_reason

TIMEOUT = {"timeout": {"requestTimeout": "1s"}}


def answering(name):
    """Handlers of a client whose answers say who gave them."""
    return {
        "sampling/createMessage": lambda params: {"role": "assistant", "model": name, "content": {
            "type": "text", "text": f"{name}: " + params["messages"][0]["content"]["text"]}},
        "elicitation/create": lambda params: {"action": "accept",
                                              "content": {"word": f"{name}: " + params["message"]}},
        "roots/list": lambda params: {"roots": [{"uri": f"file:///{name}", "name": name}]},
        "ping": lambda params: {},
    }


# ---- questions -------------------------------------------------------------------------------------------


@test("mcp: sampling, elicitation and roots reach the client whose call they belong to, of two, each version")
def questions():
    gateway, journal = play(child("one"), child("two"))
    for version in VERSIONS:
        clients = [Mcp(gateway, version=version, handlers=answering(name)) for name in ("anna", "bert")]
        for target in ("one", "two"):
            calls = [(kind, client, client.begin(f"{target}_ask_{kind}", {"text": "q"}))
                     for kind in ("sampling", "elicitation", "roots") for client in clients]
            gather([call for _, _, call in calls])
            for number, (kind, client, call) in enumerate(calls):
                answer = text_of(call.result())
                name = ("anna", "bert")[number % 2]
                other = ("bert", "anna")[number % 2]
                check(name in answer and other not in answer, f"{kind} for {name}: {answer}")
        for client in clients:
            eq(len(client.asked), 6, "questions")
            client.delete()
    eq(journal.events("stray_answer"), [], "answers to what no target asked")


@test("mcp: two targets ask at once with the same ids, and each gets the answer to its own question")
def same_ids():
    gateway, _ = play(child("one"), child("two"))
    client = Mcp(gateway)
    calls = {name: client.begin(f"{name}_ask_sampling", {"text": f"of {name}"}) for name in ("one", "two")}
    questions_of = {}
    for name, call in calls.items():
        message = call.next()
        eq(message["method"], "sampling/createMessage", f"the question of {name}")
        questions_of[name] = message
    check(questions_of["one"]["id"] != questions_of["two"]["id"], "two questions have one id")
    for name in ("two", "one"):
        client.reply(questions_of[name], {"role": "assistant", "model": "m",
                                          "content": {"type": "text", "text": f"for {name}"}})
    for name, call in calls.items():
        answer = json.loads(text_of(call.result()))
        eq((answer["answer"]["content"]["text"], answer["text"]), (f"for {name}", f"of {name}"), "the answer")


@test("mcp: an error is an answer, too; a second answer, and one to no question, go nowhere")
def refused_questions():
    gateway, journal = play()
    client = Mcp(gateway)
    call = client.begin("ask_elicitation", {"text": "may I"})
    question = call.next()
    client.reply(question, error={"code": -1, "message": "no, you may not"})
    check("no, you may not" in text_of(call.result()), "the error at the child")
    for number in (question["id"], 99999, "nobody", "one:1"):
        answer = client.post({"jsonrpc": "2.0", "id": number, "result": {"late": True}})
        eq(answer.status, 202, f"status of an answer with id {number}")
    eq(client.text("echo"), "{}", "afterwards")
    heard = [one for one in journal.messages() if "late" in str(one.get("result"))]
    eq(heard, [], "what the child heard of it")


@test("mcp: nobody can answer a question that another client was asked")
def stolen_answers():
    gateway, _ = play()
    victim, thief = Mcp(gateway), Mcp(gateway)
    call = victim.begin("ask_sampling", {"text": "secret"})
    question = call.next()
    thief.post({"jsonrpc": "2.0", "id": question["id"], "result": {"stolen": True}})
    victim.reply(question, {"mine": True})
    eq(json.loads(text_of(call.result()))["answer"], {"mine": True}, "the answer")


@test("mcp: a question of no call comes on the stream of GET; before there is one it waits")
def general_questions():
    gateway, _ = play(McpServer().target())
    client = Mcp(gateway, handlers=answering("anna"))
    waiting = client.begin("ask_roots", {"general": True})
    stream = client.listen()
    eq(stream.next()["method"], "roots/list", "on the stream of GET")
    check("file:///anna" in text_of(waiting.result()), "the answer")


@test("mcp: ping goes both ways")
def pings():
    gateway, _ = play()
    client = Mcp(gateway, handlers=answering("anna"))
    eq(client.request("ping"), {}, "ours")
    eq(client.text("ask_ping"), "{}", "the server's")


# ---- notifications ---------------------------------------------------------------------------------------


@test("mcp: progress comes on the stream of its call, with the client's token, for two with the same one")
def progress():
    gateway, _ = play(child("one"), child("two"))
    clients = [Mcp(gateway), Mcp(gateway)]
    for token in ("same", 7, 0, "", "a\"é"):
        calls = [client.begin(f"{name}_progress", {"steps": 4}, {"progressToken": token})
                 for client in clients for name in ("one", "two")]
        for call in calls:
            eq(text_of(call.result()), "4 steps", "the result")
            got = [(one["params"]["progressToken"], one["params"]["progress"]) for one in call.seen]
            eq(got, [(token, step) for step in (1, 2, 3, 4)], f"progress of {token!r}")


@test("mcp: without a token there is no progress; log messages of a call come before its answer")
def logs():
    gateway, _ = play(child("one"), child("two"))
    client = Mcp(gateway)
    quiet = client.begin("one_progress", {"steps": 2})
    quiet.result()
    eq(quiet.seen, [], "progress without a token")
    client.request("logging/setLevel", {"level": "warning"})
    for name in ("one", "two"):
        eq(json.loads(client.text(f"{name}_received"))["level"], "warning", f"the level at {name}")
    call = client.begin("two_log", {"count": 5})
    call.result()
    stream_has = [one["params"]["data"] for one in call.seen]
    eq(stream_has, [f"line {number}" for number in range(5)], "messages on the stream of the call")


@test("mcp: updates of resources come to who subscribed, with the uri he knows")
def updates():
    gateway, journal = play(child("one"), child("two"))
    client, other = Mcp(gateway), Mcp(gateway)
    stream, other_stream = client.listen(), other.listen()
    client.request("resources/subscribe", {"uri": "two+note://a"})
    told = [one["params"]["uri"] for one in journal.messages("resources/subscribe")]
    eq(told, ["note://a"], "at the target")
    other.call("two_touch", {"uri": "note://a"})
    client.call("one_touch", {"uri": "note://a"})
    client.call("two_touch", {"uri": "note://a"})
    eq(stream.until("notifications/resources/updated"), {"uri": "two+note://a"}, "the update")
    client.request("resources/unsubscribe", {"uri": "two+note://a"})
    client.call("two_touch", {"uri": "note://a"})
    client.call("two_change", {"kind": "tools"})
    eq(stream.next()["method"], "notifications/tools/list_changed", "what comes next")
    other.call("one_change", {"kind": "prompts"})
    eq(other_stream.next()["method"], "notifications/prompts/list_changed", "the first thing the other hears")


@test("mcp: what happens while no stream is open is told to the next one, up to a limit")
def queued():
    gateway, _ = play()
    client = Mcp(gateway)
    client.call("log", {"general": True, "count": 20})
    stream = client.listen()
    eq([stream.until("notifications/message")["data"] for _ in range(20)],
       [f"line {number}" for number in range(20)], "what was kept, in order")


@test("mcp: a stream that broke is taken up behind the last event: what came meanwhile, in order, once")
def last_event_id():
    gateway, _ = play()
    client = Mcp(gateway)
    stream = client.listen()
    client.call("log", {"general": True, "count": 5})
    got = [stream.next_event() for _ in range(5)]
    check(all(event.id for event in got), "events without ids")
    eq(len({event.id for event in got}), 5, "different ids")
    stream.close()
    wait_until(lambda: not any(one["method"] == "GET" for one in gateway.streams()), 10, "its end to be seen")
    client.call("log", {"general": True, "count": 2, "data": "later"})
    again = client.listen(got[-1].id)
    rest = [again.until("notifications/message")["data"] for _ in range(2)]
    client.call("log", {"general": True, "data": "last"})
    eq([*rest, again.until("notifications/message")["data"]], ["later", "later", "last"], "the rest")


@test("mcp: an event stream that is quiet stays open, and is not woken for it", timeout=40, waits=True)
def quiet_stream():
    gateway, _ = play()
    client = Mcp(gateway)
    stream = client.listen()
    stream.connection.expect_silence(8)
    client.call("log", {"general": True, "data": "still here"})
    eq(stream.until("notifications/message")["data"], "still here", "after the quiet")


# ---- cancellation ----------------------------------------------------------------------------------------


@test("mcp: notifications/cancelled reaches the target with its own id, and only that call ends")
def cancelled():
    gateway, journal = play(child("one"), child("two"))
    client = Mcp(gateway)
    calls = {name: client.begin(f"{name}_sleep", {"seconds": 60}, number=name) for name in ("one", "two")}
    for name in calls:
        wait_until(lambda n=name: journal.messages("tools/call", server=n), 10, "the call at the target")
    client.notify("notifications/cancelled", {"requestId": "two", "reason": "changed my mind"})
    told = journal.wait("cancelled", server="two")
    eq((told["reason"], told["tool"]), ("changed my mind", "sleep"), "what the target was told")
    eq(journal.events("cancelled", server="one"), [], "the other call")
    calls["two"].end()
    eq(calls["two"].answer, None, "an answer to what was cancelled")
    for number in ("two", "nobody", 4711, None):
        client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
    eq(client.text("two_who").split()[0], "two", "afterwards")
    calls["one"].close()


@test("mcp: a question comes on the stream of a newer call, and can be read there when that is cancelled")
def cancelled_with_question():
    gateway, _ = play(child("one"), McpServer("old", sse=True).target("old", "sse"))
    for target in ("one", "old"):
        client = Mcp(gateway, handlers=answering("anna"))
        calls = {}
        done = os.path.join(tmpdir(), f"{target} may go on")
        # While the target is busy, it asks nothing; two workers may swap what is not waited for.
        for tool, arguments in (("busy", {"until": done}), ("ask_sampling", {"text": "q"}),
                                ("sleep", {"seconds": 60})):
            calls[tool] = client.begin(f"{target}_{tool}", arguments)
            wait_until(lambda name=f"{target}_{tool}": name in gateway.admin("/mcp/sessions").text, 10,
                       f"{tool} at the gateway")
        open(done, "w").close()
        eq(calls["sleep"].status, 200, "the newest call has a stream")
        client.notify("notifications/cancelled", {"requestId": calls["sleep"].id})
        calls["sleep"].end()
        eq((calls["sleep"].answer, len(client.asked)), (None, 1), "on the stream of the newest call")
        check("anna: q" in text_of(calls["ask_sampling"].result()), "the answer to the question")
        eq(text_of(calls["busy"].result()), "done", "the call before")
        client.delete()


@test("mcp: a client cannot cancel the call of another")
def foreign_cancel():
    gateway, journal = play()
    one, two = Mcp(gateway), Mcp(gateway)
    call = one.begin("sleep", {"seconds": 1.5}, number=5)
    wait_until(lambda: journal.messages("tools/call"), 10, "the call")
    two.notify("notifications/cancelled", {"requestId": 5})
    eq(text_of(call.result()), "slept", "the call")


@test("mcp: a client that leaves does not disturb its session: the next call works, nothing is left behind")
def client_leaves():
    gateway, journal = play()
    client = Mcp(gateway)
    for _ in range(5):
        call = client.begin("sleep", {"seconds": 30})
        call.close()
    wait_until(lambda: len(journal.messages("tools/call")) == 5, 10, "the calls")
    eq(client.text("echo"), "{}", "the next call")


# ---- deadlines -------------------------------------------------------------------------------------------


@test("mcp: a client that closes while it waits, or in its stream of events, has given up, as over HTTP",
      timeout=60)
def gave_up():
    gateway, journal = play()
    for read_event in (False, True):
        client = Mcp(gateway)
        call = client.begin("sleep", {"seconds": 60}) if not read_event else client.begin(
            "progress", {"steps": 1000, "interval": 1}, {"progressToken": "t"})
        wait_until(lambda: journal.messages("tools/call"), 10, "the call at the target")
        if read_event:
            call.next()
        call.close()
        tool = "progress" if read_event else "sleep"
        line = gateway.wait_log(lambda line, tool=tool: line.get("mcp.tool") == tool)
        eq(line["close_reason"], "client_gave_up", f"close_reason, read_event={read_event}")


@test("mcp: requestTimeout: 504 request timeout after it, and the child is told to cancel", timeout=60)
def request_timeout():
    gateway, journal = play(child("one"), policies=TIMEOUT)
    client = patient(gateway)
    with within(1.0, "the answer", before=60):
        answer = client.begin("sleep", {"seconds": 60}).body()
    eq((answer.status, answer.text), (504, "request timeout"), "status and body")
    told = journal.wait("cancelled")
    eq(told["tool"], "sleep", "what was cancelled")
    check("timeout" in (told["reason"] or ""), f"the reason: {told['reason']}")
    record = expect_reason(gateway, "request_timeout", 504, error="request timeout")
    eq((record.get("mcp.method"), record.get("mcp.tool")), ("tools/call", "sleep"), "in the access log")
    eq(client.text("echo"), "{}", "the session after it")


@test("mcp: requestTimeout ends with the head: progress makes the answer a stream that may take longer",
      timeout=60)
def timeout_and_progress():
    gateway, _ = play(child("one"), policies={"timeout": {"requestTimeout": "3s"}})
    client = patient(gateway)
    call = client.begin("progress", {"steps": 9, "interval": 0.4}, {"progressToken": "t"})
    if call.status == 504:
        skip("the child needed 3 s for its first notification: this machine is too slow for the claim")
    eq(text_of(call.result()), "9 steps", "the result")
    eq(len(call.seen), 9, "progress")


@test("mcp: a late answer of a call that timed out goes nowhere", timeout=60)
def late_answer():
    gateway, _ = play(child("one"), policies=TIMEOUT)
    client = patient(gateway)
    stream = client.listen()
    done = os.path.join(tmpdir(), "may go on")
    call = client.begin("busy", {"until": done}, number=1)  # hears of no cancellation, answers after it
    eq(call.body().status, 504, "status")
    open(done, "w").close()
    follow = client.start("ping", number=1)
    eq(follow.result(), {}, "the same id again")
    wait_until(lambda: text_or_504(client) == "{}", 30, "the child to be free")
    check(not stream.connection.pending() or not stream.seen, "the late answer came on the stream")
    eq(client.strays, [], "answers that nobody asked for")


def text_or_504(client):
    call = client.begin("echo")
    return text_of(call.result()) if call.status == 200 else call.close()


@test("mcp: requestTimeout counts for a target over HTTP, which is told or cut off", timeout=60)
def timeout_over_http():
    journal = Journal("web")
    server = McpServer(journal=journal, json=True)
    gateway, _ = play(server.target(), policies=TIMEOUT)
    client = patient(gateway)
    call = client.begin("sleep", {"seconds": 30})
    answer = call.body()
    eq((answer.status, answer.text), (504, "request timeout"), "status and body")
    journal.wait("cancelled", tool="sleep")
    silent = client.begin("http_silent")
    eq(silent.body().status, 504, "a target without a head")


@test("mcp: a retry policy does not repeat a call of a tool", timeout=60)
def no_retries():
    policies = {"retry": {"attempts": 3, "codes": [500, 502, 503, 504]},
                "timeout": {"backendRequestTimeout": "1s"}}
    gateway, journal = play(child("one"), policies=policies)
    client = patient(gateway)
    before = len(journal.messages("tools/call"))
    call = client.begin("sleep", {"seconds": 30})
    eq(call.body().status, 504, "status")
    eq(len(journal.messages("tools/call")) - before, 1, "calls at the child")
    fails(None, client.call, "protocol_error")
    eq(len(journal.messages("tools/call")) - before, 2, "an error of the protocol is an answer")
