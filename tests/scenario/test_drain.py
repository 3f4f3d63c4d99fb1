# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: not ready at once, nothing new after the minimum deadline, nothing left after the maximum one."""
import signal
import socket
import threading
import time

from hg import *

CONFIG = """
config:
  connectionMinTerminationDeadline: @least@
  connectionTerminationDeadline: @most@
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
"""


def start(least="0s", most="90s", **options):
    """The maximum deadline is far away: a gateway that waits for it ends too late for expect_exit()."""
    return Gateway(CONFIG, origin=options.pop("origin", None) or Origin(), least=least, most=most, **options)


def wait_read(client, gateway):
    """The gateway has accepted the connection and read what came through it: nothing waits in its socket."""
    def is_read():
        for table in "/proc/net/tcp", "/proc/net/tcp6":
            with open(table, encoding="ascii") as lines:
                for line in lines.read().splitlines()[1:]:
                    local, remote, _, queues = line.split()[1:5]
                    ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
                    if ports == (gateway.port, client.local_port):
                        return int(queues.split(":")[1], 16) == 0
        return False
    wait_until(is_read, 5, "the gateway to read")


def ready_status(gateway):
    return fetch(gateway.ready_port, "/healthz/ready").status


def wait_closing(gateway, what="the end of accepting"):
    """Right before the ports close nothing answers a SYN; its repetition would come a second later."""
    def refused():
        with socket.socket() as probe:
            probe.settimeout(0.02)
            try:
                probe.connect(("127.0.0.1", gateway.port))
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass
        return False
    wait_until(refused, 5, what)


@test("an idle gateway ends at once with 0, and says so")
def idle_gateway():
    gateway = start()
    gateway.stop()
    check("draining" in gateway.stderr and "stopped" in gateway.stderr, gateway.stderr)


@test("SIGINT and /quitquitquit do what SIGTERM does")
def other_ways():
    gateway = start()
    gateway.signal(signal.SIGINT)
    gateway.expect_exit()
    gateway = start()
    eq(gateway.admin("/quitquitquit").status, 405, "GET")
    answer = gateway.admin("/quitquitquit", "POST")
    eq((answer.status, answer.text), (200, "shutdown now\n"), "POST")
    gateway.expect_exit()


@test("running requests are finished and answered with Connection: close")
def running_requests():
    origin = Origin()
    gateway = start(origin=origin)
    origin.pause()
    clients = [gateway.client().request("GET", "/bytes/5") for _ in range(4)]
    wait_until(lambda: len(gateway.streams()) == 4, 5, "four streams")
    gateway.terminate()
    wait_closing(gateway)
    origin.resume()
    for client in clients:
        answer = client.response()
        eq((answer.status, len(answer.body)), (200, 5), "answer")
        eq(answer.headers["Connection"], "close", "Connection")
        client.expect_fin()
    gateway.expect_exit()
    eq(len([r for r in gateway.log() if r.status == 200]), 4, "log lines")


@test("a large download that runs at SIGTERM is delivered whole")
def running_download():
    gateway = start()
    client = gateway.client(rcvbuf=16384).request("GET", "/bytes/30000000")
    head = client.response_head()
    gateway.terminate()
    wait_closing(gateway)
    received = PatternCheck()
    for piece in client.body(head):
        received.feed(piece)
    eq(received.received, 30000000, "bytes")
    gateway.expect_exit()


@test("an upload that runs at SIGTERM is finished")
def running_upload():
    gateway = start()
    client = gateway.client()
    client.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", pattern(500))
    wait_until(gateway.streams, 5, "the stream")
    gateway.terminate()
    wait_closing(gateway)
    client.send(pattern(500, 500))
    eq(client.response().json()["is_pattern"], True, "is_pattern")
    client.expect_fin()
    gateway.expect_exit()


@test("idle keep-alive connections are closed with FIN, their log line is that of their last request")
def idle_connections():
    gateway = start()
    clients = [gateway.client() for _ in range(5)]
    for client in clients:
        eq(client.get("/get").status, 200, "status")
    silent = gateway.client()
    gateway.terminate()
    for client in [*clients, silent]:
        client.expect_fin()
    gateway.expect_exit()
    eq(len(gateway.log()), 5, "log lines")


@test("a request whose head is half sent at SIGTERM is still answered")
def half_a_head():
    gateway = start()
    client = gateway.client()
    client.send(b"GET /get HTTP/1.1\r\nHo")
    wait_read(client, gateway)
    gateway.terminate()
    wait_closing(gateway)
    client.send(b"st: x\r\n\r\n")
    answer = client.response()
    eq((answer.status, answer.headers["Connection"]), (200, "close"), "answer")
    client.expect_fin()
    gateway.expect_exit()


@test("a head that never completes does not hold the gateway beyond the maximum deadline")
def head_never_completes():
    gateway = start(most="500ms")
    client = gateway.client()
    client.send(b"GET /get HTTP/1.1\r\nHo")
    wait_read(client, gateway)
    with within(0.5, "the exit"):
        gateway.terminate()
        gateway.expect_exit()
    client.expect_end()


@test("until the minimum deadline connections are accepted and answers say Connection: close", waits=True)
def minimum_deadline():
    gateway = start(least="3s")
    kept = gateway.client()
    eq(kept.get("/get").header("Connection"), None, "Connection before")
    begin = time.monotonic()
    gateway.terminate()
    wait_until(lambda: ready_status(gateway) == 500, 5, "readiness to go")
    answer = fetch(gateway.ready_port, "/healthz/ready")
    eq((answer.status, answer.text), (500, "not ready, pending: draining\n"), "readiness")
    eq(kept.get("/get").headers["Connection"], "close", "Connection on the old connection")
    kept.expect_fin()
    fresh = gateway.client()
    eq(fresh.get("/get").headers["Connection"], "close", "Connection on a new connection")
    fresh.expect_fin()
    check(gateway.is_running(), "it ended before the minimum deadline")
    gateway.expect_exit()
    check_time(time.monotonic() - begin, 3.0, "the minimum deadline")


@test("the maximum deadline ends what still runs: 503 or reset, close_reason=drain_deadline, exit 0")
def maximum_deadline():
    gateway = start(most="700ms")
    waiting = gateway.client().request("GET", "/delay/60")
    streaming = gateway.client().request("GET", "/drip?duration=60&numbytes=300")
    streaming.response_head()
    wait_until(lambda: len(gateway.streams()) == 2, 5, "two streams")
    begin = time.monotonic()
    gateway.terminate()
    gateway.expect_exit()
    check_time(time.monotonic() - begin, 0.7, "the maximum deadline")
    waiting.expect_end()
    streaming.expect_end()
    eq([r["close_reason"] for r in gateway.log()], ["drain_deadline"] * 2, "close_reason")


@test("WebSockets live until the maximum deadline, then end with drain_deadline", waits=True)
def websockets():
    gateway = start(most="2s")
    tunnel = WebSocket(gateway.port)
    tunnel.echo("before")
    begin = time.monotonic()
    gateway.terminate()
    wait_closing(gateway)
    tunnel.echo("while draining")
    gateway.expect_exit()
    check_time(time.monotonic() - begin, 2.0, "the maximum deadline")
    eq(gateway.log()[-1]["close_reason"], "drain_deadline", "close_reason")


@test("a WebSocket that its client closes while draining ends the gateway before the deadline")
def websocket_closed():
    gateway = start()
    tunnel = WebSocket(gateway.port)
    tunnel.echo("x")
    gateway.terminate()
    wait_closing(gateway)
    tunnel.close()
    gateway.expect_exit()


@test("a second signal ends at once, with 0, and everything that ran has its log line")
def second_signal():
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
                          (signal.SIGTERM, signal.SIGINT)):
        gateway = start()
        client = gateway.client().request("GET", "/delay/60")
        wait_until(gateway.streams, 5, "the stream")
        gateway.signal(first)
        wait_closing(gateway)
        gateway.signal(second)
        gateway.expect_exit()
        client.expect_end()
        eq(len(gateway.log()), 1, "log lines")


@test("a second signal during the minimum deadline ends at once, too")
def second_signal_early():
    gateway = start(least="60s")
    gateway.terminate()
    wait_until(lambda: ready_status(gateway) == 500, 5, "readiness to go")
    gateway.terminate()
    gateway.expect_exit()


@test("SIGHUP while draining changes nothing")
def reload_while_draining():
    gateway = start(least="2s")
    gateway.terminate()
    wait_until(lambda: ready_status(gateway) == 500, 5, "readiness to go")
    gateway.signal(signal.SIGHUP)
    gateway.write("config.yaml", "binds: [{port: nonsense}]")
    gateway.expect_exit()
    check("Failed to reload" not in gateway.stderr, "it reloaded while draining")


@test("the admin port answers until the end of the drain: streams, metrics, config_dump")
def admin_while_draining():
    origin = Origin()
    gateway = start(origin=origin)
    origin.pause()
    gateway.client().request("GET", "/get")
    wait_until(gateway.streams, 5, "the stream")
    gateway.terminate()
    wait_closing(gateway)
    eq(len(gateway.streams()), 1, "streams")
    check(gateway.metrics()("headgate_streams_open") == 1, "streams_open")
    check("binds" in gateway.config_dump(), "config_dump")
    origin.resume()
    gateway.expect_exit()


# This test and the next one need the kernel lanes: without them no program is loaded that keeps SYNs out of a
# port that closes, and not every kernel lets a process without capabilities attach a classic filter instead.
@test("clients that keep asking see no failed request when the gateway stops with a minimum deadline",
      needs=("bpf",))
def nothing_fails():
    gateway = start(least="600ms", workers=2)
    failures, answers = [], []

    def ask():
        client = None
        while True:
            try:
                client = client or gateway.client()
            except ConnectionError:
                return
            try:
                answer = client.get("/get")
            except (Failure, OSError) as error:
                failures.append(str(error))
                return
            answers.append(answer.status)
            if answer.header("Connection") == "close":
                client.expect_fin()
                client.close()
                client = None
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answers) > 50, 5, "answers")
    gateway.terminate()
    for thread in threads:
        thread.join()
    gateway.expect_exit()
    # A connection that waits in the queue of a port when it closes is accepted; a later one is refused.
    eq(failures, [], "failures")
    eq(set(answers), {200}, "statuses")


@test("connections that begin while the ports close are answered or, a second later, refused, never reset",
      needs=("bpf",))
def crowd_at_the_close():
    origin, failures, waits = Origin(), [], []

    def ask(gateway, answers):
        while True:
            begin = time.monotonic()
            try:
                client = Raw(gateway.port)
            except ConnectionRefusedError:
                waits.append(time.monotonic() - begin)
                return
            try:
                answers.append(client.get("/get", [("Connection", "close")]).status)
            except (Failure, OSError) as error:
                failures.append(str(error))
            client.close()
    for _ in range(5):
        gateway, answers = start(origin=origin, workers=2), []
        threads = [threading.Thread(target=ask, args=(gateway, answers)) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda a=answers: len(a) > 50, 5, "answers")
        gateway.terminate()
        for thread in threads:
            thread.join()
        gateway.expect_exit()
        eq(set(answers), {200}, "statuses")
    eq(failures, [], "failures")
    check(max(waits) > 0.5, "every connection was refused at once: nothing kept them out before")


@test("questions to the admin port that are under way when the gateway ends do it no harm")
def admin_at_the_end():
    for _ in range(4):
        gateway = start(workers=4)
        waiting = [gateway.client().request("GET", "/delay/60") for _ in range(20)]
        wait_until(lambda g=gateway: len(g.streams()) == 20, 5, "the streams")
        ends, asked = [], []

        def ask(gateway=gateway, ends=ends, asked=asked):
            try:
                client = Raw(gateway.admin_port)
                while not ends:
                    client.send("GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
                    asked.append(len(client.pending()))
            except (Failure, OSError):
                pass
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda a=asked: sum(a) > 100000, 5, "answers of the admin port")
        gateway.terminate()
        wait_closing(gateway)
        gateway.terminate()
        gateway.expect_exit()
        ends.append(True)
        for thread in threads:
            thread.join()
        for client in waiting:
            client.close()
