# SPDX-License-Identifier: Apache-2.0
"""Children as hostile guests: whatever one does, its neighbours, other clients and the gateway go on."""
import contextlib
import json
import os
import signal
import time

from hg import *
from hg.mcp import MODERN, Mcp, McpServer, text_of
from hg.process import read_text
from mcpplays import child, expect_gone, expect_no_zombie, fails, play, runs

# Memory that a guest may cost for a moment: a line, the queues of a session, what malloc keeps.
ROOM = 48 << 20
# Of what a flood has, more than the memory that it may cost.
FLOOD = {"count": 100000, "bytes": 1000} if is_thorough() else {"count": 20000, "bytes": 4000}
# Signals that Python ignores itself, and two that posix_spawn does not let anybody have.
NOT_OURS = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33))


def stage(**options):
    """(gateway, journal, the client whose target `bad` misbehaves, another client); beside it is `good`."""
    gateway, journal = play(child("bad", **options), child("good", only="echo,who"),
                            settings={"failureMode": "failOpen"})
    return gateway, journal, Mcp(gateway), Mcp(gateway)


def expect_neighbours(client, other, what):
    """The other target of this session, and the session of another client, work as before."""
    eq(client.text("good_echo", {"a": 1}), '{"a": 1}', f"the other target after {what}")
    eq(other.text("good_echo"), "{}", f"another client after {what}")
    eq(other.text("bad_echo"), "{}", f"another client's child after {what}")


def expect_room(gateway, before, room=ROOM):
    """Memory has not grown by more than that; a sanitizer has its own."""
    grown = gateway.rss_bytes() - before
    note(f"memory grew by {grown >> 10} KiB")
    check(is_asan() or grown < room, f"memory grew by {grown >> 10} KiB")


def outcome(call):
    """The result or error of a call that may end in either; Failure when it hangs."""
    if call.status != 200:
        call.close()
        return {"http": call.status}
    while call.answer is None:
        if call.next() is None:
            return {"ended": True}
    return call.answer


def expect_error(call, what):
    got = outcome(call)
    check("result" not in got, f"{what}: {got}")
    return got


# ---- death -----------------------------------------------------------------------------------------------


@test("mcp guests: a child that dies in a call: an error, no zombie, and the next call has a new child",
      timeout=60)
def dies():
    gateway, journal, client, other = stage()
    for arguments in ({"status": 0}, {"status": 3}, {"signal": 9}, {"signal": 11}, {"partial": True}):
        waiting = client.begin("bad_sleep", {"seconds": 60})
        wait_until(lambda: '"name": "sleep"' in json.dumps(journal.messages("tools/call")), 10, "the call")
        expect_error(client.begin("bad_die", arguments), f"die {arguments}")
        expect_error(waiting, "a call beside the one that killed it")
        expect_no_zombie(gateway)
        expect_neighbours(client, other, f"death {arguments}")
        client = recovered(client, gateway)
    wait_until(lambda: gateway.log(), 5, "the log")


def recovered(client, gateway):
    """The client, once its child works again; one with a new session where this one has lost it."""
    if "result" in outcome(client.begin("bad_who")):
        return client
    if client.session:
        client.delete()

    def works():
        fresh = Mcp(gateway)
        if "result" in outcome(fresh.begin("bad_who")):
            return fresh
        fresh.delete()
        return None
    return wait_until(works, 30, "a new session to have a child again")


@test("mcp guests: a child that dies again and again is started with pauses, not in a loop", timeout=60)
def backs_off():
    gateway, journal, client, other = stage()
    for _ in range(30):
        call = client.begin("bad_die")
        outcome(call)
        call.close()
        if client.post(client.message("ping")).status == 404:
            client.session = None
            client = Mcp(gateway)
    started = len(journal.pids(server="bad"))
    check(started <= 40, f"{started} children for 30 deaths")
    eq(other.text("bad_echo"), "{}", "another client")
    expect_no_zombie(gateway)


@test("mcp guests: a child that dies at the start costs an error, not a loop")
def dies_at_start():
    gateway, journal = play(child("bad", start="die:9"))
    for _ in range(3):
        client = Mcp(gateway, start=False)
        expect_error(client.start("initialize", client.introduction()), "initialize")
    expect_no_zombie(gateway)
    time.sleep(0.5)  # for one that is started although nobody asks any more
    started = len(journal.pids())
    check(1 <= started <= 3, f"{started} children for three sessions")


@test("mcp guests: a child that says nonsense at the start is refused or skipped, one that hangs times out",
      timeout=60)
def bad_starts():
    for how in ("garbage", "close", "wrong"):
        gateway, _ = play(child("bad", start=how))
        client = Mcp(gateway, start=False)
        got = outcome(client.start("initialize", client.introduction()))
        check(how == "garbage" or "result" not in got, f"{how}: {got}")
        gateway.stop()
    gateway, journal = play(child("bad", start="hang"), policies={"timeout": {"requestTimeout": "1s"}})
    client = Mcp(gateway, start=False)
    eq(client.start("initialize", client.introduction()).status, 504, "a child that hangs")
    expect_gone(journal.wait("started")["pid"], 30)


@test("mcp guests: a child that closes stdout only is as good as dead: its calls end, it is ended",
      timeout=60)
def closes_stdout():
    gateway, journal, client, other = stage(deaf=True)
    pid = int(client.text("bad_who").split()[1])
    expect_error(client.begin("bad_close_stdout"), "a child without stdout")
    expect_gone(pid, 40)
    expect_neighbours(client, other, "a closed stdout")
    expect_no_zombie(gateway)


# ---- lines -----------------------------------------------------------------------------------------------


@test("mcp guests: lines that are no messages harm nobody but, where it is strict, their own child",
      timeout=60)
def bad_lines():
    gateway, _, client, other = stage()
    for which in ("number", "string", "null", "empty", "object", "batch", "version", "utf8", "nul", "double",
                  "both", "idtype", "crlf", "params", "method"):
        got = outcome(client.begin("bad_bad_message", {"which": which}))
        if which in ("empty", "crlf"):
            check("result" in got, f"{which} is no fault: {got}")
        expect_neighbours(client, other, which)
        client = recovered(client, gateway)
    for tool in ("not_json", "binary", "deep"):
        outcome(client.begin(f"bad_{tool}"))
        expect_neighbours(client, other, tool)
        client = recovered(client, gateway)


@test("mcp guests: a line over the limit is an error of its call, and its child lives", timeout=90)
def long_lines():
    gateway, _, client, other = stage()
    before = gateway.rss_bytes()
    waiting = client.begin("bad_sleep", {"seconds": 3})
    eq(len(client.text("bad_large", {"bytes": 9 << 20})), 9 << 20, "an answer of nine MiB")
    for more in ({}, {"id_last": True}):
        error = fails(-32000, client.call, "bad_large", {"bytes": 12 << 20, **more})
        check("bad: a message of " in error.text, error.text)
        expect_neighbours(client, other, f"an answer that is too large {more}")
    eq(client.text("bad_long_line", {"bytes": 12 << 20}), "after it", "a notification that is too large")
    eq(text_of(waiting.result()), "slept", "a call beside them")
    expect_room(gateway, before)


@test("mcp guests: an event over the limit is an error of its call, and its target lives", timeout=90)
def long_events():
    for kind, options in (("mcp", {}), ("sse", {"sse": True})):
        server = McpServer("bad", **options)
        gateway, _ = play(server.target("bad", kind), more="config: {limits: {mcpMessageBytes: 1048576}}\n")
        client = Mcp(gateway)
        waiting = client.begin("sleep", {"seconds": 2})
        error = fails(-32000, client.call, "large", {"bytes": 2 << 20})
        check("mcpMessageBytes" in error.text or "too large" in error.text, error.text)
        eq(client.text("echo"), "{}", "the next call")
        eq(text_of(waiting.result()), "slept", "a call beside it")
        gateway.stop()


@test("mcp guests: a line without end ends that child at a bounded price", timeout=90)
def endless_line():
    gateway, journal, client, other = stage()
    before = gateway.rss_bytes()
    pid = int(client.text("bad_who").split()[1])
    expect_error(client.begin("bad_endless"), "a line without end")
    expect_gone(pid, 30)
    expect_neighbours(client, other, "a line without end")
    client = recovered(client, gateway)
    expect_room(gateway, before)
    expect_no_zombie(gateway)


@test("mcp guests: what a shared child cannot take is refused, and nobody else notices", timeout=90)
def shared_queue():
    gateway, journal = play(child("one"))
    client = Mcp(gateway, version=MODERN)
    waiting = [Mcp(gateway, version=MODERN).begin("sleep", {"seconds": 4}) for _ in range(20)]
    wait_until(lambda: len(journal.messages("tools/call")) == 20, 20, "the calls at the child")
    done = os.path.join(tmpdir(), "may go on")
    busy = client.begin("busy", {"until": done})
    wait_until(lambda: len(journal.messages("tools/call")) == 21, 20, "the child to be busy")
    large = [client.begin("echo", {"a": "x" * (4 << 20)}) for _ in range(8)]
    small = client.begin("echo", {"a": 1})
    open(done, "w").close()
    statuses = [call.status for call in large]
    check(set(statuses) == {200, 503}, f"statuses {statuses}")
    eq(text_of(small.result()), '{"a": 1}', "a small call behind them")
    for call in waiting:
        eq(text_of(call.result()), "slept", "a call of another client")
    eq(text_of(busy.result()), "done", "the busy one")
    eq(len(journal.pids()), 1, "children")
    for call in large:
        call.close()


@test("mcp guests: a line in small pieces, with a long pause in the middle, is a line")
def slow_lines():
    gateway, _, client, other = stage()
    slow = client.begin("bad_slow_line", {"seconds": 1})
    expect_neighbours(client, other, "half a line")
    eq(slow.result()["content"][0]["text"], "slowly", "two halves")
    eq(client.text("bad_bytewise"), "a byte at a time, é ✓", "single bytes")


@test("mcp guests: answers twice, to unknown ids, of odd types: only the right one counts")
def wrong_answers():
    gateway, _, client, other = stage()
    for _ in range(3):
        eq(client.text("bad_twice", {"times": 3}), "twice", "the first answer")
    outcome(client.begin("bad_unknown_ids"))
    client = recovered(client, gateway)
    expect_neighbours(client, other, "answers that nobody wants")
    eq(client.strays, [], "answers that came to the client")


# ---- floods ----------------------------------------------------------------------------------------------


@test("mcp guests: a flood of notifications is bounded in memory and does not starve the others", timeout=90)
def floods():
    gateway, _, client, other = stage()
    before = gateway.rss_bytes()
    flood = client.begin("bad_flood", FLOOD)
    for _ in range(10):
        eq(other.text("good_echo"), "{}", "another client during the flood")
        eq(other.text("bad_echo"), "{}", "another client's child during the flood")
    outcome(flood)
    expect_room(gateway, before)
    recovered(client, gateway)


@test("mcp guests: a client that does not read its stream holds up only itself", timeout=90)
def slow_reader():
    gateway, _, client, other = stage()
    slow = Mcp(gateway)
    stream = slow.listen()
    before = gateway.rss_bytes()
    outcome(slow.begin("bad_flood", FLOOD))
    for _ in range(10):
        expect_neighbours(client, other, "a flood for a client that does not read")
    expect_room(gateway, before)
    stream.close()


@contextlib.contextmanager
def only_hub_runs(gateway):
    """All threads share a processor, and each runs only while the thread of MCP sleeps."""
    threads = [int(name) for name in os.listdir(f"/proc/{gateway.pid}/task")]
    others = [thread for thread in threads
              if read_text(f"/proc/{gateway.pid}/task/{thread}/comm").strip() != "headgate-mcp"]
    eq(len(threads) - len(others), 1, "threads of MCP")
    processors = os.sched_getaffinity(0)
    for thread in threads:
        os.sched_setaffinity(thread, {min(processors)})
    for thread in others:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    yield
    for thread in threads:
        os.sched_setaffinity(thread, processors)
    # Only CAP_SYS_NICE may take that back; without it they go on when nothing else runs.
    with contextlib.suppress(PermissionError):
        for thread in others:
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


@test("mcp guests: a client whose stream breaks while it holds up its targets does not leave them held",
      timeout=90)
def broken_reader():
    # One read of the child's short messages makes more than may wait for a client, when they fill its pipe
    # and the worker, which forwards them, does not run meanwhile.
    gateway, journal = play(child("one"), more="config: {limits: {mcpMessageBytes: 65536}}", workers=1)
    client = Mcp(gateway)
    ready = os.path.join(tmpdir(), "may go on")
    flood = client.begin("flood_progress", {"count": 80000, "until": ready}, {"progressToken": "t" * 240})
    wait_until(lambda: journal.messages("tools/call"), 20, "the call")
    gateway.signal(signal.SIGSTOP)
    open(ready, "w").close()
    pid, = journal.pids()
    wait_until(lambda: read_text(f"/proc/{pid}/syscall").startswith("1 "), 20, "a write that waits")
    with only_hub_runs(gateway):
        gateway.signal(signal.SIGCONT)
        wait_until(lambda: journal.messages("notifications/cancelled"), 20, "the end of the call")
    eq(client.text("echo"), "{}", "a call after it")
    eq(len(journal.pids()), 1, "children")
    flood.close()


@test("mcp guests: a target that comes back while a client holds up its targets is held, too", timeout=90)
def held_return():
    gateway, journal, client, _ = stage()
    flood = client.begin("bad_flood", {"count": 10000, "bytes": 4000})
    wait_until(lambda: held_at(gateway, client) is not None, 20, "the client to hold up its targets")
    os.kill(shown(gateway, client, "good")["pid"], signal.SIGKILL)
    wait_until(lambda: len(journal.messages("initialize", server="good")) == 3, 20, "its return")
    time.sleep(0.5)
    eq(shown(gateway, client, "good")["received"], 0, "messages that were read of it")
    flood.end()
    wait_until(lambda: shown(gateway, client, "good")["received"], 20, "the end of the hold")
    eq(client.text("good_echo"), "{}", "a call of it")


def shown(gateway, client, target):
    """What /mcp/sessions shows of a target of this client."""
    one = next(one for one in gateway.admin_json("/mcp/sessions")
               if client.session.startswith(one["id"]))
    return next(found for found in one["targets"] if found["name"] == target)


def held_at(gateway, client):
    """How many messages of `bad` were read, once no more are; else None."""
    before = shown(gateway, client, "bad")["received"]
    time.sleep(0.3)
    after = shown(gateway, client, "bad")["received"]
    return after if after == before and after > 1000 else None


@test("mcp guests: a flood of questions is bounded", timeout=60)
def question_floods():
    gateway, _, client, other = stage()
    call = client.begin("bad_flood_requests", {"count": 20000})
    got = outcome(call)
    check(len(client.asked) <= 20000, "questions")
    expect_neighbours(client, other, f"a flood of questions, {list(got)}")


@test("mcp guests: a flood on stderr neither blocks the child nor fills our log or a terminal",
      timeout=60)
def stderr_floods():
    gateway, _, client, other = stage()
    for lines in (True, False):
        eq(client.text("bad_flood_stderr", {"bytes": 8 << 20, "lines": lines}), "flooded", f"lines={lines}")
        expect_neighbours(client, other, "a flood on stderr")
    said = gateway.stderr + gateway.stdout
    check(len(said) < 2 << 20, f"{len(said)} bytes in our log")
    check("bad" in said, "the name of the target is not in our log")
    check("\x1b[31m" not in said and "\x07" not in said, "control characters in our log")


@test("mcp guests: a child that does not read blocks nobody: what it does not take is bounded", timeout=90)
def stops_reading():
    gateway, _, client, other = stage()
    eq(client.text("bad_stop_reading"), "not reading any more", "the last answer")
    before = gateway.rss_bytes()
    calls = []
    for _ in range(30):
        call = client.begin("bad_echo", {"a": "x" * 1000000})
        calls.append(call)
        expect_neighbours_of_unread(client, other)
    expect_room(gateway, before)
    for call in calls:
        call.close()


def expect_neighbours_of_unread(client, other):
    eq(other.text("good_echo"), "{}", "another client")
    eq(other.text("bad_echo"), "{}", "another client's child")
    call = client.begin("good_echo")
    check("http" in outcome(call) or call.answer.get("result"), "the other target of the same session")


@test("mcp guests: too many calls of one session at once are refused, not queued without end", timeout=60)
def many_calls():
    gateway, _, client, other = stage()
    calls = [client.begin("bad_sleep", {"seconds": 60}) for _ in range(300)]
    expect_neighbours_of_unread(client, other)
    client.delete()
    for call in calls:
        call.close()


# ---- what a child is given -------------------------------------------------------------------------------


def given(client, tool="environment"):
    return json.loads(client.text(tool))


@test("mcp guests: a child has three descriptors, a group of its own and default signals")
def environment():
    gateway, _ = play()
    for _ in range(3):
        client = Mcp(gateway)
        streams = [client.listen()]
        mine = given(client)
        own = {number: target for number, target in mine["fds"].items() if int(number) > 2}
        own = {n: t for n, t in own.items() if not t.endswith(".journal") and not t.startswith("/proc/")}
        eq(own, {}, "descriptors beyond 0, 1, 2")
        eq(mine["pgid"], mine["pid"], "process group")
        eq(int(mine["status"]["SigBlk"], 16), 0, "blocked signals")
        ignored = int(mine["status"]["SigIgn"], 16) & ~NOT_OURS
        eq(ignored, 0, "ignored signals")
        eq(mine["ppid"], gateway.pid, "the parent")
        del streams


@test("mcp guests: env is added, clearEnv leaves nothing else; otherwise what we were given passes on")
def env():
    gateway, _ = play(child("plain", env={"MINE": "a=b c"}),
                      child("clear", env={"MINE": "é"}, clear_env=True), env={"HG_OUTER": "outer"})
    client = Mcp(gateway)
    plain, clear = given(client, "plain_environment"), given(client, "clear_environment")
    eq((plain["env"].get("MINE"), plain["env"].get("HG_OUTER")), ("a=b c", "outer"), "plain")
    check("HG_OUTER" not in clear["env"], f"clear: {sorted(clear['env'])}")
    eq(clear["env"].get("MINE"), "é", "clear")
    extra = set(clear["env"]) - {"MINE", "PATH", "LC_CTYPE", "HOME", "PWD", "LANG"}
    eq(extra, set(), "more in a cleared environment")


@test("mcp guests: a gateway that dropped privileges gives its children none", needs=("root",))
def privileges():
    gateway, _ = play(uid=65534)
    mine = given(Mcp(gateway))
    eq((set(mine["uid"]), set(mine["gid"]), mine["groups"]), ({65534}, {65534}, []), "uid, gid, groups")
    for name in ("CapEff", "CapPrm", "CapAmb"):
        eq(int(mine["status"][name], 16), 0, name)


@test("mcp guests: a grandchild ends with its group when the session does", timeout=60)
def grandchildren():
    gateway, journal, client, other = stage()
    grandchild = int(client.text("bad_fork"))
    check(runs(grandchild), "the grandchild")
    client.delete()
    expect_gone(grandchild, 40, "the grandchild")
    eq(other.text("bad_echo"), "{}", "another client")
    second = Mcp(gateway)
    orphan = int(second.text("bad_fork"))
    expect_error(second.begin("bad_die"), "die")
    second.delete()
    expect_gone(orphan, 40, "the grandchild of a child that died")
    expect_no_zombie(gateway)


@test("mcp guests: a deaf child is killed when its session ends", timeout=60)
def deaf():
    gateway, journal = play(child("bad", deaf=True))
    client = Mcp(gateway)
    pid = int(client.text("who").split()[1])
    client.delete()
    expect_gone(pid, 40)
    check(journal.events("eof"), "stdin was not closed first")
    check(journal.events("sigterm"), "SIGTERM did not come before SIGKILL")
    expect_no_zombie(gateway)


@test("mcp guests: a hundred sessions leave no descriptor, no process and no memory behind",
      timeout=120, heavy=True)
def churn():
    gateway, journal = play()
    def round_of(count):
        for _ in range(count):
            client = Mcp(gateway)
            client.text("echo")
            client.leave()
    round_of(10)
    wait_until(lambda: not any(map(runs, journal.pids())), 20, "all children to end")
    before, memory = gateway.fd_count(), gateway.rss_bytes()
    round_of(100)
    wait_until(lambda: not any(map(runs, journal.pids())), 20, "all children to end")
    wait_until(lambda: gateway.fd_count() <= before + 4, 10, f"descriptors to be {before} again")
    expect_room(gateway, memory, 8 << 20)
    expect_no_zombie(gateway)
