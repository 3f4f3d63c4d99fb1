# SPDX-License-Identifier: Apache-2.0
"""The gateway's own life with MCP sessions in it: shutdown, reload, lists, the documentation's file."""
import json
import os
import re
import signal
import time

from crashes import kill
from hg import *
from hg.mcp import PYTHON, SERVER, Journal, Mcp, McpGateway, McpServer, config, stdio
from hg.process import read_text
from mcpplays import Told, child, expect_gone, expect_no_zombie, fails, patient, play

SEED = """
mcp:
  port: @port@
  policies:
    timeout:
      requestTimeout: 1s
  targets:
  - name: everything
    stdio:
      cmd: npx
      args: ["@modelcontextprotocol/server-everything"]
"""


def fake_npx(journal):
    """A PATH on which npx is the server of the tests, which takes no notice of the package's name."""
    folder = os.path.join(tmpdir(), "bin")
    os.mkdir(folder)
    path = os.path.join(folder, "npx")
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\necho "$@" > {tmpdir()}/npx.args\n'
                   f"exec {PYTHON} -S -E {SERVER} --name everything --journal {journal.path}\n")
    os.chmod(path, 0o755)
    return folder + ":" + os.environ["PATH"]


@test("mcp life: the file of the documentation runs, with npx from PATH, and its deadline of 1 s holds",
      timeout=60)
def seed():
    journal = Journal()
    gateway = McpGateway(SEED, env={"PATH": fake_npx(journal)})
    client = patient(gateway)
    check("echo" in client.tools(), "tools")
    eq(json.loads(client.text("environment"))["ppid"], gateway.pid, "whose child it is")
    with open(tmpdir() + "/npx.args", encoding="ascii") as file:
        eq(file.read().split(), ["@modelcontextprotocol/server-everything"], "arguments of npx")
    answer = client.begin("sleep", {"seconds": 3}).body()
    eq((answer.status, answer.text), (504, "request timeout"), "a tool that takes longer")
    journal.wait("cancelled", tool="sleep")


@test("mcp life: the port is 3000 where none is given, and a route is what the documents call it")
def defaults():
    status, out, error = validate(SEED.replace("  port: @port@\n", ""))
    eq(status, 0, f"without a port: {out}{error}")
    gateway, _ = play()
    dump = json.dumps(gateway.config_dump())
    check("stdio" in dump and '"one"' in dump, "the target is not in the dump")


@test("mcp life: SIGTERM lets a call end, closes streams, and leaves no child", timeout=60)
def shutdown():
    gateway, journal = play()
    client = Mcp(gateway)
    stream = client.listen()
    call = client.begin("sleep", {"seconds": 1})
    wait_until(lambda: journal.messages("tools/call"), 10, "the call at the child")
    gateway.terminate()
    eq(call.result()["content"][0]["text"], "slept", "the call")
    stream.end()
    gateway.expect_exit()
    client.session = None
    for pid in journal.pids():
        expect_gone(pid, 5)


@test("mcp life: children that ignore SIGTERM, and their grandchildren, do not outlive the gateway",
      timeout=90)
def deaf_children():
    gateway, journal = play(child("one", deaf=True), child("two", deaf=True))
    clients = [Mcp(gateway) for _ in range(3)]
    grandchildren = [int(client.text("one_fork")) for client in clients]
    pids = journal.pids()
    eq(len(pids), 6, "children")
    for client in clients:
        client.session = None
    gateway.stop(deadline=30)
    for pid in pids + grandchildren:
        expect_gone(pid, 5)


@test("mcp life: children end with a gateway that is killed")
def killed():
    gateway, journal = play(checked=False)
    client = Mcp(gateway)
    client.text("echo")
    client.session = None
    gateway.kill()
    for pid in journal.pids():
        expect_gone(pid, 15, "the child of a killed gateway")


@test("mcp life: children, and grandchildren, end with a gateway that is killed and followed by another one, "
      "also those that ignore the end of their input and SIGTERM")
def killed_and_followed():
    gateway, journal = play(child("one", deaf=True), child("two", deaf=True), keeper=True)
    client = Mcp(gateway)
    grandchild = int(client.text("one_fork"))
    client.session = None
    before = journal.pids()
    eq(len(before), 2, "children")
    kill(gateway)
    for pid in before + [grandchild]:
        expect_gone(pid, 10, "what a killed gateway has left")
    other = Mcp(gateway)
    other.text("one_echo")
    other.session = None


@test("mcp life: a gateway that stands still when its keeper is told to end is killed at the deadline, and "
      "its children and grandchildren end, also those that ignore SIGTERM", waits=True, timeout=60)
def stands_still():
    gateway, journal = play(child("one", deaf=True), child("two"), keeper=True, checked=False)
    client = Mcp(gateway)
    grandchild = int(client.text("one_fork"))
    client.session = None
    pids = journal.pids()
    eq(len(pids), 2, "children")
    os.kill(gateway.gateway_pid, signal.SIGSTOP)
    with within(5.0, "the end of the keeper", before=25):
        gateway.terminate()
        eq(gateway.wait(30), 1, "exit status")
    check("killing it" in gateway.stderr, "the log does not say it")
    for pid in pids + [grandchild]:
        expect_gone(pid, 5, "what the gateway has left")


@test("mcp life: a child that does not read its input ends with a gateway that is killed, without a keeper "
      "as well")
def crash_signal():
    gateway, _ = play({"name": "sleeper", "stdio": {"cmd": "sleep", "args": ["4321"]}}, checked=False)
    client = Mcp(gateway, start=False)
    begun = client.start("initialize", client.introduction())

    def sleepers():
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and
                read_text(f"/proc/{pid}/cmdline") == "sleep\0004321\0"]
    pid = wait_until(sleepers, 10, "the child")[0]
    gateway.kill()
    expect_gone(pid, 5, "the child of a killed gateway")
    begun.close()


@test("mcp life: a reload that does not touch the targets keeps sessions, calls and streams")
def harmless_reload():
    journal = Journal()
    text = config([stdio(journal=journal)])
    gateway = McpGateway(text)
    client = Mcp(gateway)
    stream = client.listen()
    call = client.begin("sleep", {"seconds": 1})
    wait_until(lambda: journal.messages("tools/call"), 10, "the call at the child")
    gateway.reload(text + "frontendPolicies: {http: {http1IdleTimeout: 77s}}\n")
    eq(call.result()["content"][0]["text"], "slept", "the call")
    client.call("log", {"general": True, "data": "still"})
    eq(stream.until("notifications/message")["data"], "still", "the stream")
    eq(len(journal.pids()), 1, "children")


@test("mcp life: a reload that changes a target: new sessions have the new one, calls under way end in peace",
      timeout=60)
def changed_reload():
    journal = Journal()
    gateway = McpGateway(config([stdio("one", journal=journal)]))
    client = Mcp(gateway)
    old = int(client.text("who").split()[1])
    call = client.begin("sleep", {"seconds": 1})
    wait_until(lambda: len(journal.messages("tools/call")) == 2, 10, "the call at the child")
    gateway.reload(config([stdio("two", journal=journal)]))
    eq(call.result()["content"][0]["text"], "slept", "the call")
    eq(Mcp(gateway).text("who").split()[0], "two", "a new session")
    answer = client.begin("who")
    if answer.status == 200:
        check(answer.result()["content"][0]["text"].split()[0] in ("one", "two"), "the old session")
    answer.close()
    client.delete()
    expect_gone(old, 40)
    expect_no_zombie(gateway)


@test("mcp life: a reload without the block ends its sessions and children", timeout=60)
def removed_reload():
    journal = Journal()
    other = ("binds:\n- port: @other@\n  listeners:\n  - routes:\n"
             "    - policies: {directResponse: {status: 200, body: x}}\n")
    gateway = McpGateway(config([stdio(journal=journal)]) + other)
    client = Mcp(gateway)
    client.text("echo")
    gateway.reload(other)
    for pid in journal.pids():
        expect_gone(pid, 40)
    client.session = None
    expect_no_zombie(gateway)


@test("mcp life: a wrong reload leaves everything as it is")
def wrong_reload():
    journal = Journal()
    text = config([stdio(journal=journal)])
    gateway = McpGateway(text)
    client = Mcp(gateway)
    gateway.reload(text.replace('"name": "one"', '"name": "o_n_e"'))
    eq(client.text("who").split()[0], "one", "the session")
    gateway.write("config.yaml", text)


@test("mcp life: the list of sessions shows targets, what runs and the time left, and no keys")
def listed():
    gateway, journal = play(child("one"), policies={"timeout": {"requestTimeout": "30s"}})
    client = Mcp(gateway)
    call = client.begin("sleep", {"seconds": 60})
    wait_until(lambda: journal.messages("tools/call"), 10, "the call at the child")
    answer = gateway.admin("/mcp/sessions")
    eq(answer.status, 200, "status of /mcp/sessions")
    text = answer.text
    shown = answer.json()
    check(client.session not in text, "the whole session id, which is a key")
    check(client.session[:6] in text, "the beginning of the session id")
    for word in ("one", "tools/call", "sleep", str(journal.pids()[0])):
        check(word in text, f"{word!r} in {shown}")
    left = [int(number) for number in re.findall(r'"\w*left\w*": ?(\d+)', text, re.I)]
    check(left and all(0 < number <= 30000 for number in left), f"the time left in {shown}")
    call.close()
    client.delete()
    wait_until(lambda: "tools/call" not in gateway.admin("/mcp/sessions").text, 10, "the end of the session")


def calls(gateway):
    """{(target, tool, status): how many calls}"""
    found = {}
    for family in gateway.metrics().families.values():
        for _, name, labels, value in family.samples:
            if name == "headgate_mcp_calls_total":
                key = (labels["target"], labels["tool"], labels["status"])
                found[key] = found.get(key, 0) + value
    return found


@test("mcp life: metrics count calls by target, method and tool, and what a client invents makes no label")
def counted():
    gateway, _ = play(child("one"), child("two"))
    client = Mcp(gateway)
    client.text("two_echo")
    client.tools()
    for _ in range(3):
        client.text("two_echo")
    for number in range(200):
        fails(None, client.call, f"two_invented{number}")
    found = calls(gateway)
    eq(found.get(("two", "two_echo", "ok")), 3, "calls of a tool since it was listed")
    eq(found.get(("two", "other", "ok")), 1, "calls of it before that")
    eq(found.get(("two", "other", "error")), 200, "calls of what the client invented")
    check(len(found) < 20, f"{found}")


@test("mcp life: a tool that says isError has failed, and its invented names make no label either")
def failed_tools():
    target = Told(tools_list=(200, "application/json",
                              '{"jsonrpc":"2.0","id":$,"result":{"tools":[{"name":"known"}]}}'),
                  tools_call=(200, "application/json",
                              '{"jsonrpc":"2.0","id":$,"result":{"content":[],"isError":true}}'))
    gateway, _ = play(target.target())
    client = Mcp(gateway)
    eq(client.tools(), ["known"], "tools")
    for number in range(50):
        eq(client.call(f"invented{number}")["isError"], True, "the answer")
    client.call("known")
    found = calls(gateway)
    eq((found.get(("one", "other", "error")), found.get(("one", "known", "error"))), (50, 1), f"{found}")
    check(not [key for key in found if "invented" in key[1] or (key[2] == "ok" and key[1])], f"{found}")


@test("mcp life: sessions are limited in number; the next one is refused while those that are there work",
      timeout=120,
      heavy=True)
def many_sessions():
    server = McpServer(json=True)
    gateway, _ = play(server.target())
    client = Mcp(gateway)
    sessions, refused = [], None
    one = Mcp(gateway, start=False)
    for _ in range(6000):
        begun = one.start("initialize", one.introduction())
        if begun.status != 200:
            refused = begun.status
            begun.close()
            break
        begun.result()
        sessions.append(begun.head.header("Mcp-Session-Id"))
    check(refused in (429, 503), f"after {len(sessions)} sessions: {refused}")
    eq(client.text("echo"), "{}", "a session that is there")
    for session in sessions:
        one.session = session
        one.delete()
    eq(Mcp(gateway).request("ping"), {}, "afterwards")


@test("mcp life: sessions with quiet streams cost little memory and no wake-ups", timeout=120, heavy=True,
      measures=True)
def quiet_sessions():
    server = McpServer(json=True, no_get=True)
    gateway, _ = play(server.target(), more="config: {limits: {mcpSessionsPerClient: 4096}}\n")
    warm = [Mcp(gateway) for _ in range(20)]
    streams = [client.listen() for client in warm]
    before = gateway.rss_bytes()
    clients = [Mcp(gateway) for _ in range(300)]
    streams += [client.listen() for client in clients]
    each = (gateway.rss_bytes() - before) / len(clients)
    note(f"{each / 1024:.1f} KiB a session, with its connections")
    check(each < 40 << 10, f"{each / 1024:.1f} KiB a session")
    time.sleep(1)
    # Times that this process went to sleep by itself: others that run beside it add none.
    begin, switches = time.monotonic(), gateway.context_switches()
    time.sleep(3)
    woken, seconds = gateway.context_switches() - switches, time.monotonic() - begin
    note(f"{woken} wake-ups in {seconds:.1f} s")
    check(woken < 20 * seconds, f"{woken} wake-ups in {seconds:.1f} s with {len(streams)} quiet streams")
