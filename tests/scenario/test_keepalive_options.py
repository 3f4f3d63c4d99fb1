# SPDX-License-Identifier: Apache-2.0
"""TCP keepalive: the values on the sockets of both sides, and dead peers found within them."""
import re
import time

from hg import *
from plays import SIMPLE, play
from sockets import downstream_keepalive, upstream_keepalive
from splice import gates, settle
from timers import expect_reason

KERNEL = {"on": 0, "user_timeout_ms": 0}
DEFAULT = {"on": 1, "time": 180, "interval": 180, "retries": 9, "user_timeout_ms": 1800000}

BACKEND = """
binds:
- port: @port@
  listeners:
  - routes:
    - backends:
      - host: @origin@
        policies: {tcp: {connectTimeout: 1s, keepalives: %s}}
"""

# Found after time + interval * retries = 3 s.
FAST = "{time: 1s, interval: 1s, retries: 2}"

TUNNEL = """
config: {splice: {mode: @mode@, adaptive: false}}
frontendPolicies:
  tcp: {keepalives: %s}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - backends:
      - host: @origin@
        policies: {tcp: {connectTimeout: 1s, keepalives: %s}}
"""

HTTP = """
frontendPolicies:
  tcp: {keepalives: %s}
binds:
- port: @port@
  listeners:
  - routes: [{backends: [{host: @origin@}]}]
"""


def values(config):
    """(downstream, upstream) of one request through this configuration."""
    gateway, origin = play(config)
    client = gateway.client()
    eq(client.get("/get").status, 200, "status")
    return downstream_keepalive(gateway, client), upstream_keepalive(gateway, origin.port)


@test("tcp: {connectTimeout} alone leaves keepalive to config.backend, tcp: {keepalives} alone the time to "
      "connect")
def one_of_tcp():
    text = BACKEND.replace(", keepalives: %s", "") + f"config: {{backend: {{keepalives: {FAST}}}}}\n"
    fast = {"on": 1, "time": 1, "interval": 1, "retries": 2, "user_timeout_ms": 3000}
    eq(values(text)[1], fast, "upstream, of config.backend")
    eq(values(BACKEND.replace("connectTimeout: 1s, ", "") % FAST)[1], fast, "upstream, of the backend")
    eq(values(BACKEND % "{}")[1], DEFAULT, "upstream, with both")


# ---- values ----------------------------------------------------------------------------------------------


@test("without a policy the client's side is left alone and the backend's side has 180 s, 180 s, 9")
def defaults():
    downstream, upstream = values(SIMPLE)
    eq({k: downstream[k] for k in KERNEL}, KERNEL, "downstream")
    eq(upstream, DEFAULT, "upstream")


@test("frontendPolicies.tcp sets the client's side, and TCP_USER_TIMEOUT to their sum")
def downstream_values():
    downstream, upstream = values(SIMPLE + "frontendPolicies: {tcp: {keepalives: "
                                           "{time: 30s, interval: 5s, retries: 3}}}\n")
    eq(downstream, {"on": 1, "time": 30, "interval": 5, "retries": 3, "user_timeout_ms": 45000}, "downstream")
    eq(upstream, DEFAULT, "upstream")
    downstream, _ = values(SIMPLE + "frontendPolicies: {tcp: {keepalives: {}}}\n")
    eq(downstream, DEFAULT, "downstream with {}")


@test("the backend's tcp.keepalives win over config.backend.keepalives")
def upstream_values():
    _, upstream = values(SIMPLE + "config: {backend: {keepalives: {time: 20s, interval: 4s, retries: 2}}}\n")
    eq(upstream, {"on": 1, "time": 20, "interval": 4, "retries": 2, "user_timeout_ms": 28000}, "by config")
    _, upstream = values(BACKEND % "{time: 10s, interval: 3s, retries: 4}"
                         + "config: {backend: {keepalives: {time: 20s}}}\n")
    eq(upstream, {"on": 1, "time": 10, "interval": 3, "retries": 4, "user_timeout_ms": 22000},
       "by the backend")


@test("enabled: false leaves the socket alone; userTimeout: false leaves TCP_USER_TIMEOUT alone")
def switched_off():
    downstream, upstream = values(
        BACKEND % "{enabled: false}" + "frontendPolicies: {tcp: {keepalives: {enabled: false}}}\n")
    eq({k: downstream[k] for k in KERNEL}, KERNEL, "downstream")
    eq({k: upstream[k] for k in KERNEL}, KERNEL, "upstream")
    downstream, upstream = values(SIMPLE + "frontendPolicies: {tcp: {keepalives: {time: 30s}}}\n"
                                           "config: {userTimeout: false}\n")
    eq((downstream["on"], downstream["user_timeout_ms"]), (1, 0), "downstream")
    eq((upstream["on"], upstream["user_timeout_ms"]), (1, 0), "upstream")


@test("ss shows the keepalive timers of both sides", needs=("ss",))
def ss_timers():
    gateway, origin = play(SIMPLE + "frontendPolicies: {tcp: {keepalives: {time: 30s}}}\n")
    client = gateway.client()
    eq(client.get("/get").status, 200, "status")

    def expect_timer(expression, seconds, what):
        status, out, _ = run(["ss", "-Htno", "state", "established", expression])
        eq(status, 0, "ss")
        left = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:(\d+)sec)?,", out)
        check(left, f"{what}: {out!r}")
        minutes, rest = (int(part or 0) for part in left.groups())
        check(seconds - 15 <= 60 * minutes + rest <= seconds, f"{what}, want {seconds} s at first: {out!r}")
    expect_timer(f"( sport = :{gateway.port} )", 30, "downstream")
    expect_timer(f"( dport = :{origin.port} )", 180, "upstream")


@test("a reload changes the values of new connections, not of those that are open")
def reloaded():
    config = SIMPLE + "frontendPolicies: {tcp: {keepalives: {time: 30s}}}\n"
    gateway, _ = play(config)
    old = gateway.client()
    eq(old.get("/get").status, 200, "status")
    gateway.reload(config.replace("30s", "40s"))
    new = gateway.client()
    eq(new.get("/get").status, 200, "status")
    eq([downstream_keepalive(gateway, c)["time"] for c in (old, new)], [30, 40], "time")


# ---- dead peers ------------------------------------------------------------------------------------------


def found_dead(gateway, cut, touch=lambda: None, trigger=lambda: None):
    """The access log says user_timeout, 3 s after the last sign of life, which touch() makes."""
    start = time.monotonic()
    touch()
    cut()
    trigger()
    gateway.wait_log(lambda r: r["close_reason"] == "user_timeout", timeout=10)
    check_time(time.monotonic() - start, 3.0, "finding it")
    expect_reason(gateway, "user_timeout")


def through(sender, receiver):
    """Sends a byte through a tunnel."""
    sender.send("t")
    eq(receiver.read(1), b"t", "a byte")


def tunnel(net, client_side, backend_side, keepalives=("{}", "{}"), mode="off"):
    """(gateway, client, upstream) with a byte through the tunnel in both directions; "require": in the kernel
    lane."""
    backend = Backend(backend_side.address, 9000, netns=backend_side)
    gateway = Gateway(TUNNEL % keepalives, origin=backend, netns=net.server, workers=1, mode=mode)
    host = net.server.address if client_side is net.client else "127.0.0.1"
    client = Raw((host, gateway.port), netns=client_side)
    upstream = backend.accept()
    settle(gateway, client, upstream)
    return gateway, client, upstream


@test("a dead client of an idle tunnel is found", waits=True, needs=("netns", "nft"))
def dead_client_idle():
    net = Net()
    gateway, client, upstream = tunnel(net, net.client, net.server, (FAST, "{}"))
    found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream))
    upstream.expect_end()
    net.mend("client")


@test("a dead client with data in flight is found", waits=True, needs=("netns", "nft"))
def dead_client_in_flight():
    net = Net()
    gateway, client, upstream = tunnel(net, net.client, net.server, (FAST, "{}"))
    found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream),
               lambda: upstream.send("on its way"))
    upstream.expect_end()
    net.mend("client")


@test("a dead backend of an idle tunnel is found", waits=True, needs=("netns", "nft"))
def dead_backend_idle():
    net = Net()
    gateway, client, upstream = tunnel(net, net.server, net.client, ("{}", FAST))
    found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream))
    client.expect_end()
    net.mend("client")


@test("a dead backend with data in flight is found", waits=True, needs=("netns", "nft"))
def dead_backend_in_flight():
    net = Net()
    gateway, client, upstream = tunnel(net, net.server, net.client, ("{}", FAST))
    found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream),
               lambda: client.send("on its way"))
    client.expect_end()
    net.mend("client")


@test("both sockets of a tunnel in the kernel lane have the values of the policies", needs=("bpf",))
def kernel_values():
    backend = Backend()
    keepalives = ("{time: 30s, interval: 5s, retries: 3}", "{time: 10s, interval: 3s, retries: 4}")
    gateway = Gateway(TUNNEL % keepalives, origin=backend, mode="require", workers=1)
    client = gateway.client()
    settle(gateway, client, backend.accept())
    eq(gates(gateway), [("open", None)], "gates")
    eq(downstream_keepalive(gateway, client),
       {"on": 1, "time": 30, "interval": 5, "retries": 3, "user_timeout_ms": 45000}, "downstream")
    eq(upstream_keepalive(gateway, backend.port),
       {"on": 1, "time": 10, "interval": 3, "retries": 4, "user_timeout_ms": 22000}, "upstream")


@test("a dead client of a tunnel in the kernel lane is found, idle and with data in flight",
      waits=True, needs=("bpf", "netns", "nft"))
def dead_client_kernel():
    for data in ("", "on its way"):
        net = Net()
        gateway, client, upstream = tunnel(net, net.client, net.server, (FAST, "{}"), "require")
        found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream),
                   lambda: data and upstream.send(data))
        upstream.expect_end()
        net.mend("client")


@test("a dead backend of a tunnel in the kernel lane is found, idle and with data in flight",
      waits=True, needs=("bpf", "netns", "nft"))
def dead_backend_kernel():
    for data in ("", "on its way"):
        net = Net()
        gateway, client, upstream = tunnel(net, net.server, net.client, ("{}", FAST), "require")
        found_dead(gateway, lambda: net.drop("client"), lambda: through(client, upstream),
                   lambda: data and client.send(data))
        client.expect_end()
        net.mend("client")


@test("a dead client in the middle of a response is found", waits=True, needs=("netns", "nft"))
def dead_client_response():
    net = Net()
    gateway = Gateway(HTTP % FAST, origin=Origin(netns=net.server, port=9000), netns=net.server, workers=1)
    client = Raw((net.server.address, gateway.port), netns=net.client).request("GET", "/sse?n=0&interval=50")
    eq(client.response_head().status, 200, "status")
    found_dead(gateway, lambda: net.drop("client"))
    net.mend("client")


@test("a dead client between two requests is found without a log line", needs=("netns", "nft"))
def dead_client_between_requests():
    net = Net()
    gateway = Gateway(HTTP % FAST, origin=Origin(netns=net.server, port=9000), netns=net.server, workers=1)
    client = Raw((net.server.address, gateway.port), netns=net.client)
    eq(client.get("/get").status, 200, "status")
    net.drop("client")
    wait_until(lambda: gateway.metrics()("headgate_downstream_connections_open") == 0, 10, "the end")
    eq(gateway.metrics()("headgate_stream_end_total", reason="user_timeout"), 1, "stream_end_total")
    eq(len(gateway.log()), 1, "log lines")
    net.mend("client")


@test("without TCP_USER_TIMEOUT data in flight keeps a dead peer alive",
      waits=True, needs=("netns", "nft"), timeout=20)
def without_user_timeout():
    net = Net()
    backend = Backend(net.server.address, 9000, netns=net.server)
    config = TUNNEL.replace("config: {", "config: {userTimeout: false, ")
    gateway = Gateway(config % (FAST, "{}"), origin=backend, mode="off",
                      netns=net.server,
                      workers=1, checked=False)
    client = Raw((net.server.address, gateway.port), netns=net.client)
    upstream = backend.accept()
    client.send("a")
    upstream.read(1)
    net.drop("client")
    upstream.send("on its way")
    upstream.expect_silence(5.5)  # the claim that userTimeout is what finds it
    net.mend("client")
