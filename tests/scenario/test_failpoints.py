# SPDX-License-Identifier: Apache-2.0
"""A gateway dies at each step of its work (user/base/failpoints.def): what was there becomes what the row
says, and everything else goes on."""
import os
import signal
import socket
import time

from failpoints import PROGRAM, Failpoints, table
from hg import *
from hg.framework import binary
from splice import in_background, settle, tunnel

CONFIG = """
config: {splice: {mode: @mode@, minBodyBytes: 65536, adaptive: @adaptive@}}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends:
      - host: @origin@
- port: @web@
  listeners:
  - name: main
    routes:
    - name: acted
      matches: [{path: {pathPrefix: /acted}}]
      backends:
      - host: @acted@
    - name: all
      backends:
      - host: @httpbin@
"""
BULK = 6 << 20  # more than send buffers grow to
BODY = 24 << 20  # more than all buffers of a way hold
WORKERS = 2


class Stage:
    """A gateway that can be killed at each failpoint, and what it serves meanwhile."""

    def __init__(self, mode, adaptive=True):
        self.points = Failpoints()
        self.backend, self.acted = Backend(), Backend()
        self.backend.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.gateway = Gateway(CONFIG, origin=self.backend, acted=self.acted, httpbin=Origin(), mode=mode,
                               adaptive=str(adaptive).lower(), workers=WORKERS, keeper=True, program=PROGRAM,
                               env=self.points.env, args=["--deaths-per-minute", "0"])
        self.deaths, self.others = 0, []

    # ---- streams ---------------------------------------------------------------------------------------

    def tunnel(self, is_riding=False):
        pair = tunnel(self.gateway, self.backend, warm=False)
        if is_riding:
            settle(self.gateway, *pair)
        say(*pair)
        return Tunnel(*pair)

    def events(self, is_held=False):
        """An answer in chunks that has lasted a while, so that a successor would go on with it."""
        client = self.gateway.client("web", rcvbuf=65536 if is_held else None)
        client.request("GET", "/acted", host="a")
        upstream = self.acted.accept()
        upstream.read_request()
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.response_head()
        found = Events(client, upstream)
        for _ in range(5):
            found.say()
            time.sleep(0.1)
        return found

    def idle(self):
        client = self.gateway.client("web")
        eq(client.get("/status/204", host="a").status, 204, "status")
        return Idle(client)

    # ---- deaths ----------------------------------------------------------------------------------------

    def surround(self):
        """Streams that have nothing to do with what will happen; those of before that still live."""
        has = [type(other) for other in self.others]
        if has.count(Tunnel) < 4:
            self.others += [self.tunnel(), self.tunnel()]
            if self.gateway.names["mode"] == "require":
                self.others += [self.tunnel(is_riding=True), self.tunnel(is_riding=True)]
        if Events not in has:
            self.others.append(self.events())
        if Idle not in has:
            self.others.append(self.idle())

    def arm(self, point):
        # A worker may have sent what was read here, and not noted yet that it has.
        time.sleep(0.2)
        self.points.arm(point)

    def await_death(self, point):
        try:
            wait_until(lambda: self.points.killed(point), 10, f"a death at {point}")
        except Failure:
            raise Failure(f"{point} was never reached (passed {self.points.passed(point)} times before)") \
                from None
        self.await_successor(1)

    def await_successor(self, deaths):
        self.deaths += deaths

        def serves():
            try:
                return self.gateway.metrics()("headgate_gateway_deaths_total") == self.deaths and \
                    fetch(self.gateway.ready_port, "/healthz/ready").status == 200
            except (OSError, Failure):
                return False
        wait_until(serves, 10, f"a successor after {self.deaths} deaths")

    def expect_others(self, may_lose=0):
        """Everything else goes on, but for so many; returns how many do not."""
        lost = [other for other in self.others if not other.goes_on()]
        check(len(lost) <= may_lose, f"reset: {', '.join(type(other).__name__ for other in lost)}")
        self.others = [other for other in self.others if other not in lost]
        return len(lost)

    def end(self):
        for other in self.others:
            other.close()


def is_reset(error):
    return isinstance(error, (ConnectionResetError, BrokenPipeError)) or str(error).startswith("RST")


def say(end, other, text=b"words"):
    for _ in range(2):
        end.send(text)
        eq(other.read(len(text)), text, "what was said")
        end, other = other, end


class Talker:
    """A client and, where there is one, its backend."""

    def __init__(self, client, upstream=None):
        self.client, self.upstream = client, upstream

    def goes_on(self):
        """False: it was reset, at both ends."""
        try:
            self.say()
            return True
        except (OSError, Failure) as error:
            if not is_reset(error):
                raise
        self.expect_reset()
        return False

    def expect_reset(self):
        """Returns what had arrived at the backend."""
        came = b""
        for end in filter(None, (self.client, self.upstream)):
            came = end.expect_rst(5)
            end.close()
        return came

    def close(self):
        for end in filter(None, (self.client, self.upstream)):
            end.close()


class Tunnel(Talker):
    def say(self):
        say(self.client, self.upstream)


class Events(Talker):
    _payload = b""

    def say(self, text=b"an event"):
        self.upstream.send(b"%x\r\n%s\r\n" % (len(text), text))
        eq(self.read(len(text)), text, "an event")

    def read(self, size):
        """So many payload bytes, of chunks as the gateway makes them."""
        while len(self._payload) < size:
            length = int(self.client.read_line(), 16)
            check(length, "the last chunk came too early")
            self._payload += self.client.read(length)
            eq(self.client.read(2), b"\r\n", "the end of a chunk")
        data, self._payload = self._payload[:size], self._payload[size:]
        return data


class Idle(Talker):
    def say(self):
        eq(self.client.get("/status/204", host="a").status, 204, "status")


# ---- plays: (stage, point, fate); each makes the gateway die at that point -----------------------------


def one_way(stage, point, fate):
    """Bytes of one way, in the copy lane."""
    actor, words = stage.tunnel(), pattern(1000)
    stage.arm(point)
    actor.client.send(words)
    stage.await_death(point)
    if fate == "goes on":
        eq(actor.upstream.read(1000), words, "the bytes")
        check(actor.goes_on(), "the tunnel was reset")
        actor.close()
    else:
        came = actor.expect_reset()
        check(came in (b"", words), f"{len(came)} of 1000 bytes arrived")


def new_tunnel(stage, point, fate):
    """Nothing has gone through it yet."""
    stage.arm(point)
    actor = Talker(stage.gateway.client())
    if point != "accepted":
        actor.upstream = stage.backend.accept()
    stage.await_death(point)
    eq(fate, "reset", "the fate")
    actor.expect_reset()


def last_words(stage, point, fate):
    """Both ways have ended: every byte arrives, and the end of it is an end, or a reset behind an end."""
    actor = stage.tunnel()
    actor.client.fin()
    actor.upstream.expect_fin()
    stage.arm(point)
    actor.upstream.send(b"the last words").fin()
    stage.await_death(point)
    eq(fate, "ended", "the fate")
    eq(actor.client.expect_end(), ("fin", b"the last words"), "the end")
    actor.close()


def request(stage, point, fate):
    actor = stage.idle()
    stage.arm(point)
    actor.client.request("GET", "/status/204", host="a")
    stage.await_death(point)
    if fate == "goes on":
        eq(actor.client.response().status, 204, "status")
        check(actor.goes_on(), "the idle client was reset")
        actor.close()
    else:
        actor.expect_reset()


def into_lane(stage, point, fate):
    """Words both ways until the kernel lane takes one of them."""
    actor, sent = stage.tunnel(), []
    stage.arm(point)

    try:
        while not stage.points.killed(point):
            sent.append(b"w")
            for end in (actor.client, actor.upstream):
                end.send(b"w")
            time.sleep(0.01)
    except OSError:
        pass
    stage.await_death(point)
    eq(fate, "reset", "the fate")
    for end in (actor.client, actor.upstream):
        came = end.expect_rst(5)
        check(came == b"w" * len(came) and len(came) <= len(sent), f"{len(sent)} words became {came}")
    actor.close()


def held_back(stage, point, fate):
    """Bulk in the kernel lane whose reader stands still until the point is armed."""
    actor = stage.tunnel(is_riding=True)
    writer = fill(actor.client, pattern(BULK))
    stage.arm(point)
    data = b"".join(read_slowly(actor.upstream, BULK))
    writer.result()
    stage.await_death(point)
    eq(fate, "goes on", "the fate")
    check(data == pattern(BULK), "other bytes")
    check(actor.goes_on(), "the tunnel was reset")
    actor.close()


def fill(end, data):
    """Sends as much as fits while nobody reads; what is left follows in the background."""
    sent = end.send_until_blocked(data, limit=len(data))
    return in_background(lambda: end.send(data[sent:]))


def read_slowly(end, size):
    while size:
        data = end.read_some(min(size, 65536))
        check(data, f"an end {size} bytes too early")
        size -= len(data)
        yield data


def chunks(stage, point, fate):
    """A body in chunks in the kernel lane, whose reader stands still until the point is armed."""
    actor = stage.events(is_held=True)
    rounds = BODY // 50000
    writer = fill(actor.upstream, b"".join(
        b"%x\r\n%s\r\n" % (50000, pattern(50000, at * 50000)) for at in range(rounds)) + b"0\r\n\r\n")
    stage.arm(point)
    try:
        for at in range(rounds):
            check(actor.read(50000) == pattern(50000, at * 50000), f"other bytes in chunk {at}")
        eq(actor.client.read(5), b"0\r\n\r\n", "the last chunk")
        is_whole = True
    except (OSError, Failure) as error:
        check(is_reset(error), f"ended by {error}")
        is_whole = False
    stage.await_death(point)
    try:
        writer.result()
    except OSError:
        check(not is_whole, "the backend's connection was reset")
    eq(is_whole, fate == "goes on", "all of it arrived")
    actor.close()


def succession(stage, point, fate):
    """The gateway is killed, and its successor dies: the next one goes on with all that was in nobody's
    hands."""
    stage.arm(point)
    os.kill(stage.gateway.gateway_pid, signal.SIGKILL)
    stage.deaths += 1
    stage.await_death(point)
    # From there on each worker may have one in hand.
    has_begun = fate == "reset" or point in ("handed-out", "ready")
    lost = stage.expect_others(WORKERS if has_begun else 0)
    check(lost or fate == "goes on", "none was reset")


PLAYS = {
    "off": {
        "accepted": new_tunnel, "row-begun": new_tunnel, "row-marked": new_tunnel, "row-ended": last_words,
        "client-reading": request, "client-read": request, "client-idle": request,
        "way-busy": one_way, "copy-read": one_way, "copy-sent": one_way, "way-pumped": one_way,
        "way-written": one_way, "way-free": one_way,
    },
    "lane": {
        "lane-slot": into_lane, "lane-noted": into_lane, "lane-armed": into_lane, "lane-listed": into_lane,
        "lane-verdict": into_lane, "lane-started": into_lane,
        "drain": held_back, "forward": held_back, "forward-peeked": held_back, "forward-sent": held_back,
        "commit": held_back, "committed": held_back, "consume": held_back, "consume-reading": held_back,
        "consume-read": held_back, "consumed": held_back,
    },
    "chunks": {
        "commit-chunk": chunks, "lane-leaving": chunks, "lane-closed": chunks, "lane-left": chunks,
    },
    "successor": {
        name: succession for name in (
            "collected", "lane-inherited", "listens", "handed-out", "ready", "client-adopted", "adopt-begun",
            "adopt-sockets", "adopt-direction", "adopt-row")
    },
}


def act(plays, mode, adaptive=True):
    stage = Stage(mode, adaptive)
    for point, play in PLAYS[plays].items():
        stage.surround()
        start = time.monotonic()
        try:
            play(stage, point, stage.points.fates[point])
            stage.expect_others()
        except (OSError, Failure) as error:
            raise Failure(f"{point}: {error}") from error
        note(f"{point}: {stage.points.passed(point)} times passed, {time.monotonic() - start:.2f} s")
    stage.end()


@test("each failpoint has a play, and the program that is installed has none of them")
def complete():
    eq(sorted(name for plays in PLAYS.values() for name in plays), sorted(table()), "failpoints with a play")
    for program, has_them in (("headgate", False), (PROGRAM, True)):
        with open(binary(program), "rb") as file:
            eq(b"HEADGATE_FAILPOINTS" in file.read(), has_them, f"failpoints in {program}")


@test("death at each step of a connection, a request, a row and the copy lane: what was in the gateway is "
      "reset, all else goes on", timeout=90)
def copied():
    act("off", "off")


@test("death at each step into the kernel lane and of a direction in it: what the kernel has is neither lost "
      "nor doubled", timeout=90)
def lane():
    act("lane", "require")


@test("death at each step of a body in chunks out of the kernel lane", timeout=90)
def coded():
    act("chunks", "require", adaptive=False)


@test("a successor that dies at each step of its start: the next one goes on with what it had not begun",
      timeout=90)
def successors():
    act("successor", "require")
