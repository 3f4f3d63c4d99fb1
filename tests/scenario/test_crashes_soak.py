# SPDX-License-Identifier: Apache-2.0
"""A gateway dies again and again, at every step of its work, under all kinds of load: what goes on has every
byte once, what does not is reset, and nobody is refused."""
import os
import random
import re
import select
import signal
import threading
import time

from crashes import is_gone
from failpoints import ALL_LANES, Stage, is_reset
from hg import *
from hg.process import read_text
from same_host import need_lane

CHECK_CRASHES, SOAK_CRASHES = 8, 300
REACH_S = 0.7  # for a step to be reached; then it is any moment
# Steps of a successor.
STARTING = ("collected", "lane-inherited", "local-inherited", "listens", "handed-out", "ready",
            "client-taken-over", "resume-begun", "resume-sockets", "resume-direction", "resume-local",
            "resume-entry")
BODY_BYTES = 48 << 20


class Actor(threading.Thread):
    """Does its part until it is told to stop; begins anew after a reset, which it counts."""
    kind = ""

    def __init__(self, stage, stop):
        super().__init__(daemon=True)
        self.stage, self.stop = stage, stop
        self.begun = self.resets = self.steps = 0
        self.faults, self.ends = [], []
        self.start()

    def run(self):
        while not self.stop.is_set():
            try:
                self.begin()
                self.begun += 1
                while not self.stop.is_set():
                    self.step()
                    self.steps += 1
            except (OSError, Failure) as error:
                if isinstance(error, ConnectionRefusedError) or not is_reset(error):
                    self.faults.append(f"{self.kind}: {error}")
                self.resets += 1
            finally:
                for end in self.ends:
                    end.close()
                self.ends = []

    def pair(self, backend, port, words, tag, until):
        """A client and the end of it at the backend, which is that whose first bytes say so."""
        with self.stage.lock:
            client = self.stage.gateway.client(port)
            self.ends.append(client)
            client.send(words)
            while True:
                upstream = self.accepted(backend, client)
                try:
                    if tag in upstream.read_until(until):
                        break
                except (OSError, Failure):
                    pass
                upstream.close()
        self.ends.append(upstream)
        return client, upstream

    @staticmethod
    def accepted(backend, client):
        """What comes to the backend; a reset of the client: it died with the gateway that had begun it."""
        for _ in range(20):
            try:
                return backend.accept(1)
            except Failure:
                if select.select([client.socket], [], [], 0)[0]:
                    client.expect_rst(5)
                    raise ConnectionResetError from None
        raise Failure("neither a connection to the backend nor a reset")

    port = None

    def tunnel(self):
        tag = b"<%d.%d>" % (id(self), self.steps + self.resets)
        return self.pair(self.stage.backend, self.port, tag, tag, b">")

    def answer(self, head):
        tag = b"/acted/%d.%d " % (id(self), self.steps + self.resets)
        client, upstream = self.pair(self.stage.acted, "web",
                                     b"GET %sHTTP/1.1\r\nHost: a\r\n\r\n" % tag, tag, b"\r\n\r\n")
        upstream.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        eq(client.response_head().status, 200, "status")
        return client, upstream


class Talk(Actor):
    """A conversation: each side hears what the other has said."""
    kind = "conversation"

    def begin(self):
        self.client, self.upstream = self.tunnel()

    def step(self):
        for end, other in ((self.client, self.upstream), (self.upstream, self.client)):
            words = pattern(1 + self.steps * 37 % 2000, self.steps)
            end.send(words)
            check(other.read(len(words)) == words, "other words")
        time.sleep(0.005)


class Bulk(Actor):
    """A writer that never stops."""
    kind = "bulk"

    def begin(self):
        client, upstream = self.tunnel()
        source, self.sink = (client, upstream) if self.begun % 2 else (upstream, client)
        self.at = 0
        threading.Thread(target=self.write, args=(source,), daemon=True).start()

    @staticmethod
    def write(source):
        try:
            for at in range(0, 1 << 40, 65536):
                source.send(pattern(65536, at))
        except (OSError, Failure, ValueError):
            pass  # the reader tells

    def step(self):
        data = self.sink.read_some(65536)
        check(data, f"an end after {self.at} bytes")
        check(data == pattern(len(data), self.at), f"other bytes from {self.at} on")
        self.at += len(data)
        time.sleep(0.002)


class NearTalk(Talk):
    """Past the gateway, from socket to socket."""
    kind, port = "conversation past it", "near"


class NearBulk(Bulk):
    kind, port = "bulk past it", "near"


class Events(Actor):
    """An answer in chunks, without an end."""
    kind = "events"

    def begin(self):
        self.client, self.upstream = self.answer(b"Transfer-Encoding: chunked\r\n")
        self.rest = b""

    def step(self):
        event = b"event %d\n" % self.steps
        self.upstream.send(b"%x\r\n%s\r\n" % (len(event), event))
        while len(self.rest) < len(event):
            length = int(self.client.read_line(), 16)
            check(length, "the last chunk")
            self.rest += self.client.read(length)
            eq(self.client.read(2), b"\r\n", "the end of a chunk")
        eq(self.rest[:len(event)], event, "an event")
        self.rest = self.rest[len(event):]
        time.sleep(0.01)


class Body(Actor):
    """Answers of known length, one after the other."""
    kind = "body"

    def begin(self):
        self.client, upstream = self.answer(b"Content-Length: %d\r\n" % BODY_BYTES)
        self.at = 0
        threading.Thread(target=Bulk.write, args=(upstream,), daemon=True).start()

    def step(self):
        data = self.client.read_some(min(65536, BODY_BYTES - self.at))
        check(data, f"an end after {self.at} of {BODY_BYTES} bytes")
        check(data == pattern(len(data), self.at), f"other bytes from {self.at} on")
        self.at += len(data)
        time.sleep(0.002)
        if self.at == BODY_BYTES:
            while self.ends:
                self.ends.pop().close()
            self.begin()


class Keeper(Actor):
    """Requests over one connection, some after a pause."""
    kind = "kept"

    def begin(self):
        self.client = self.stage.gateway.client("web")
        self.ends.append(self.client)

    def step(self):
        eq(self.client.get("/status/204", host="a").status, 204, "status")
        time.sleep(0.3 if self.steps % 20 == 0 else 0.002)


class Prober(Actor):
    """New connections, each with one request: (when it began, when it was answered)."""
    kind = "new"

    def __init__(self, *arguments):
        self.answered = []
        super().__init__(*arguments)

    def begin(self):
        pass

    def step(self):
        start = time.monotonic()
        client = self.stage.gateway.client("web")
        self.ends = [client]
        eq(client.get("/status/204", host="a").status, 204, "status")
        self.answered.append((start, time.monotonic()))
        client.close()
        time.sleep(0.005)

    def has_answer(self, after):
        """Whether one that began behind a crash was answered."""
        return self.answered[-1:] and self.answered[-1][0] >= after


class Reaper:
    """Kills at each failpoint in turn, as often as wanted."""

    def __init__(self, stage):
        self.stage, self.points = stage, stage.points
        self.when, self.plain, self.at_points = [], 0, {}

    def kill(self):
        pid = self.stage.gateway.gateway_pid
        if pid is None:
            return
        self.when.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)
        self.stage.crashes += 1

    def reap(self, point):
        before = self.points.killed(point)
        self.points.arm(point)
        if point in STARTING:
            self.kill()
        # So long and no longer: whether it is reached is no claim.
        until = time.monotonic() + REACH_S
        while self.points.killed(point) == before and time.monotonic() < until:
            time.sleep(0.003)
        self.points.arm(point, 0)
        if self.points.killed(point) > before:
            self.when.append(self.points.killed_s(point))
            self.stage.crashes += 1
            self.at_points[point] = self.at_points.get(point, 0) + 1
        elif point not in STARTING:
            self.kill()
            self.plain += 1
        self.stage.await_new_process(0)


def go_on(actors):
    """Until each of them has made a step from here on."""
    before = [(actor, actor.steps) for actor in actors]
    wait_until(lambda: all(actor.steps > steps for actor, steps in before), 20, "a step of every actor")


def objects(pid):
    """How many maps, programs and links of BPF a process has, and descriptors in all."""
    names = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            pass
    return {"bpf": sum("bpf" in name for name in names), "all": len(names)}


def resident_kib(gateway):
    """Of keeper and gateway, with what they share."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", read_text(f"/proc/{pid}/status"))[1])
               for pid in (gateway.pid, gateway.gateway_pid))


@test("crashes at all steps under load: every byte once or a reset, no refused connection, new requests are "
      "answered before the next crash, and nothing is left behind",
      timeout=300, heavy=True, soak=True, needs=("bpf", "root"))
def crashes():
    stage = Stage("auto", config=ALL_LANES)
    need_lane(stage.gateway, "direct")
    stage.lock = threading.Lock()
    reaper, stop = Reaper(stage), threading.Event()
    kinds = (Talk, Talk, Talk, NearTalk, NearTalk, Bulk, Bulk, NearBulk, Events, Events, Events, Body,
             Keeper, Keeper, Keeper, Prober)
    actors = [kind(stage, stop) for kind in kinds]
    prober = actors[-1]
    go_on(actors)
    reaper.kill()
    stage.await_new_process(0)
    go_on(actors)
    keeper, first = stage.gateway.pid, objects(stage.gateway.pid)
    first_kib = resident_kib(stage.gateway)
    points = list(stage.points.fates)
    wanted = SOAK_CRASHES if soak_seconds(0) else len(points) if is_thorough() else CHECK_CRASHES
    # A few at a time go by in a check, others each time.
    turn = random.randrange(len(points))
    while len(reaper.when) <= wanted:
        point = points[turn * 7 % len(points)]
        note(f"crash {len(reaper.when)}: {point}")
        reaper.reap(point)
        turn += 1
        wait_until(lambda: prober.has_answer(reaper.when[-1]), 10, f"an answer behind a crash at {point}")
        go_on(actors)
    stop.set()
    for actor in actors:
        actor.join(20)
        check(not actor.is_alive(), f"{actor.kind}: does not end")
    at_points = reaper.at_points
    note(f"{len(reaper.when)} crashes, {sum(at_points.values())} at {len(at_points)} steps")
    for kind in dict.fromkeys(actor.kind for actor in actors):
        mine = [a for a in actors if a.kind == kind]
        note(f"{kind}: {sum(a.steps for a in mine)} steps, begun {sum(a.begun for a in mine)} times, "
             f"reset {sum(a.resets for a in mine)} times")
    eq([fault for actor in actors for fault in actor.faults][:5], [], "faults")
    wait_until(lambda: objects(keeper)["bpf"] <= first["bpf"], 10, "BPF objects of one life")
    wait_until(lambda: objects(keeper)["all"] <= first["all"] + 8, 20, "the descriptors of one life")
    check(not is_gone(keeper), "the keeper")
    last_kib = resident_kib(stage.gateway)
    note(f"resident: {first_kib} KiB behind the first crash, {last_kib} KiB behind the last")
    # The sanitizer has a heap of its own, which keeps what is freed.
    check(is_asan() or last_kib <= first_kib + 8192, f"{first_kib} KiB became {last_kib}")
