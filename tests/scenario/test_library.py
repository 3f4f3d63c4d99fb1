# SPDX-License-Identifier: Apache-2.0
"""The scenario library against the backend alone: when these fail, believe no other scenario."""
import os
import pathlib
import re
import socket
import sys
import time

from hg import *
from hg import machine
from hg.framework import LATE_S, SEED_S, repository_root
from hg.origin import Blackhole
from hg.process import read_text


@test("responses arrive in order on one connection, pipelined or not")
def keep_alive():
    client = Raw(Origin().port)
    for number in range(3):
        eq(client.get("/anything").json()["request"], number + 1, "request number")
    client.request("GET", "/anything").request("GET", "/anything")
    eq([client.response().json()["request"] for _ in range(2)], [4, 5], "request numbers")


@test("the pattern of the backend and of this library are the same, from any offset")
def same_pattern():
    client = Raw(Origin().port)
    for size, offset in ((1, 0), (65521, 0), (200000, 65000), (3, 10 ** 12)):
        body = client.get(f"/bytes/{size}?offset={offset}").body
        eq(verify(body, size, offset), crc32(size, offset), "crc32")
    response = client.request("GET", "/stream-bytes/3000000?chunk=1000&trailer=1").response_head()
    crc = verify(client.body(response), 3000000)
    eq(response.trailers["X-Crc32"].lower(), f"{crc:08x}", "X-Crc32")
    eq(set(response.chunks), {1000}, "chunk sizes")


@test("one byte lost, doubled or changed in a pattern is a failure")
def pattern_fails():
    good = pattern(100000)
    for bad in (good[:500] + good[501:], good[:500] + good[499:], good[:70000] + b"\xff" + good[70001:]):
        must_fail(lambda bad=bad: verify(bad, 100000))
    must_fail(lambda: verify(good[:-1], 100000))


def must_fail(function):
    try:
        function()
    except Failure as failure:
        return str(failure)
    raise Failure("this should have been refused")


MALFORMED = """dup-cl dup-cl-same cl-list cl-plus cl-negative cl-hex cl-empty cl-te te-1.0
    te-gzip-chunked te-identity te-twice te-xchunked bad-chunk bad-second-chunk chunk-ext-lf chunk-lf
    chunk-long chunk-overflow chunk-plus chunk-space trailer-fold chunk-ext status-000 status-1000 no-version
    http-2.0 http-0.9 two-spaces ctl-reason leading-crlf obs-fold lf-only bare-cr nul-value ctl-value
    bad-name empty-name no-colon space-colon leading-space 204-chunked""".split()


@test("the reader refuses every malformed response")
def strict_reader():
    origin = Origin()
    eq(origin.fetch("/status/517").status, 517, "a status without a name")
    for kind in MALFORMED:
        client = Raw(origin.port, timeout=0.5)
        note(kind, must_fail(lambda c=client, k=kind: c.get(f"/bad/{k}")))
        client.close()


@test("FIN, RST and silence are told apart")
def endings():
    origin = Origin()
    Raw(origin.port).request("GET", "/close/fin").expect_fin()
    Raw(origin.port).request("GET", "/close/rst").expect_rst()
    client = Raw(origin.port)
    client.expect_silence(0.1)
    must_fail(lambda: client.expect_fin(0.1))
    must_fail(lambda: Raw(origin.port).request("GET", "/close/rst").expect_fin(1))
    must_fail(lambda: Raw(origin.port).request("GET", "/close/fin").expect_rst(1))


@test("a body that ends early is a failure, whatever framed it")
def short_bodies():
    origin = Origin()
    for path in ("/close/mid-body", "/close/rst-mid-body", "/close/mid-chunk", "/close/mid-chunk?boundary=1"):
        must_fail(lambda p=path: Raw(origin.port).get(p))
    eq(len(Raw(origin.port).get("/close-delimited/1000").body), 1000, "close-delimited body")


@test("a WebSocket echoes text, large binaries, fragments and pings")
def websocket():
    ws = WebSocket(Origin().port)
    ws.echo("hello")
    ws.echo(pattern(70000))
    ws.send("in three pieces", pieces=3)
    wanted = "in three pieces"
    eq(ws.receive(), wanted, "fragmented message")
    ws.ping()
    ws.close()


@test("raw TCP: half-close is seen on both sides")
def half_close():
    client = Raw(Origin(tcp_echo=True).port)
    client.send(b"abc", b"def", pause=0.01).fin()
    eq(client.read_eof(), b"abcdef", "echo")


@test("a backend played by the test reads a chunked request and answers it")
def scripted_backend():
    backend = Backend()
    client = Raw(backend.port).request("POST", "/x", body=[b"ab", b"cde"], chunked=True)
    upstream = backend.accept()
    request = upstream.read_request()
    eq((request.method, request.body, request.chunks), ("POST", b"abcde", [2, 3]), "request")
    upstream.respond(201, {"X": "y"}, b"hi", "Created")
    eq(client.response().text, "hi", "body")
    backend.expect_no_connection(0.05)
    upstream.rst()
    client.expect_rst()


@test("a black hole answers no SYN")
def blackhole():
    address = ("127.0.0.1", Blackhole().port)
    probe = socket.socket()
    probe.settimeout(0.3)
    try:
        probe.connect(address)
    except socket.timeout:
        return
    finally:
        probe.close()
    raise Failure("connected")


@test("the backend keeps its port over a restart and says nothing while paused")
def restart():
    origin = Origin()
    eq(origin.fetch("/get").status, 200, "status")
    origin.restart()
    eq(origin.fetch("/get").status, 200, "status after the restart")
    origin.pause()
    client = Raw(origin.port).request("GET", "/get")
    client.expect_silence(0.1)
    origin.resume()
    eq(client.response().status, 200, "status after the pause")


@test("two namespaces talk over their wire until it is cut", needs=("netns",))
def wire():
    net = Net()
    origin = Origin(addr=net.server.address, netns=net.server)
    client = Raw((net.server.address, origin.port), netns=net.client)
    eq(client.get("/get").status, 200, "status")
    net.drop("client")
    client.request("GET", "/get")
    client.expect_silence(0.3)
    net.mend("client")
    eq(client.response().status, 200, "status once mended")


@test("check_time refuses what comes too early, what comes after the next deadline and what hardly comes at "
      "all, and nothing that is merely late")
def check_time_bounds():
    machine.withheld = lambda seconds: 0.0
    eq(round(tolerance(1.0) / factor(), 6), 0.1, "50 ms and 5 %")
    early, latest = 1.0 - tolerance(1.0), 1.0 + LATE_S * factor()
    for took in (early + 0.001, 1.0, 1.5, latest - 0.001):
        check_time(took, 1.0)
    for took in (0.0, early - 0.001, latest + 0.001):
        must_fail(lambda took=took: check_time(took, 1.0))
    for before in (1.5, 2 * latest):  # less than would do without it, and more
        check_time(before - 0.001, 1.0, before=before)
        must_fail(lambda before=before: check_time(before + 0.001, 1.0, before=before))
        must_fail(lambda before=before: check_time(early - 0.001, 1.0, before=before))
    check_time(0.0, 0.0)
    machine.withheld = lambda seconds: 4.0
    for took in (0.0, latest + 3.9):
        check_time(took, 1.0)
    check_time(5.9, 1.0, before=2.0)
    for took, before in ((latest + 4.1, None), (6.1, 2.0)):
        must_fail(lambda took=took, before=before: check_time(took, 1.0, before=before))


@test("within measures its block: an early end fails, a late one only after the next deadline, and a failure "
      "inside of it stays what it is")
def within_block():
    machine.withheld = lambda seconds: 0.0

    def block(seconds, expected, before=None):
        with within(expected, "the block", before):
            time.sleep(seconds)
    block(0.3, 0.3)
    block(0.7, 0.3)
    block(0.0, 0.0)
    check("the block took 0." in must_fail(lambda: block(0.0, 0.5)), "a block that ends early")
    must_fail(lambda: block(0.7, 0.3, 0.5))
    block(0.7, 0.3, 30)

    def inner():
        with within(0.5):
            eq(1, 2, "inside")
    eq(must_fail(inner), "inside: got 1, want 2", "what it says")


@test("`make check` plays five seconds of a soak, `make thorough` all, `make soak` what it is asked for")
def soaks():
    for thorough, asked, seconds in (("", "", (SEED_S, 2.0)), ("1", "", (60.0, 2.0)), ("", "7", (7.0, 7.0)),
                                     ("1", "7", (7.0, 7.0))):
        os.environ.update(HG_THOROUGH=thorough, HG_SOAK_SECONDS=asked)
        eq((soak_seconds(60), soak_seconds(2)), seconds, f"seconds with {thorough!r} and {asked!r}")
        eq(is_thorough(), thorough == "1", "is_thorough()")


@test("what the machine withholds from this test and its children is measured, and allowed for", heavy=True)
def withheld():
    def spin(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
    time.sleep(0.5)
    quiet = machine.withheld(0.4)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rivals = [Process([sys.executable, "-c", "while True: pass"], "rival") for _ in range(2)]
    busy = 0.0
    for _ in range(20):  # the rivals may begin late
        spin(0.6)
        busy = machine.withheld(0.5)
        if busy >= 0.5:
            break
    note(f"withheld: {quiet:.3f} s in 0.4 s of rest, {busy:.3f} s in 0.5 s with two rivals on one core")
    check(busy >= 0.5, "three programs that want one core for half a second wait a second together")
    check(tolerance(0) >= busy, "no allowance is made for it")
    for rival in rivals:
        rival.kill()


@test("so is the time for which nothing of this test runs at all", waits=True)
def paused():
    Process(["sh", "-c", f"sleep 0.4; kill -STOP {os.getpid()}; sleep 1.5; kill -CONT {os.getpid()}"])
    with within(0.5, before=1.0):  # this process is stopped for 1.5 s in the middle of it
        time.sleep(0.7)


@test("wrk counts requests and errors", needs=("wrk",), heavy=True)
def load():
    origin, connections = Origin(), 16

    def counted(path):
        """What wrk says of a second, and how many requests the backend had meanwhile."""
        before = origin.stats()["requests"]
        result = wrk(origin.port, path, seconds=1, connections=connections)
        return result, origin.stats()["requests"] - before - 1
    good, had = counted("/get")
    eq(good.errors, 0, good.output)
    # wrk leaves with a request under way on each connection.
    check(0 < good.requests <= had <= good.requests + connections, f"{had} requests, {good.output}")
    bad, _ = counted("/status/503")
    check(bad.requests > 0, bad.output)
    eq(bad.bad_status, bad.requests, "answers that are counted as errors")


INNER = '''# SPDX-License-Identifier: Apache-2.0
import subprocess, time
from hg import *

@test("passes")
def a(): eq(Origin().fetch("/get").status, 200)
@test("fails")
def b(): eq(1, 2)
@test("hangs", timeout=1)
def c():
    Origin()
    time.sleep(60)
@test("leaves a process")
def d(): subprocess.run(["sh", "-c", "sleep 60 & exit 0"])
@test("sends what is malformed")
def e(): Raw(Origin().port).send("GET / HTTP/1.1\\\\n\\\\n").expect_end()
@test("dies", timeout=5)
def f():
    with open(__file__ + ".pid", "w") as file:
        file.write(str(Process(["sleep", "60"]).pid))
    __import__("os").kill(__import__("os").getpid(), 9)
@test("cannot be tried", needs=("no-such-program",))
def g(): pass
good, bad = table("a good table"), table("a bad table")
@good("first")
def h(): pass
@good("second")
def i(): pass
@bad("wrong")
def j(): eq(1, 2)
@bad("right")
def k(): pass
'''
DRIVER = '''
import sys
sys.path.insert(0, sys.argv[1])
from hg import runner
tests, broken = runner.discover(sys.argv[2])
for name, why in broken: print("broken", name)
runner.run_all([(t, "release", sys.argv[2] + "/logs", {}) for t in tests], 4,
               lambda o: print(o.status, o.test.claim, *([f"({o.count})"] if o.count > 1 else [])))
'''


STUBBORN = '''# SPDX-License-Identifier: Apache-2.0
import os, signal
from hg import *

@test("does not end")
def a():
    child = Process(["setsid", "sleep", "60"]).pid
    wait_until(lambda: os.getsid(child) == child, 20, "its session")
    with open(__file__ + ".new", "w") as file:
        file.write(str(child))
    os.rename(__file__ + ".new", __file__ + ".pid")
    signal.pause()
'''
KILLER = '''
import sys, time
sys.path.insert(0, sys.argv[1])
from hg import process, runner
test = runner.discover(sys.argv[2])[0][0]
job = runner.Job(test, "release", sys.argv[2] + "/logs", {})
while not (child := process.read_text(sys.argv[2] + "/test_stubborn.py.pid")):
    time.sleep(0.01)
job.kill()
print(child, job.finish().status)
'''


# Each test waits until as many have begun as may run at a time, however long a busy machine takes for that.
KINDS = '''# SPDX-License-Identifier: Apache-2.0
import glob, os, time
from hg import *

HERE = os.path.dirname(__file__)

def claims(kind, count, beside=(), **marks):
    for number in range(count):
        @test(f"{kind} {number}", **marks)
        def runs(number=number):
            print("from", time.monotonic())
            open(f"{HERE}/{kind}-{number}", "w").close()
            wait_until(lambda: all(len(glob.glob(f"{HERE}/{k}-*")) >= n for k, n in beside), 20, "the others")
            time.sleep(0.2)
            print("to", time.monotonic())

claims("serial", 2, serial=True)
claims("heavy", 4, [("heavy", 3)], heavy=True)
claims("waits", 4, [("plain", 4), ("waits", 4)], waits=True)
claims("plain", 7, [("plain", 4), ("waits", 4)])
'''


@test("plain and waiting tests run beside each other, then heavy ones by threes, then serial ones alone",
      timeout=90)
def kinds():
    folder = os.path.join(tmpdir(), "kinds")
    os.mkdir(folder)
    with open(os.path.join(folder, "test_kinds.py"), "w", encoding="utf-8") as file:
        file.write(KINDS)
    library = os.path.join(repository_root(), "tests", "lib")
    eq(run([sys.executable, "-c", DRIVER, library, folder])[0], 0, "the runner")
    spans = []
    for log in pathlib.Path(folder, "logs").rglob("*.log"):
        begin, end = re.findall(r"\d+\.\d+", log.read_text(encoding="utf-8"))
        spans.append((log.stem.split("-")[0], float(begin), float(end)))
    eq(len(spans), 17, "tests that ran")

    def most_beside(*kinds):
        """How many of these kinds ran at a time, at most."""
        chosen = [(begin, end) for kind, begin, end in spans if kind in kinds]
        return max(sum(b <= begin < e for b, e in chosen) for begin, _ in chosen)

    def begin_and_end(*kinds):
        chosen = [(begin, end) for kind, begin, end in spans if kind in kinds]
        return min(begin for begin, _ in chosen), max(end for _, end in chosen)
    eq([most_beside(kind) for kind in ("plain", "waits", "heavy", "serial")], [4, 4, 3, 1],
       "at a time, of four")
    eq(most_beside("plain", "waits"), 8, "plain and waiting ones at a time")
    order = [begin_and_end("plain", "waits"), begin_and_end("heavy"), begin_and_end("serial")]
    check(all(first[1] <= then[0] for first, then in zip(order, order[1:])), f"order: {order}")


def await_end(pid):
    wait_until(lambda: read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in ([], ["Z"]), 5,
               "the process of the test that died to end")


@test("the runner reports what fails, hangs, dies, skips or leaves something behind", timeout=60)
def runner_reports():
    folder = os.path.join(tmpdir(), "inner")
    os.mkdir(folder)
    files = {"test_inner.py": INNER.replace("\\\\", "\\"), "test_broken.py": "import nothing_here\n"}
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    library = os.path.join(repository_root(), "tests", "lib")
    status, out, error = run([sys.executable, "-c", DRIVER, library, folder], env={"HG_REQUIRE": ""})
    eq((status, sorted(out.strip().split("\n"))),
       (0, ["FAIL a bad table", "FAIL dies", "FAIL fails", "FAIL hangs", "FAIL leaves a process",
            "FAIL sends what is malformed", "broken test_broken.py", "ok a good table (2)", "ok passes",
            "skip cannot be tried"]), f"outcomes ({error})")
    child = read_text(os.path.join(folder, "test_inner.py.pid"))
    check(child, "the test that dies has started no process")
    await_end(child)


@test("a test that has to be killed takes along what has begun a session of its own")
def killed():
    folder = os.path.join(tmpdir(), "killed")
    os.mkdir(folder)
    with open(os.path.join(folder, "test_stubborn.py"), "w", encoding="utf-8") as file:
        file.write(STUBBORN)
    library = os.path.join(repository_root(), "tests", "lib")
    status, out, error = run([sys.executable, "-c", KILLER, library, folder])
    eq((status, error), (0, ""), "the runner")
    child, outcome = out.split()
    eq(outcome, "FAIL", "the outcome")
    await_end(child)
