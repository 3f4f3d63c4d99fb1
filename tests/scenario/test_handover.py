# SPDX-License-Identifier: Apache-2.0
"""A program that is replaced hands over what it has: streams and idle clients go on in the new one."""
import os
import signal
import sys
import threading
import time

from crashes import NewProcess, is_gone, reset
from hg import *
from hg.framework import tmpdir
from splice import in_background, raise_priority, settle

MODES = ("off", "require")
PIECE = 65536
# The program itself, that is told of a layout of records which is not its own.
OTHER_LAYOUT = 'export HEADGATE_TAKE_OVER_STREAMS="${HEADGATE_TAKE_OVER_STREAMS}0"; exec "$real" "$@"'
CONFIG = """
config: {limits: {connectionsPerClient: 5000}, splice: {mode: @mode@},
  connectionTerminationDeadline: @deadline@}
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


class Stage:
    """A gateway of the test's own copy of the program, which another one may take the place of."""

    def __init__(self, mode="require", deadline="120s", workers=2):
        self.backend, self.acted = Backend(), Backend()
        self.program = os.path.join(tmpdir(), f"program-{id(self)}")
        self.gateway = Gateway(
            CONFIG, origin=self.backend, acted=self.acted, httpbin=Origin(), mode=mode, deadline=deadline,
            workers=workers, keeper=True, checked=False, args=["--restart-limit", "0"],
            wrap=("/bin/sh", "-c", f'cp "$1" {self.program}; shift; exec {self.program} "$@"', "sh"))
        self.keepers = [self.gateway.pid]

    def tunnel(self, is_riding=False):
        client = self.gateway.client()
        upstream = self.backend.accept()
        say(client, upstream)
        if is_riding:
            settle(self.gateway, client, upstream)
        return client, upstream

    def events(self):
        client = self.gateway.client("web").request("GET", "/acted", host="a")
        upstream = self.acted.accept()
        upstream.read_request()
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        eq(client.response_head().status, 200, "status")
        event(client, upstream)
        return client, upstream

    def idle(self):
        client = self.gateway.client("web")
        eq(client.get("/status/204", host="a").status, 204, "status")
        return client

    def upgrade(self):
        """The running program is replaced, and ends, since everything it had goes on in the other."""
        old, before = self.keepers[-1], len(self.gateway.stderr)
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: "upgrade: process" in self.gateway.stderr[before:], 10, "the new program")
        self.keepers.append(NewProcess(self.gateway).pid)

    def await_end(self, timeout=10):
        old = self.keepers[-2]
        if old == self.gateway.pid:
            eq(self.gateway.wait(timeout), 0, "exit status of the old one")
        else:
            wait_until(lambda: is_gone(old) or NewProcess.has_ended(old), timeout, "the end of the old one")

    def await_taken(self, **counts):
        def taken():
            try:
                metrics = self.gateway.metrics()
            except (OSError, Failure):
                return False  # asked of the one that ends
            return all(metrics("headgate_resumed_total", kind=kind) == count
                       for kind, count in counts.items())
        wait_until(taken, 10, f"{counts} taken over")

    def stop(self, *pairs):
        """Ends these, and the program that runs."""
        for pair in pairs:
            for end in pair:
                end.close()
        NewProcess(self.gateway).stop()

    def replace(self, script):
        """What is started next is this, of /bin/sh; $real is the program."""
        path = self.program + ".new"
        os.rename(self.program, self.program + ".real")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nreal={self.program}.real\n{script}\n")
        os.chmod(path, 0o755)
        os.rename(path, self.program)

    def replace_by_play(self, *arguments):
        play = os.path.join(os.path.dirname(__file__), "new_process.py")
        self.replace(" ".join(["exec", sys.executable, play, *map(str, arguments)]))


def say(end, other, text=b"words"):
    for _ in range(2):
        end.send(text)
        eq(other.read(len(text)), text, "what was said")
        end, other = other, end


def event(client, upstream, text=b"an event"):
    upstream.send(b"%x\r\n%s\r\n" % (len(text), text))
    length = int(client.read_line(), 16)
    eq(client.read(length), text, "an event")
    eq(client.read(2), b"\r\n", "the end of a chunk")


@test("streams and idle clients go on in the program that takes over, with their ids and their bytes, and "
      "the old one ends at once; three times", timeout=60)
def handed_over():
    for mode in MODES:
        stage = Stage(mode)
        tunnels = [stage.tunnel(), stage.tunnel(is_riding=mode != "off")]
        half = stage.tunnel()
        half[0].fin()
        half[1].expect_fin()
        events, idle, fresh = stage.events(), stage.idle(), stage.gateway.client("web")
        time.sleep(0.4)
        before = {stream["id"]: stream for stream in stage.gateway.streams()}
        for _ in range(3):
            stage.upgrade()
            stage.await_end()  # of 120 s that it would have, had anything stayed there
            stage.await_taken(tunnel=3, response=1, client=2)
            after = {stream["id"]: stream for stream in stage.gateway.streams()}
            eq(sorted(after), sorted(before), "ids")
            for number, stream in after.items():
                for key in ("route", "client", "endpoint", "bytes_in", "bytes_out", "state"):
                    eq(stream.get(key), before[number].get(key), f"{key}, {mode}")
            for pair in tunnels:
                say(*pair)
            event(*events)
            half[1].send(b"words")
            eq(half[0].read(5), b"words", "to one that has closed its side")
            eq(idle.get("/status/204", host="a").status, 204, "an idle client")
            before = {stream["id"]: stream for stream in stage.gateway.streams()}
        eq(fresh.get("/status/204", host="a").status, 204, "a client that had said nothing")
        half[1].fin()
        half[0].expect_fin()

        def lines():
            return [(line["close_reason"], line["route"]) for line in stage.gateway.log()
                    if line.get("resumed")]
        wait_until(lines, 5, "the line of the stream that has ended")
        eq(lines(), [("ok", "default/tunnel")], "lines of streams that have ended")
        stage.stop(*tunnels, half, events)


class Bulk:
    """Both ends of a tunnel write a pattern, and check what they read. write_s, read_s: a pause behind each
    piece."""

    def __init__(self, pair, write_s=0.0, read_s=0.0):
        self.pair, self.write_s, self.read_s = pair, write_s, read_s
        self.is_over, self.sizes = threading.Event(), {}
        self.writers = [in_background(self._write, end) for end in pair]
        self.readers = [in_background(self._read, end) for end in pair]

    def _write(self, end):
        at = 0
        while not self.is_over.is_set():
            end.send(pattern(PIECE, at))
            at += PIECE
            time.sleep(self.write_s)
        return at

    def _read(self, end):
        got = 0
        while got < self.sizes.get(end, float("inf")):
            data = end.read_some(PIECE)
            check(data, f"an end after {got} bytes")
            check(data == pattern(len(data), got), f"other bytes from {got} on")
            got += len(data)
            time.sleep(self.read_s)

    def finish(self):
        """Returns what each end has written, all of which the other one has read."""
        self.is_over.set()
        sent = [writer.result() for writer in self.writers]
        # The last piece, which a reader may wait for by now.
        for end, other, size in zip(self.pair, self.pair[::-1], sent):
            self.sizes[other] = size + PIECE
            end.send(pattern(PIECE, size))
        for reader in self.readers:
            reader.result()
        return sent


@test("bulk in both directions through five upgrades: every byte once", timeout=120, heavy=True)
def bulk():
    raise_priority()
    for mode in MODES:
        stage = Stage(mode)
        pair = stage.tunnel()
        load = Bulk(pair, write_s=0.005)
        for _ in range(5):
            time.sleep(0.1)
            stage.upgrade()
            stage.await_end(30)
        note(f"{mode}: {load.finish()} bytes")
        stage.await_taken(tunnel=1)
        say(*pair)
        stage.stop(pair)


@test("writers that outrun their readers in both directions: the tunnel is handed over, every byte once",
      timeout=120, heavy=True)
def outrun():
    for mode in MODES:
        stage = Stage(mode)
        pair = stage.tunnel()
        load = Bulk(pair, read_s=0.002)
        for _ in range(2):
            time.sleep(0.5)
            begin = time.monotonic()
            stage.upgrade()
            stage.await_end(30)
            note(f"{mode}: {time.monotonic() - begin:.1f} s")
        note(f"{mode}: {load.finish()} bytes")
        stage.await_taken(tunnel=1)
        stage.stop(pair)


@test("a stream whose reader stands still, and waits for what the other way would bring, goes on in the old "
      "program, and is handed over when nothing is left there", timeout=60)
def stands_still():
    for mode in MODES:
        stage = Stage(mode)
        client, upstream = stage.tunnel()
        other = stage.tunnel()
        sent = client.send_until_blocked(b"x" * 60000)
        stage.upgrade()
        stage.await_taken(tunnel=1)
        time.sleep(1.5)
        # The reader takes nothing before it has this.
        upstream.send(b"go on")
        eq(client.read(5), b"go on", "the other way")
        eq(upstream.read(sent), (b"x" * 60000 * (sent // 60000 + 1))[:sent], "what was held back")
        stage.await_end()
        stage.await_taken(tunnel=2)
        say(client, upstream)
        stage.stop(other, (client, upstream))


@test("a program that is replaced, or told to end, while the one before still drains: nothing is lost",
      timeout=60)
def chain():
    for is_replaced in (True, False):
        stage = Stage(mode="off")
        held, pair, idle = stage.tunnel(), stage.tunnel(), stage.idle()
        sent = held[0].send_until_blocked(b"x" * 60000)
        stage.upgrade()
        stage.await_taken(tunnel=1, client=1)
        if is_replaced:
            stage.upgrade()
            stage.await_end()
            stage.await_taken(tunnel=1, client=1)
            say(*pair)
            eq(idle.get("/status/204", host="a").status, 204, "an idle client")
        else:
            stage.stop(pair)
        check(stage.gateway.is_running(), "the first program has ended")
        eq(len(held[1].read(sent)), sent, "bytes of the first one's tunnel")
        say(*held)
        for end in held:
            end.close()
        if is_replaced:
            stage.stop(pair)
        eq(stage.gateway.wait(10), 0, "exit status of the first one")


@test("after an upgrade the new program's gateway dies: what was handed over goes on once more")
def died_later():
    stage = Stage()
    pair, idle = stage.tunnel(is_riding=True), stage.idle()
    stage.upgrade()
    stage.await_end()
    stage.await_taken(tunnel=1, client=1)
    settle(stage.gateway, *pair)
    time.sleep(0.2)
    new_process = stage.keepers[-1]
    with open(f"/proc/{new_process}/task/{new_process}/children", encoding="utf-8") as file:
        os.kill(int(file.read().split()[0]), signal.SIGKILL)
    stage.await_taken(tunnel=2, client=2)
    say(*pair)
    eq(idle.get("/status/204", host="a").status, 204, "an idle client")
    stage.stop(pair)


@test("hundreds of tunnels are handed over, each with its own ends; thousands in `make thorough`", timeout=90,
      heavy=True)
def many():
    count = 1500 if is_thorough() else 500
    stage = Stage(mode="off")
    pairs = [stage.tunnel() for _ in range(count)]
    os.kill(stage.gateway.pid, signal.SIGUSR2)
    wait_until(lambda: " serves, this one drains" in stage.gateway.stderr, 20, "the new program")
    wait_until(lambda: NewProcess.has_ended(stage.gateway.pid), 20, "the end of the old program")
    stage.await_taken(tunnel=count)
    for pair in pairs:
        say(*pair)
    stage.stop(*pairs)


@test("a program of another version, or with other records, gets the ports alone: the old one says so, and "
      "drains")
def other_versions():
    for other in ("silent", OTHER_LAYOUT):
        stage = Stage()
        pair, events = stage.tunnel(), stage.events()
        if other == "silent":
            stage.replace_by_play(other)
        else:
            stage.replace(other)
        stage.upgrade()
        wait_until(lambda: "keeps other records" in stage.gateway.stderr, 10, "the word of it")
        if other == OTHER_LAYOUT:
            eq(stage.gateway.client("web").get("/status/204", host="a").status, 204, "a new client")
            eq(stage.gateway.metrics()("headgate_resumed_total", kind="tunnel"), 0, "tunnels in the new one")
        say(*pair)
        event(*events)
        for end in (*pair, *events):
            end.close()
        stage.await_end()
        if other == OTHER_LAYOUT:
            stage.stop()


@test("a stream whose route the configuration has no more stays in the old program until it ends")
def no_route():
    stage = Stage()
    pair, events = stage.tunnel(), stage.events()
    stage.gateway.reload(CONFIG.replace("name: tunnel", "name: another"))
    stage.upgrade()
    stage.await_taken(response=1)
    time.sleep(0.5)
    say(*pair)
    event(*events)
    check(not NewProcess.has_ended(stage.gateway.pid), "the old program has ended")
    for end in pair:
        end.close()
    stage.await_end()
    event(*events)
    stage.stop(events)


@test("a new program that dies while it takes over: what was on its way is reset at both ends, everything "
      "else goes on in the old one", timeout=60)
def dies():
    stage = Stage()
    pairs = [stage.tunnel() for _ in range(600)]
    stage.replace_by_play("die", 10)
    stage.upgrade()
    wait_until(lambda: "takes no more connections" in stage.gateway.stderr, 20, "the end of the new program")
    time.sleep(0.5)
    lost = 0
    for pair in pairs:
        try:
            say(*pair)
        except OSError as error:
            lost += 1
            check(isinstance(error, (ConnectionResetError, BrokenPipeError)), f"ended by {error}")
            reset(pair[1])
        for end in pair:
            end.close()
    note(f"{lost} of {len(pairs)} were on their way")
    check(10 <= lost < len(pairs), f"{lost} streams were reset")
    stage.await_end()


@test("idle clients that wait for a new program which dies are closed, as a drain closes them", timeout=60)
def idle_after_failure():
    stage = Stage()
    pairs = [stage.tunnel() for _ in range(600)]
    idle, fresh = [stage.idle() for _ in range(5)], stage.gateway.client("web")
    # It takes some, then nothing until the drain closes what is idle: the channel is full before their turn.
    stage.replace_by_play("die", 10, 4)
    stage.upgrade()
    wait_until(lambda: "takes no more connections" in stage.gateway.stderr, 20, "the end of the new program")
    for client in (*idle, fresh):
        client.expect_fin()
    for pair in pairs:
        for end in pair:
            end.close()
    stage.await_end()


@test("the new program's gateway dies while it takes over: the next one takes the rest, no stream is lost",
      timeout=60)
def dies_between():
    stage = Stage(mode="off")
    pairs, idle = [stage.tunnel() for _ in range(400)], [stage.idle() for _ in range(20)]
    old = stage.gateway.gateway_pid
    os.kill(old, signal.SIGSTOP)
    stage.upgrade()
    wait_until(lambda: " serves, this one drains" in stage.gateway.stderr, 20, "the new program")
    new_process = stage.keepers[-1]
    with open(f"/proc/{new_process}/task/{new_process}/children", encoding="utf-8") as file:
        new = int(file.read().split()[0])
    os.kill(new, signal.SIGSTOP)
    os.kill(old, signal.SIGCONT)
    time.sleep(0.3)  # until the channel is full
    os.kill(new, signal.SIGKILL)
    stage.await_end()
    stage.await_taken(tunnel=len(pairs), client=len(idle))
    for pair in pairs:
        say(*pair)
    for client in idle:
        eq(client.get("/status/204", host="a").status, 204, "an idle client")
    stage.stop(*pairs)


@test("an upgrade under load on kept connections: no request fails, and their connections go on", timeout=60,
      heavy=True)
def under_load():
    stage = Stage()
    stop, faults, count, opened = threading.Event(), [], [0], [0]

    def load():
        client = stage.gateway.client("web")
        opened[0] += 1
        while not stop.is_set():
            try:
                eq(client.get("/status/204", host="a").status, 204, "status")
                count[0] += 1
            except (OSError, Failure) as error:
                faults.append(str(error))
                client = stage.gateway.client("web")
                opened[0] += 1
    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        stage.upgrade()
        stage.await_end()
    stop.set()
    for thread in threads:
        thread.join()
    note(f"{count[0]} requests over {opened[0]} connections")
    eq(faults[:3], [], "failed requests")
    eq(opened[0], 8, "connections")
    stage.stop()


@test("headgate upgrade: the only gateway of the host, or the one that is told; says what came of it")
def command():
    stage = Stage()
    pair = stage.tunnel()
    keeper = stage.gateway.pid

    def upgrade(*arguments):
        return run([stage.program, "upgrade", *arguments])
    for wrong in (["x"], ["1"], ["--now"], [str(keeper), "1"]):
        eq(upgrade(*wrong)[0], 2, f"status of {wrong}")
    second = Stage()
    status, _, words = upgrade()
    eq(status, 1, f"status: {words}")
    check("several gateways run" in words and f" {keeper}" in words, f"which one: {words}")
    second.gateway.terminate()
    eq(second.gateway.wait(10), 0, "exit status of another one")
    task = in_background(lambda: upgrade(str(keeper)))
    eq(stage.gateway.wait(10), 0, "exit status")
    eq(task.result()[0], 0, f"status: {task.result()}")
    say(*pair)
    stage.gateway.write("config.yaml", "binds: [{port: nonsense}]\n")
    new_process = NewProcess(stage.gateway)
    failed = upgrade(str(new_process.pid))
    eq(failed[0], 1, f"status: {failed}")
    check("keeps serving" in failed[2], f"no word of it: {failed}")
    say(*pair)
    for end in pair:
        end.close()
    new_process.stop()
