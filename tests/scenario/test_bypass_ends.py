# SPDX-License-Identifier: Apache-2.0
"""Applications that are killed in the middle of a bypass, and what a request costs in system calls."""
import os
import re
import select
import signal

from hg import *
from hg.process import Process, read_text
from bypass import CONNECT, NEEDS, acted, opened
from same_host import MIB
from splice import compare_all

SIZE = MIB


def played_by_child(raw, *pieces):
    """(pid, pipe) of a process that alone has the connection: it sends, says so, and waits to be killed."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)
            raw.send(*pieces)
            os.write(theirs, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(theirs)
    raw.close()
    return pid, ours


def kill(child):
    """Once it has sent everything; nobody else has its connection."""
    pid, told = child
    check(select.select([told], [], [], 10 * factor())[0], "still sends")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(told)


def read_to_end(raw, offset=0):
    """(bytes that were verified, how it ended)."""
    checker = PatternCheck(offset)
    try:
        while data := raw.read_some():
            checker.feed(data)
    except Failure:
        check(raw.was_reset, "neither FIN nor RST came")
        return checker.received, "rst"
    return checker.received, "fin"


def rest(gateway, lane):
    """What the log says of the stream, once nothing of it is left."""
    record = gateway.wait_log()
    eq(record.get("bypass"), "client/backend" if lane == "bypass" else None, f"bypass of {record.line}")
    wait_until(lambda: not gateway.streams(), 5, "the end of the stream")
    if lane == "bypass":
        wait_until(lambda: gateway.metrics()("headgate_bypass_connections") == 0, 5, "that of its "
                                                                                     "connections")
    return record["close_reason"], record["bytes_in"], record["bytes_out"]


@test("a client or a backend that is killed behind its bytes in a tunnel: the other one reads them all, then "
      "the end that TCP would say", needs=NEEDS)
def tunnel_killed():
    def once(lane):
        told = []
        for who in ("client", "backend"):
            gateway, backend = acted(lane)
            client = gateway.client().send(CONNECT)
            upstream = backend.accept()
            check(client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 "), "the tunnel")
            doomed, other = (client, upstream) if who == "client" else (upstream, client)
            child = played_by_child(doomed, pattern(SIZE))
            verify(other.read(SIZE // 4), SIZE // 4)
            kill(child)
            got = read_to_end(other, SIZE // 4)
            eq(got, (SIZE - SIZE // 4, "fin"), f"behind the crash of the {who}")
            other.close()
            told.append((who, got, rest(gateway, lane)))
        return told
    compare_all(once, ("off", "bypass"))


@test("a backend that is killed in the middle of its answer, a client in that of its upload: what came, "
      "the end and the log are those of TCP", needs=NEEDS)
def message_killed():
    def once(lane):
        told = []
        for who in ("client", "backend"):
            gateway, backend = acted(lane)
            client = gateway.client()
            head = f"Content-Length: {2 * SIZE}\r\n\r\n"
            if who == "client":
                child = played_by_child(client, f"POST /up HTTP/1.1\r\nHost: x\r\n{head}", pattern(SIZE))
                other = backend.accept()
            else:
                other, upstream = client.request("GET", "/down"), backend.accept()
                upstream.read_request()
                child = played_by_child(upstream, f"HTTP/1.1 200 OK\r\n{head}", pattern(SIZE))
            other.read_until(b"\r\n\r\n")
            verify(other.read(SIZE), SIZE)
            kill(child)
            end = read_to_end(other, SIZE)
            eq(end[0], 0, f"bytes behind those of the {who}")
            other.close()
            told.append((who, end, rest(gateway, lane)))
        return told
    compare_all(once, ("off", "bypass"))


@test("a request of 1 KiB on connections that stay costs the gateway five system calls and two wake-ups, one "
      "less where its backend's connection bypasses TCP", needs=(*NEEDS, "strace"), measures=True, heavy=True)
def calls():
    requests = 1000
    # Two sends, two receives, and a look at the connection of the pool, which shared memory spares a bypass.
    for lane, bound in (("off", 5), ("bypass", 4)):
        gateway, _ = opened(lane)
        client = gateway.client()
        for _ in range(100):
            client.get("/bytes/1024")
        # Of the worker alone: what other threads do goes by time.
        tracer = Process(["strace", "-c", "-U", "calls,name", "-p", thread_of(gateway, "headgate-0")])
        wait_until(lambda tracer=tracer: "attached" in tracer.stderr, 10, "strace")
        before = gateway.metrics()("headgate_worker_wakeups_total")
        for _ in range(requests):
            eq(len(client.get("/bytes/1024").body), 1024, "an answer")
        wakeups = gateway.metrics()("headgate_worker_wakeups_total") - before
        tracer.signal(signal.SIGINT)
        tracer.wait(10)
        lines = re.findall(r"(?m)^\s*(\d+)\s+(\w+)$", tracer.stderr)
        counts = {name: int(count) for count, name in lines}
        counts.pop("total", None)
        note(f"of {requests} requests, {lane}: {wakeups:.0f} wake-ups, {counts}")
        # One request at a time: many clients would share a wake-up. Those of timers are no events, and the
        # log is written by its size and by time.
        for name in ("epoll_wait", "epoll_pwait", "write"):
            counts.pop(name, None)
        few = requests // 20
        check(wakeups <= 2 * requests + few, f"{wakeups} wake-ups in {requests} requests, {lane}")
        # A client that is quick on a busy machine saves the worker a wake-up, and costs it two looks.
        saved = max(0, 2 * requests - wakeups)
        check(sum(counts.values()) <= bound * requests + 2 * saved + few, f"beside those: {counts}, {lane}")
        check(sum(counts.values()) >= 2 * requests, f"not those of the worker: {counts}, {lane}")


def thread_of(gateway, name):
    for task in os.listdir(f"/proc/{gateway.pid}/task"):
        if read_text(f"/proc/{gateway.pid}/task/{task}/comm").strip() == name:
            return task
    raise Failure(f"no thread {name}")
