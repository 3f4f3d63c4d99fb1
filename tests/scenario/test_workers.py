# SPDX-License-Identifier: Apache-2.0
"""Several loops, and what happens when descriptors or connections run out."""
import resource
import time

from hg import *
from hg.h2 import H2Client

CONFIG = """
config:
  limits: {maxConnections: @most@}
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
- port: @tcp@
  listeners:
  - name: tcp
    protocol: TCP
    tcpRoutes:
    - backends:
      - host: @origin@
"""


def start(most=1000, **options):
    return Gateway(CONFIG, origin=options.pop("origin", None) or Origin(), most=most, **options)


def hold(client):
    """A request that has begun: such a client is not idle, and makes no room for others."""
    client.send("GET /get HTTP/1.1\r\n")
    return client


def finish(client):
    client.send("Host: x\r\n\r\n")
    return client.response().status


def expect_503(client):
    client.send("GET /get HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = client.response()
    eq((answer.status, answer.text), (503, "too many connections"), "answer past the limit")
    eq(answer.headers["Connection"], "close", "Connection")
    client.expect_end()


def streams_by_worker(gateway):
    counts = [0] * 4
    for stream in gateway.streams():
        counts[stream["worker"]] += 1
    return counts


@test("connections are dealt to the workers in turn where a program for that may be loaded", needs=("bpf",))
def deal():
    origin = Origin()
    gateway = start(workers=4, origin=origin)
    origin.pause()
    clients = [gateway.client().request("GET", "/get") for _ in range(40)]
    wait_until(lambda: len(gateway.streams()) == 40, 5, "40 streams")
    eq(streams_by_worker(gateway), [10] * 4, "streams by worker")
    origin.resume()
    for client in clients:
        eq(client.response().status, 200, "status")


@test("connections are spread over the workers, and each worker answers")
def spread():
    origin = Origin()
    gateway = start(workers=4, origin=origin)
    origin.pause()
    clients = [gateway.client().request("GET", "/get") for _ in range(80)]
    wait_until(lambda: len(gateway.streams()) == 80, 5, "80 streams")
    counts = streams_by_worker(gateway)
    # Where the kernel chooses at random, a worker gets less than two of them once in 10^7.
    check(min(counts) >= 2, f"streams by worker: {counts}")
    origin.resume()
    for client in clients:
        eq(client.response().status, 200, "status")
    eq(gateway.metrics()("headgate_downstream_accepted_total"), 80, "accepted")


@test("WORKER_THREADS and config.workerThreads set the number of loops, the environment wins")
def number():
    text = CONFIG.replace("config:", "config:\n  workerThreads: 3")

    def loops(**options):
        gateway = Gateway(text, origin="127.0.0.1:1", most=10, **options)
        names = set()
        import os
        for task in os.listdir(f"/proc/{gateway.pid}/task"):
            with open(f"/proc/{gateway.pid}/task/{task}/comm", encoding="ascii") as comm:
                names.add(comm.read().strip())
        gateway.stop()
        return len([name for name in names if name[:9] == "headgate-"])
    eq(loops(workers=2), 2, "loops by the environment")
    eq(loops(workers=2, env={"WORKER_THREADS": ""}), 3, "loops by the configuration")


@test("past config.limits.maxConnections: 503 on HTTP ports, RST on TCP ports, counted; room again "
      "afterwards")
def global_limit():
    gateway = start(most=10, workers=1)
    clients = [gateway.client() for _ in range(10)]
    for client in clients:
        hold(client)
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 10, 5, "the ten")
    for _ in range(3):
        expect_503(gateway.client())
    try:
        gateway.client("tcp").expect_rst()
    except ConnectionResetError:
        pass
    metrics = gateway.metrics()
    eq(metrics("headgate_downstream_refused_total"), 4, "refused")
    eq(metrics("headgate_stream_end_total", reason="limit"), 4, "ends by limit")
    eq(metrics("headgate_downstream_connections_open"), 10, "open")
    for client in clients[:3]:
        client.close()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 7, 5, "room")
    eq(gateway.fetch("/get").status, 200, "status when there is room")
    for client in clients[3:]:
        eq(finish(client), 200, "status on the connections that were there first")


@test("maxConnections of a listener limits that port alone, over all workers")
def listener_limit():
    gateway = Gateway("""
binds:
- port: @port@
  listeners:
  - name: small
    maxConnections: 5
    routes:
    - backends: [{host: @origin@}]
- port: @free@
  listeners:
  - name: free
    routes:
    - backends: [{host: @origin@}]
""", origin=Origin(), workers=3)
    clients = [hold(gateway.client()) for _ in range(5)]
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 5, 5, "the five")
    expect_503(gateway.client())
    others = [gateway.client("free") for _ in range(8)]
    for client in others:
        eq(client.get("/get").status, 200, "status on the other port")
    clients.pop().close()
    wait_until(lambda: gateway.fetch("/get").status == 200, 5, "room")


@test("a limit that is changed by a reload counts the connections that are open")
def limit_reloaded():
    gateway = start(most=3, workers=1)
    clients = [hold(gateway.client()) for _ in range(3)]
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 3, 5, "the three")
    expect_503(gateway.client())
    gateway.names["most"] = 4
    gateway.reload(CONFIG)
    fourth = gateway.client()
    eq(fourth.get("/get").status, 200, "status of the fourth")
    hold(fourth)
    expect_503(gateway.client())
    gateway.names["most"] = 2
    gateway.reload(CONFIG)
    eq(finish(clients[0]), 200, "status on an open connection past the new limit")
    hold(clients[0])
    fourth.close()
    clients.pop().close()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 2, 5, "two that left")
    expect_503(gateway.client())


@test("past config.limits.maxConnections the client that is idle longest makes room: counted, with a reason "
      "of its own")
def idle_is_evicted():
    gateway = start(most=4, workers=1)
    held = hold(gateway.client())
    idle = [gateway.client() for _ in range(3)]
    for client in idle:
        eq(client.get("/get").status, 200, "status")
    eq(idle[0].get("/get").status, 200, "status of the first, which is idle since the last of all now")
    fresh = gateway.client()
    eq(fresh.get("/get").status, 200, "status past the limit")
    idle[1].expect_fin()
    eq(idle[0].get("/get").status, 200, "status of who was idle for less time")
    eq(gateway.client().get("/get").status, 200, "status of one more")
    idle[2].expect_fin()
    eq(finish(held), 200, "status of who had begun")
    metrics = gateway.metrics()
    eq((metrics("headgate_downstream_idle_closed_total"),
        metrics("headgate_stream_end_total", reason="evicted"),
        metrics("headgate_downstream_refused_total")), (2, 2, 0), "closed, by reason, refused")


@test("a client of HTTP/2 without streams makes room and is told with a GOAWAY, one with a stream stays")
def idle_h2_is_evicted():
    origin = Origin()
    gateway = start(most=2, workers=1, origin=origin)
    busy, idle = H2Client(gateway.port), H2Client(gateway.port)
    eq((busy.get("/get").status, idle.get("/get").status), (200, 200), "status")
    origin.pause()
    number = busy.request("/get")
    wait_until(lambda: gateway.streams(), 5, "the stream that runs")
    fresh = hold(gateway.client())
    idle.expect_goaway(0)
    idle.expect_end()
    expect_503(gateway.client())
    origin.resume()
    eq((busy.response(number).status, finish(fresh)), (200, 200), "status of who stayed and who came")
    eq(gateway.metrics()("headgate_stream_end_total", reason="evicted"), 1, "ends by reason")


@test("a worker without idle clients of its own has one of another worker closed")
def idle_elsewhere():
    gateway = start(most=6, workers=4)
    idle = []
    for rounds in range(60):
        client = gateway.client()
        eq(client.get("/get").status, 200, f"status of client {rounds}")
        idle.append(client)
    metrics = gateway.metrics()
    eq(metrics("headgate_downstream_refused_total"), 0, "refused")
    # Who is asked acts in its own time; nobody is admitted past the limit but for one who goes.
    def is_settled():
        numbers = gateway.metrics()
        left = numbers("headgate_downstream_connections_open")
        return left <= 6 and left + numbers("headgate_downstream_idle_closed_total") == 60
    wait_until(is_settled, 10, "the limit")


@test("idle clients up to the descriptor limit: new ones are served, and so are those that were there, "
      "the readiness probe and the admin port", timeout=60)
def idle_up_to_descriptors():
    gateway = start(most=1000, workers=1, origin=Origin())
    limit_descriptors(gateway, 256)
    clients = []
    for number in range(400):
        client = gateway.client()
        eq(client.get("/get").status, 200, f"status of client {number}")
        clients.append(client)
    eq(clients[-50].get("/get").status, 200, "status of one that was there")
    eq(fetch(gateway.ready_port, "/healthz/ready").status, 200, "readiness")
    eq(gateway.admin("/streams").status, 200, "the admin port")
    metrics = gateway.metrics()
    eq((metrics("headgate_downstream_refused_total"), metrics("headgate_downstream_accept_pauses_total")),
       (0, 0), "refused, pauses")
    check(metrics("headgate_downstream_idle_closed_total") >= 200, "too few made room")
    for client in clients:
        client.close()


@test("busy clients up to the descriptor limit: 503 for others, admin and readiness answer, backends are "
      "reached")
def busy_up_to_descriptors():
    gateway = start(most=1000, workers=1, origin=Origin())
    limit_descriptors(gateway, 256)
    clients = [hold(gateway.client()) for _ in range(120)]
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 120, 10, "all of them")
    clients += [hold(gateway.client()) for _ in range(130)]
    wait_until(lambda: gateway.metrics()("headgate_downstream_accepted_total") == 250, 10, "all of them")
    wait_until(lambda: gateway.metrics()("headgate_downstream_refused_total") >= 50, 5, "refusals")
    eq(fetch(gateway.ready_port, "/healthz/ready").status, 200, "readiness")
    eq(gateway.admin("/streams").status, 200, "the admin port")
    eq([finish(client) for client in clients[:120]], [200] * 120, "status of the held requests")


@test("without config.limits.maxConnections the descriptor limit says how many, a larger one is warned about")
def derived():
    text = CONFIG.replace("config:\n  limits: {maxConnections: @most@}\n", "")
    shell = ["/bin/sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh"]
    gateway = Gateway(text, origin=Origin(), workers=2, wrap=shell)
    limit = gateway.admin_json("/config_dump")["config"]["limits"]["maxConnections"]
    check(300 <= limit <= 450, f"maxConnections derived from 1024 descriptors: {limit}")
    check("maxConnections" not in gateway.stderr, "a warning about a limit that nobody wrote")
    gateway = Gateway(CONFIG, origin=Origin(), workers=2, most=5000, wrap=shell)
    check("config.limits.maxConnections is 5000" in gateway.stderr, "no warning: " + gateway.stderr)


def limit_descriptors(gateway, number):
    """Only the soft limit, so that it can be raised again."""
    hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (number, hard))


def lowest_free(gateway):
    """The number the next descriptor gets, once those of answered questions are closed."""
    fds = None
    while fds != (fds := set(gateway.fds())):
        time.sleep(0.1)
    return next(number for number in range(len(fds) + 1) if number not in fds)


@test("out of descriptors: accepting pauses with one log line, running connections go on, then all is well",
      timeout=40)
def no_descriptors():
    origin = Origin()
    gateway = start(workers=1, origin=origin)
    first = gateway.client()
    eq(first.get("/get").status, 200, "status")
    used = len(gateway.fds())
    origin.pause()
    first.request("GET", "/get")
    wait_until(lambda: gateway.streams(), 5, "the request that runs")
    begin, wakeups = time.monotonic(), gateway.metrics()("headgate_worker_wakeups_total")
    limit_descriptors(gateway, lowest_free(gateway))
    clients, refused = [], 0
    for _ in range(40):
        try:
            client = gateway.client(timeout=5)
            clients.append(client)
        except OSError:
            refused += 1
    wait_until(lambda: "accepting paused" in gateway.stderr, 5, "the log line")
    origin.resume()
    eq(first.response().status, 200, "status on the connection that was there first")
    hold(first)
    time.sleep(0.5)
    eq(gateway.stderr.count("accepting paused"), 1, "log lines about it")
    check("file" in gateway.stderr, "the log line does not say what is missing: " + gateway.stderr)
    for client in clients:
        client.close()
    limit_descriptors(gateway, used + 200)
    wait_until(lambda: len(gateway.fds()) <= used + 2, 5, "the end of the connections")
    metrics, passed = gateway.metrics(), time.monotonic() - begin
    # A client causes a few, and the timer after which accepting begins again ten a second. A loop that never
    # sleeps has thousands.
    woken, most = metrics("headgate_worker_wakeups_total") - wakeups, 10 * len(clients) + 200 + 20 * passed
    check(woken < most, f"{woken} wake-ups in {passed:.1f} s, want less than {most:.0f}")
    eq(gateway.fetch("/get").status, 200, "status afterwards")
    metrics = gateway.metrics()
    check(metrics("headgate_downstream_accept_pauses_total") >= 1, "no pause was counted")
    check(metrics("headgate_downstream_refused_total") >= 1, "nothing was counted as refused")


@test("no descriptor left for readiness: an idle connection of the admin servers makes room")
def no_descriptor_readiness():
    gateway = start(workers=1)
    idle = [Raw(gateway.admin_port) for _ in range(5)]
    for client in idle:
        eq(client.get("/logging").status, 200, "status")
    limit_descriptors(gateway, lowest_free(gateway))
    for _ in range(3):
        eq(fetch(gateway.ready_port, "/healthz/ready").status, 200, "readiness")
    idle[0].expect_end()
    eq(idle[4].get("/logging").status, 200, "status of the last that came")
    limit_descriptors(gateway, 1000)


@test("no descriptor left for a backend connection: 503, and the gateway goes on")
def no_descriptor_upstream():
    gateway = start(workers=1)
    client = gateway.client()
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 1, 5, "the connection")
    client.send("GET /get HTTP/1.1\r\n")
    limit_descriptors(gateway, lowest_free(gateway))
    client.send("Host: x\r\n\r\n")
    answer = client.response()
    check(answer.status in (500, 503), f"answer {answer}")
    limit_descriptors(gateway, 1000)
    eq(gateway.fetch("/get").status, 200, "status afterwards")


@test("2000 connections at once are served by two workers", timeout=60, heavy=True)
def thousands():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        skip(f"the descriptor limit of {hard} is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway = start(most="5000, connectionsPerClient: 5000")
    clients = [gateway.client() for _ in range(2000)]
    for client in clients:
        client.request("GET", "/bytes/100")
    for client in clients:
        eq(client.response().status, 200, "status")
    eq(gateway.metrics()("headgate_downstream_connections_open"), 2000, "open")
    for client in clients:
        client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@test("an idle gateway sleeps: no wake-ups without traffic")
def idle():
    gateway = start()
    eq(gateway.fetch("/get").status, 200, "status")
    before, begin = gateway.context_switches(), time.monotonic()
    time.sleep(1.5)
    woken, passed = gateway.context_switches() - before, time.monotonic() - begin
    check(woken < 14 * passed, f"{woken} wake-ups in {passed:.1f} s of silence")
    check(gateway.metrics()("headgate_worker_wakeups_total") > 0, "no wake-up was counted")
