# SPDX-License-Identifier: Apache-2.0
"""Tunnels outlive the gateway that began them."""
import collections
import contextlib
import random
import re
import threading
import time

from crashes import await_notes, kill, reset, stop
from hg import *
from splice import TUNNEL, closings, gates, in_background, raise_priority, tunnel

MODES = ("off", "require")
WORKERS, CRASHES = 2, 12
PAUSE_S = 0.01  # with which a reader keeps up
HTTP = """
config: {splice: {mode: @mode@}}
binds:
- port: @port@
  listeners:
  - name: main
    routes:
    - name: chat
      backends:
      - host: @origin@
"""


def acted(mode, config=TUNNEL, **options):
    backend = Backend()
    return Gateway(config, origin=backend, mode=mode, workers=WORKERS, keeper=True, **options), backend


def await_lost(gateway, count):
    wait_until(lambda: lost(gateway) == count, 10, f"{count} tunnels that are counted as not taken over")


def lost(gateway):
    return gateway.metrics()("headgate_not_resumed_total", reason="tunnel")


def say(end, other, text):
    end.send(text)
    eq(other.read(len(text)), text, "what was said")


def await_resumed(gateway, count):
    wait_until(lambda: gateway.metrics()("headgate_resumed_total", kind="tunnel") == count, 10,
               f"{count} resumed tunnels")


@test("a tunnel goes on after kill -9, with its id, its route and its bytes, in each lane; twice")
def tunnels():
    for mode in MODES:
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        say(upstream, client, b"y" * 1000)
        before = gateway.streams()[0]
        for death in range(1, 3):
            kill(gateway)
            await_resumed(gateway, death)
            after = gateway.streams()[0]
            for key in ("id", "route", "listener", "client", "endpoint", "bytes_in", "bytes_out"):
                eq(after.get(key), before.get(key), f"{key} after crash {death}, {mode}")
            eq(after["resumed"], "true", "resumed")
            eq(bool(gates(gateway)[0][0]), mode != "off", "the kernel lane")
            say(client, upstream, b"a" * 500)
            say(upstream, client, b"b" * 300)
            before = gateway.streams()[0]
        client.fin()
        upstream.expect_fin()
        say(upstream, client, b"after the end of the other way")
        upstream.close()
        client.expect_fin()
        record = gateway.wait_log()
        eq(record["resumed"], "true", "resumed in the log")
        eq(int(record["bytes_in"]), before["bytes_in"], "bytes of the whole life, in")
        eq(int(record["bytes_out"]), before["bytes_out"] + 30, "bytes of the whole life, out")
        eq(len(gateway.log()), 1, "lines")


@test("an upgraded connection goes on with its request in the log, also one whose path is long; what follows "
      "the upgrade is not read as HTTP")
def upgraded():
    for path in ("/ws?name=a", "/ws?" + "x" * 1500):
        gateway = Gateway(HTTP, origin=Origin(), mode="require", keeper=True)
        chat = WebSocket(gateway.client(), path=path, host="chat.example")
        chat.send("before")
        eq(chat.receive(), "before", "an echo")
        kill(gateway)
        await_resumed(gateway, 1)
        chat.send("GET / HTTP/1.1")
        eq(chat.receive(), "GET / HTTP/1.1", "an echo after the crash")
        chat.raw.close()
        record = gateway.wait_log()
        eq((record["http.path"], record["http.host"], record["http.status"], record["resumed"]),
           (path, "chat.example", "101", "true"), "the line")


@test("half closed when the gateway died: the other way goes on, and the end arrives once")
def half_closed():
    for mode in MODES:
        gateway, backend = acted(mode)
        client, upstream = tunnel(gateway, backend)
        client.send(b"the last words")
        client.fin()
        eq(upstream.read(14), b"the last words", "the last words")
        upstream.expect_fin()
        kill(gateway)
        await_resumed(gateway, 1)
        upstream.send(b"z" * 100000)
        eq(len(client.read(100000)), 100000, "the answer")
        upstream.close()
        client.expect_fin()
        eq(gateway.wait_log()["close_reason"], "ok", "close_reason")


@test("half closed, and the other end comes while nobody is there: the last bytes arrive, and an end, not a "
      "reset")
def ends_meanwhile():
    for mode in MODES:
        for way in ("in", "out"):
            gateway, backend = acted(mode)
            client, upstream = tunnel(gateway, backend, way=way)
            client.fin()
            upstream.expect_fin()
            wait_until(lambda g=gateway: gates(g)[0][0] is None, 5, "the way that has ended out of the lane")
            await_notes(gateway.gateway_pid)
            stop(gateway)
            upstream.send(b"last" * 5000)
            upstream.close()
            kill(gateway)
            await_resumed(gateway, 1)
            eq(client.read(20000), b"last" * 5000, f"the last bytes, {mode}, {way}")
            client.expect_fin()
            eq(gateway.wait_log()["close_reason"], "ok", "close_reason")


@test("an idle time goes on from before the crash", waits=True)
def deadline():
    config = TUNNEL.replace("{splice:", "{timeouts: {tunnelIdle: 6s}, splice:")
    gateways = [acted(mode, config) for mode in reversed(MODES)]
    pairs = [tunnel(*acted_) for acted_ in gateways]
    for client, upstream in pairs:
        say(client, upstream, b"the last word")
    said = time.monotonic()
    time.sleep(4)
    for gateway, _ in gateways:
        kill(gateway)
        await_resumed(gateway, 1)
    for (gateway, _), (client, _) in zip(gateways, pairs):
        client.expect_fin(20)
        # Were it counted from the crash on, it would be over after ten seconds.
        check_time(time.monotonic() - said, 6.0, "the idle time", before=10.0)
        eq(gateway.wait_log()["close_reason"], "tunnel_idle", "close_reason")


@test("bytes that arrive while nobody is there are neither lost nor doubled; a reset of that time arrives")
def meanwhile():
    for mode in MODES:
        gateway, backend = acted(mode)
        pairs = [tunnel(gateway, backend) for _ in range(3)]
        stop(gateway)
        for number, (client, upstream) in enumerate(pairs):
            client.send(pattern(50000, number))
            upstream.send(pattern(30000, number + 7))
        pairs[2][0].rst()
        kill(gateway)
        await_resumed(gateway, 2)
        for number, (client, upstream) in enumerate(pairs[:2]):
            eq(upstream.read(50000), pattern(50000, number), "bytes to the backend")
            eq(client.read(30000), pattern(30000, number + 7), "bytes to the client")
        reset(pairs[2][1])


@test("a tunnel whose route is no more when its gateway dies is reset, and counted")
def without_route():
    gateway, backend = acted("require")
    client, upstream = tunnel(gateway, backend)
    gateway.reload(TUNNEL.replace("name: tunnel", "name: other"))
    kill(gateway)
    reset(client)
    reset(upstream)
    await_lost(gateway, 1)


@test("without the lane in the new configuration its tunnels are reset, those of the copy lane go on")
def without_lane():
    gateway, backend = acted("require")
    riding = tunnel(gateway, backend)
    plain = tunnel(gateway, backend, warm=False)
    say(*plain, b"never warm")
    gateway.write("config.yaml", TUNNEL.replace("@mode@", "off").replace("@port@", str(gateway.port))
                  .replace("@origin@", f"127.0.0.1:{backend.port}"))
    kill(gateway)
    for end in riding:
        reset(end)
    await_resumed(gateway, 1)
    say(*plain, b"still there")


class Talk:
    """Small messages over one tunnel, answered; until it ends."""

    def __init__(self, gateway, backend, seed):
        self.pair = tunnel(gateway, backend, warm=False)
        self.random = random.Random(seed)
        self.count, self.fault, self.is_over = 0, None, False

    def turn(self):
        try:
            for end, other in (self.pair, self.pair[::-1]):
                say(end, other, self.random.randbytes(self.random.randrange(1, 3000)))
            self.count += 1
        except (OSError, Failure) as error:
            self.fault, self.is_over = error, True


def talk_on(talks, stop, turn):
    while not stop.is_set():
        with turn:
            for talk in talks:
                if not talk.is_over:
                    talk.turn()
        time.sleep(0.005)


@test("conversations through crashes: where nobody speaks none is cut, else no more than a worker has in "
      "hand, and then by a reset; no byte is wrong; what a gateway holds after many crashes is what it held "
      "after one",
      timeout=120, heavy=True)
def conversations():
    gateway, backend = acted("auto", args=["--restart-limit", "0"])
    talks = [Talk(gateway, backend, seed) for seed in range(24)]
    stop, turns = threading.Event(), [threading.Lock() for _ in range(3)]
    tasks = [in_background(talk_on, talks[part::3], stop, turn) for part, turn in enumerate(turns)]
    cut = counted = 0
    for death in range(1 + CRASHES):
        said = spoken(talks)
        wait_until(lambda said=said: spoken(talks) > said + len(talks), 20, "more words")
        with contextlib.ExitStack() as silence:
            is_silent = death % 2 == 0
            for turn in turns if is_silent else ():
                silence.enter_context(turn)
            kill(gateway, at_rest=is_silent)
            counted += len(talks) - cut
            wait_until(lambda counted=counted: fates(gateway) == counted, 10, "each to be resumed or cut")
            lost_now = lost(gateway) - cut
            cut += lost_now
            check(lost_now <= (0 if is_silent else WORKERS), f"{lost_now} were cut by crash {death}")
        if death == 0:
            descriptors = kinds(gateway)
    stop.set()
    for task in tasks:
        task.result()
    for talk in talks:
        if not talk.is_over:
            talk.turn()
        check(not talk.is_over or "reset" in str(talk.fault).lower() or "RST" in str(talk.fault),
              f"cut by {talk.fault}")
    note(f"{cut:.0f} of {len(talks)} were cut, {spoken(talks)} exchanges")
    eq(sum(talk.is_over for talk in talks), cut, "counted as cut")
    try:
        wait_until(lambda: kinds(gateway).total() <= descriptors.total(), 10, "the descriptors of one life")
    except Failure as failure:
        raise Failure(f"{failure}: more {dict(kinds(gateway) - descriptors)}, fewer "
                      f"{dict(descriptors - kinds(gateway))}") from None


def spoken(talks):
    return sum(talk.count for talk in talks)


def fates(gateway):
    """Tunnels that were resumed, each time, and those that were cut."""
    return gateway.metrics()("headgate_resumed_total", kind="tunnel") + lost(gateway)


def kinds(gateway):
    """How many descriptors of each kind the gateway and its keeper have."""
    return collections.Counter(re.sub(r"\d+", "", target) for target in gateway.fds().values())


@test("bulk through the kernel lane and crashes: all of it arrives, or the tunnel is reset behind a part of "
      "it; all arrives where its reader keeps up, and the gateway has none of it in hand",
      timeout=120, heavy=True)
def bulk():
    raise_priority()
    config = TUNNEL.replace("mode: @mode@", "mode: @mode@, adaptive: false")
    gateway, backend = acted("require", config, args=["--restart-limit", "0"])
    survived, resumed = [], 0
    for pause_s in (0, 0.0005, PAUSE_S, PAUSE_S):
        client, upstream = tunnel(gateway, backend)
        stop, sent = threading.Event(), [0]

        def write():
            while not stop.is_set():
                client.send(pattern(40000, sent[0]))
                sent[0] += 40000
                time.sleep(pause_s)
            client.fin()

        def read():
            got = 0
            while True:
                data = upstream.read_some()
                if not data:
                    return got
                eq(data == pattern(len(data), got), True, f"the bytes from {got} on")
                got += len(data)
        writer, reader = in_background(write), in_background(read)
        for death in range(1, 5):
            time.sleep(0.05)
            kill(gateway, at_rest=pause_s == PAUSE_S)
            if pause_s == PAUSE_S:
                await_resumed(gateway, resumed + death)
        stop.set()
        try:
            writer.result()
            eq(reader.result(), sent[0], "bytes")
            survived.append(pause_s)
        except (OSError, Failure) as error:
            check("reset" in str(error).lower() or "RST" in str(error) or isinstance(error, OSError),
                  f"ended by {error}")
        for end in (client, upstream):
            end.close()
        wait_until(lambda: not gateway.streams(), 5, "the end of the tunnel")
        resumed = gateway.metrics()("headgate_resumed_total", kind="tunnel")
    note(f"survived: {survived}, {closings(gateway)}")
    eq(survived[-2:], [PAUSE_S, PAUSE_S], "pauses of those that survived 4 crashes each")


@test("a thousand tunnels are resumed, each with its own ends; thousands in `make thorough`", timeout=120,
      heavy=True)
def thousands():
    config = TUNNEL.replace("config: {", "config: {limits: {connectionsPerClient: 5000}, ")
    gateway, backend = acted("auto", config)
    pairs = [tunnel(gateway, backend, warm=False) for _ in range(4000 if is_thorough() else 1000)]
    for number, pair in enumerate(pairs):
        say(*pair, b"%d" % number)
    kill(gateway)
    await_resumed(gateway, len(pairs))
    for number, (client, upstream) in enumerate(pairs):
        say(upstream, client, b"%d" % number)
