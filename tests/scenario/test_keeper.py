# SPDX-License-Identifier: Apache-2.0
"""A gateway that dies is followed by another one, which goes on with what can go on."""
import os
import re
import select
import signal
import socket
import threading
import time

from crashes import NewProcess, await_notes, is_gone, kill, reset, state_of
from hg import *
from hg.process import read_text
from hg.tools import WrkResult

CONFIG = """
binds:
- port: @port@
  listeners:
  - name: main
    routes:
    - name: all
      backends:
      - host: @origin@
"""
OTHER = """
- port: @other@
  listeners:
  - name: other
    protocol: TCP
    tcpRoutes:
    - backends:
      - host: @echo@
"""
ADMIN_PORTS = 3
KILLS, MORE_KILLS = 6, 20
BROKEN = "binds: [{port: nonsense}]\n"


def await_count(gateway, name, count, **labels):
    wait_until(lambda: gateway.metrics()(name, **labels) == count, 10, f"{count} of {name} {labels}")


def start(config=CONFIG, **options):
    return Gateway(config, origin=Origin(), keeper=True, **options)


@test("after kill -9 idle clients go on over their connections, fresh ones are served, new ones are not "
      "refused, and a request that was under way ends with a reset")
def idle_clients():
    gateway = start()
    kept = [gateway.client() for _ in range(20)]
    for client in kept:
        eq(client.get("/get").status, 200, "before")
    fresh = [gateway.client() for _ in range(5)]
    partly = gateway.client().send(b"GET /get HTTP/1.1\r\nHo")
    # Of requests those go on that were sent whole, and wait.
    busy = gateway.client().send(b"POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                 b"Content-Length: 5\r\n\r\n")
    wait_until(lambda: gateway.metrics()("headgate_downstream_accepted_total") >= 27, 5, "accepting")
    before = gateway.gateway_pid
    time.sleep(0.1)
    await_notes(before)
    os.kill(before, signal.SIGKILL)
    late = gateway.client()
    eq(late.get("/get").status, 200, "a client that came while nobody was there")
    for client in kept + fresh:
        eq(client.get("/get").status, 200, "a client of the gateway before")
    reset(busy)
    reset(partly)
    gateway.await_ready()
    await_count(gateway, "headgate_crashes_total", 1)
    await_count(gateway, "headgate_resumed_total", 25, kind="client")
    await_count(gateway, "headgate_resumed_total", 1 + ADMIN_PORTS, kind="listener")
    await_count(gateway, "headgate_not_resumed_total", 2, reason="request")
    check("4 ports, 25 idle clients and 0 streams taken over" in gateway.stderr, "the log does not say it")
    check(is_gone(before), "the dead gateway is still there")


@test("what cannot go on is reset and counted by what it was: tunnels that hold bytes, on both sides, HTTP/2")
def not_resumed():
    backend = Backend()
    # In the kernel lane they would not be in the gateway.
    gateway = start(CONFIG + OTHER + 'config: {splice: {mode: "off"}}\n', echo=backend)
    tunnel = gateway.client("other")
    far = backend.accept()
    # More than the sockets take: some of it waits in the gateway.
    tunnel.send_until_blocked(b"x" * 65536)
    prior = gateway.client().send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    prior.read_some()
    wait_until(lambda: any(s.get("state") for s in gateway.streams()), 5, "the tunnel")
    kill(gateway)
    reset(tunnel)
    far.expect_rst(5)
    reset(prior)
    await_count(gateway, "headgate_not_resumed_total", 1, reason="tunnel")
    await_count(gateway, "headgate_not_resumed_total", 1, reason="http2")
    eq(gateway.fetch("/get").status, 200, "a new request")


@test("ports follow what was in force when the gateway died: one that a reload added is taken over, "
      "one that it removed is not")
def ports_of_reloads():
    gateway = start(CONFIG + OTHER, echo=Origin(tcp_echo=True))
    gateway.reload(CONFIG)
    refused(gateway, "other")
    gateway.reload(CONFIG + OTHER)
    gateway.reload(CONFIG)
    kill(gateway)
    refused(gateway, "other")
    gateway.reload(CONFIG + OTHER)
    kill(gateway)
    gateway.client("other").close()
    await_count(gateway, "headgate_resumed_total", 3 + 2 * ADMIN_PORTS, kind="listener")
    eq(gateway.fetch("/get").status, 200, "a request")


def refused(gateway, port):
    wait_until(lambda: not is_open(gateway._port(port)), 5, f"the end of port {port}")


@test("a configuration that is broken when the gateway dies: clients wait until it is mended", timeout=60)
def broken_configuration():
    gateway = start()
    gateway.reload(BROKEN)
    eq(gateway.fetch("/get").status, 200, "the old one is in force")
    os.kill(gateway.gateway_pid, signal.SIGKILL)
    wait_until(lambda: "restart failed with status 1" in gateway.stderr, 10, "a failed new process")
    waiting = gateway.client().request("GET", "/get", host="a")
    gateway.write("config.yaml", CONFIG)
    eq(waiting.response().status, 200, "the one who waited")


@test("killed again and again under load: no connection is refused, no idle one lost, a new request is "
      "answered by the next gateway, and nothing is left behind", timeout=120, heavy=True)
def again_and_again():
    gateway = start(args=["--restart-limit", "0"])
    kept = [gateway.client() for _ in range(50)]
    stop, faults, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            try:
                client = gateway.client()
            except OSError as error:
                faults.append(f"connect: {error}")
                continue
            try:
                while not stop.is_set():
                    eq(client.get("/get").status, 200, "status")
                    count[0] += 1
            except (OSError, Failure):
                pass  # a request was under way
            finally:
                client.close()
    threads = [threading.Thread(target=load) for _ in range(4)]
    for client in kept:
        eq(client.get("/get").status, 200, "before")
    kill(gateway)
    descriptors = gateway.fd_count()
    for thread in threads:
        thread.start()
    kills = MORE_KILLS if is_thorough() else KILLS
    for number in range(kills):
        asked = count[0]
        wait_until(lambda asked=asked: count[0] >= asked + 20, 20, "load")
        before = gateway.gateway_pid
        await_notes(before)  # of the answers to the idle ones
        os.kill(before, signal.SIGKILL)
        eq(gateway.fetch("/get").status, 200, "a new request")
        await_count(gateway, "headgate_crashes_total", 2 + number)
        check(gateway.gateway_pid != before, "the same gateway")
        for client in kept:
            eq(client.get("/get").status, 200, "an idle client")
    stop.set()
    for thread in threads:
        thread.join()
    note(f"{count[0]} requests")
    eq(faults[:3], [], "refused connections")
    wait_until(lambda: gateway.fd_count() <= descriptors + 8, 10, "the descriptors of one life")
    await_count(gateway, "headgate_crashes_total", 1 + kills)


@test("a crash is written down: the signal, the thread, the functions it was in, the last events")
def crash_report():
    gateway = start()
    eq(gateway.fetch("/get?crash=me").status, 200, "a request")
    # The sanitizer has a report of its own, and ends with a status.
    kill(gateway, signal.SIGKILL if is_asan() else signal.SIGSEGV)
    text = gateway.stderr
    if not is_asan():
        check(re.search(r"crashed: SIGSEGV, code 0, .*thread headgate", text), "no crash line")
        check(re.search(r"#\d+ loop_run\+0x", text), f"no function of ours:\n{text[-1500:]}")
    check(re.search(r"last events of worker \d", text), "no events")
    check(re.search(r" accept ", text), "no event by name")
    kill(gateway)
    check("was ended by SIGKILL, from outside" in gateway.stderr, "no line for the kill")
    eq(gateway.metrics()("headgate_crashes_total"), 2, "crashes")


@test("signals reach the gateway: SIGHUP reloads, SIGTERM drains and ends with 0, also during a response; "
      "SIGINT of a terminal counts once")
def signals():
    gateway = start(wrap=("setsid",))
    gateway.write("config.yaml", CONFIG.replace("name: all", "name: changed"))
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: gateway.admin_json("/config_status")["generation"] >= 2, 5, "the reload")
    slow = gateway.client().request("GET", "/delay/1", host="a")
    time.sleep(0.3)
    os.killpg(gateway.pid, signal.SIGINT)
    eq(slow.response().status, 200, "the answer under way")
    gateway.expect_exit(10, 0)


@test("upgrade under load: no request fails, streams end where they are, the old process ends with 0",
      timeout=60)
def upgrade():
    config = CONFIG + "config: {connectionTerminationDeadline: 10s}\n"
    gateway = start(config, checked=False)
    stop, faults, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            try:
                eq(gateway.fetch("/get").status, 200, "status")
                count[0] += 1
            except (OSError, Failure) as error:
                faults.append(str(error))
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    slow = gateway.client().request("GET", "/delay/3", host="a")
    time.sleep(0.3)
    gateway.signal(signal.SIGUSR2)
    new_process = NewProcess(gateway)
    eq(slow.response().status, 200, "what was under way")
    eq(gateway.wait(20), 0, "exit status of the old one")
    before = count[0]
    wait_until(lambda: count[0] > before + 20, 10, "requests to the new one")
    stop.set()
    for thread in threads:
        thread.join()
    note(f"{count[0]} requests")
    eq(faults[:3], [], "failed requests")
    eq(gateway.admin_json("/config_status")["generation"], 1, "the admin server of the new one")
    new_process.stop()
    check("upgrade: 4 ports" in gateway.stderr, "the new one says nothing")
    refused(gateway, "port")


@test("upgrade under load on kept connections: no request fails", timeout=60, heavy=True, needs=("wrk",))
def upgrade_of_kept():
    gateway = start(checked=False)
    load = Process(["wrk", "-t", 1, "-c", 32, "-d", "300s", "--timeout", "30s",
                    f"http://127.0.0.1:{gateway.port}/get"])

    def served():
        try:
            return gateway.metrics()("agentgateway_requests_total")
        except (OSError, Failure):
            return 0  # asked of the one that ends
    wait_until(lambda: served() > 200, 20, "load on the old one")
    gateway.signal(signal.SIGUSR2)
    new_process = NewProcess(gateway)
    eq(gateway.wait(20), 0, "exit status of the old one")
    wait_until(lambda: served() > 200, 20, "load on the new one")
    load.signal(signal.SIGINT)
    load.wait(20)
    result = WrkResult(load.stdout)
    note(f"{result.requests} requests")
    eq(result.errors, 0, "failed requests")
    new_process.stop()


@test("an upgrade whose configuration is wrong changes nothing, the next one is tried anew")
def failed_upgrade():
    gateway = start(checked=False)
    gateway.reload(BROKEN)
    gateway.signal(signal.SIGUSR2)
    wait_until(lambda: "ended before it was ready" in gateway.stderr, 10, "the end of the new program")
    eq(gateway.fetch("/get").status, 200, "a request")
    gateway.write("config.yaml", CONFIG)
    gateway.signal(signal.SIGUSR2)
    eq(gateway.wait(20), 0, "exit status of the old one")
    eq(gateway.fetch("/get").status, 200, "a request to the new one")
    new_process = NewProcess(gateway)
    # The new one is a keeper like any other.
    children = read_text(f"/proc/{new_process.pid}/task/{new_process.pid}/children").split()
    os.kill(int(children[0]), signal.SIGKILL)
    eq(gateway.fetch("/get").status, 200, "a request to its second gateway")
    new_process.stop()


@test("a supervisor hears of the start, of signs of life, of a reload, of the new process, of an upgrade, "
      "of the "
      "end")
def supervisor():
    path = os.path.join(tmpdir(), "notify")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(path)
    told.settimeout(10 * factor())
    gateway = start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": 200000},
                    wrap=("/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"))

    def hear(word):
        while True:
            lines = told.recv(4096).decode().split("\n")
            if word in lines:
                return lines
            eq(lines, ["WATCHDOG=1"], f"while waiting for {word}")
    hear("READY=1")
    for _ in range(3):
        hear("WATCHDOG=1")
    gateway.signal(signal.SIGHUP)
    lines = hear("RELOADING=1")
    check(lines[1].startswith("MONOTONIC_USEC="), lines)
    hear("READY=1")
    kill(gateway)
    hear("READY=1")
    hear("WATCHDOG=1")
    gateway.signal(signal.SIGUSR2)
    lines = hear("READY=1")
    new_process = NewProcess(gateway)
    eq(lines[0], f"MAINPID={new_process.pid}", "the main process")
    # The service goes on: that the old process ends is nobody's business.
    while gateway.is_running():
        eq(told.recv(4096), b"WATCHDOG=1", "during the drain of the old one")
    gateway.expect_exit(10, 0)
    while select.select([told], [], [], 0)[0]:
        eq(told.recv(4096), b"WATCHDOG=1", "since")
    eq(told.recv(4096), b"WATCHDOG=1", "a sign of life of the new one")
    new_process.stop()
    hear("STOPPING=1")


@test("a supervisor that means another process gets no signs of life, one that is gone harms nobody")
def other_supervisor():
    path = os.path.join(tmpdir(), "notify")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(path)
    told.settimeout(10 * factor())
    gateway = start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": 100000, "WATCHDOG_PID": 1})
    check(b"READY=1" in told.recv(4096).split(b"\n"), "first")
    told.settimeout(0.5)
    try:
        raise Failure(f"told {told.recv(4096)}")
    except TimeoutError:
        pass
    told.close()
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: gateway.admin_json("/config_status")["generation"] >= 2, 5, "the reload")


@test("a start that fails ends the keeper with the status of the gateway")
def failed_start():
    gateway = start(BROKEN, ready=False, checked=False)
    eq(gateway.wait(10), 1, "exit status")
    taken = socket.create_server(("127.0.0.1", 0))
    text = CONFIG.replace("@port@", str(taken.getsockname()[1]))
    gateway = start(text, ready=False, checked=False)
    eq(gateway.wait(10), 1, "exit status")
    check("another program listens on this port" in gateway.stderr, "no reason")


@test("after too many crashes within a minute the keeper gives up, says so, and leaves nothing behind; "
      "connections that went on so far are reset, which nobody takes for an end")
def too_many_crashes():
    gateway = start(CONFIG + OTHER, args=["--restart-limit=2"], echo=Origin(tcp_echo=True), checked=False)
    idle = gateway.client()
    eq(idle.get("/get").status, 200, "before")
    tunnel = gateway.client("other").send(b"abc")
    eq(tunnel.read(3), b"abc", "an echo")
    kill(gateway)
    kill(gateway)
    last = gateway.gateway_pid
    os.kill(last, signal.SIGKILL)
    reset(idle)
    reset(tunnel)
    eq(gateway.wait(10), 1, "exit status")
    check("died 3 times within a minute" in gateway.stderr, "the log does not say it")
    refused(gateway, "port")


@test("SIGUSR1 and SIGUSR2 end no gateway: without a keeper, or sent to the one below it")
def upgrade_signals():
    for keeper in False, True:
        gateway = Gateway(CONFIG, origin=Origin(), keeper=keeper)
        pid = gateway.gateway_pid if keeper else gateway.pid
        for number in signal.SIGUSR1, signal.SIGUSR2:
            os.kill(pid, number)
            eq(gateway.fetch("/get").status, 200, f"status after signal {number}")
        check(not is_gone(pid), "the gateway has ended")


@test("the gateway ends with its keeper, whatever ends that")
def keeper_killed():
    gateway = start(checked=False)
    pid = gateway.gateway_pid
    os.kill(gateway.pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid) or state_of(pid) == "Z", 5, "the end of the gateway")
    wait_until(lambda: not is_open(gateway.port), 5, "the end of the port")


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@test("a gateway that dies while it drains is not followed: the keeper ends with 1")
def dies_while_draining():
    gateway = start(checked=False)
    busy = gateway.client().send(b"GET /delay/20 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(gateway.streams, 5, "the request")
    gateway.terminate()
    wait_until(lambda: "draining" in gateway.stderr, 5, "the drain")
    os.kill(gateway.gateway_pid, signal.SIGKILL)
    eq(gateway.wait(10), 1, "exit status")
    busy.expect_end(5)


@test("more clients than the soft limit of descriptors go on as well, those of a port that is gone are reset")
def many_clients():
    config = CONFIG + OTHER.replace("protocol: TCP\n    tcpRoutes:", "routes:")
    gateway = start(config, echo=Origin(), wrap=("/bin/sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh"))
    kept = [gateway.client() for _ in range(150)]
    gone = [gateway.client("other") for _ in range(5)]
    for client in kept + gone:
        eq(client.get("/get").status, 200, "before")
    gateway.reload(BROKEN)
    await_notes(gateway.gateway_pid)
    os.kill(gateway.gateway_pid, signal.SIGKILL)
    wait_until(lambda: "restart failed with status 1" in gateway.stderr, 10, "a failed new process")
    gateway.write("config.yaml", CONFIG)
    for client in kept:
        eq(client.get("/get").status, 200, "an idle client")
    for client in gone:
        reset(client)
    # Their marks are gone with them: connections to the backend that have their numbers are no clients.
    for client in kept[:8]:
        client.request("GET", "/delay/20", host="a")
    wait_until(lambda: len(gateway.streams()) == 8, 5, "requests under way")
    time.sleep(0.3)
    kill(gateway)
    await_count(gateway, "headgate_resumed_total", 150 + 5 + 142, kind="client")


@test("a new process whose start fails behind the configuration leaves everything to the next one",
      timeout=60)
def late_failure():
    gateway = start()
    kept = gateway.client()
    eq(kept.get("/get").status, 200, "before")
    taken = socket.create_server(("127.0.0.1", 0))
    busy = CONFIG + f"""
- port: {taken.getsockname()[1]}
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""
    gateway.write("config.yaml", busy)
    wait_until(lambda: "another program listens" in gateway.stderr, 5, "the reload that fails")
    await_notes(gateway.gateway_pid)
    os.kill(gateway.gateway_pid, signal.SIGKILL)
    wait_until(lambda: "restart failed with status 1" in gateway.stderr, 10, "a failed new process")
    waiting = gateway.client().request("GET", "/get", host="a")
    taken.close()
    eq(waiting.response().status, 200, "the one who waited")
    eq(kept.get("/get").status, 200, "an idle client")
    gateway.reload(CONFIG)


@test("a parent that ignores the end of its children changes nothing; signals during a start wait for "
      "its end")
def odd_parents():
    gateway = start(wrap=("/bin/sh", "-c", 'trap "" CHLD; exec "$@"', "sh"))
    kill(gateway)
    before = gateway.gateway_pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: gateway.gateway_pid not in (None, before), 10, "the new process")
    gateway.signal(signal.SIGHUP)
    gateway.await_ready()
    eq(gateway.metrics()("headgate_crashes_total"), 2, "crashes")
    gateway.terminate()
    gateway.expect_exit(10, 0)


def score(pid):
    return int(read_text(f"/proc/{pid}/oom_score_adj"))


@test("for want of memory the kernel ends a gateway sooner than the keeper: each gateway, also behind a "
      "crash and an upgrade, has the score that was given to the keeper, which lowers its own")
def scores():
    raised = 'echo 300 >/proc/self/oom_score_adj; exec "$@"'
    gateway = start(wrap=("/bin/sh", "-c", raised, "sh"), checked=False)
    for _ in range(2):
        eq(score(gateway.gateway_pid), 300, "the score of a gateway")
        check(score(gateway.pid) in (0, -1000), f"the keeper's score is {score(gateway.pid)}")
        kill(gateway)
    gateway.signal(signal.SIGUSR2)
    new_process = NewProcess(gateway)
    eq(gateway.wait(20), 0, "exit status of the old one")
    children = read_text(f"/proc/{new_process.pid}/task/{new_process.pid}/children").split()
    eq(score(children[0]), 300, "the score of a gateway behind an upgrade")
    check(score(new_process.pid) in (0, -1000), f"the new keeper's score is {score(new_process.pid)}")
    new_process.stop()
