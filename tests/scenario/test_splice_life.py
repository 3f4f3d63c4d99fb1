# SPDX-License-Identifier: Apache-2.0
"""Reload, drain and sudden crash with open gates: as without the kernel lane, and nothing is left."""
import os
import random
import signal
import socket
import threading
import time

from bpf_objects import bpftool, expect_gone, held, left
from hg import *
from pins import pins
from splice import *

TWO = """
config: {splice: {mode: @mode@, minBodyBytes: 65536, adaptive: false}, connectionTerminationDeadline: @most@}
binds:
- port: @port@
  listeners:
  - protocol: TCP
    tcpRoutes:
    - name: tunnel
      backends:
      - host: @origin@
- port: @http@
  listeners:
  - routes:
    - backends:
      - host: @web@
"""


class Flow:
    """Bytes from one side to the other until end(): a pace and pieces that stay in the kernel lane."""

    def __init__(self, source, sink):
        self.arrived, self.error = 0, None
        self._source, self._sink = source.socket, sink.socket
        self._stop = False
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def _write(self):
        offset = 0
        self._source.settimeout(10)
        try:
            while not self._stop:
                self._source.sendall(pattern(40000, offset))
                offset += 40000
                time.sleep(0.004)
            self._source.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _read(self):
        checker = PatternCheck()
        self._sink.settimeout(10)
        try:
            while data := self._sink.recv(1 << 16):
                checker.feed(data)
                self.arrived += len(data)
        except OSError:
            pass
        except Failure as error:
            self.error = error

    def expect_progress(self, what):
        before = self.arrived
        wait_until(lambda: self.arrived > before + 100000, 5, f"bytes to arrive {what}")

    def end(self):
        self._stop = True
        for thread in self._threads:
            thread.join(15)
        check(not self.error, f"wrong bytes: {self.error}")


def running(mode, most, **options):
    """A gateway with a tunnel that moves bytes both ways, one of them in the kernel lane, and a body that
    comes there, too."""
    backend, web = Backend(), Backend()
    gateway = Gateway(TWO, origin=backend, web=web, mode=mode, most=most, workers=1, **options)
    client, upstream = tunnel(gateway, backend)
    reader = gateway.client("http")
    reader.request("GET", "/")
    server = web.accept()
    server.read_request()
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    reader.response_head()
    flows = [Flow(client, upstream), Flow(upstream, client), Flow(server, reader)]
    for flow in flows:
        flow.expect_progress("before anything happens")
    if has_kernel_lane(gateway):
        lanes = [(s["gate_in"], s["gate_out"]) for s in gateway.streams()]
        eq(sum(bool(gate) for pair in lanes for gate in pair), 2, f"directions in the kernel lane: {lanes}")
    return gateway, flows, (client, upstream, reader, server)


def ends(flows, raws):
    for flow in flows:
        flow.end()
    for raw in raws:
        raw.close()


@test("the maximum deadline of a drain ends streams with open gates, not before, in both lanes",
      needs=("bpf", "root", "bpftool"), heavy=True, timeout=60)
def forced_drain():
    def once(mode):
        gateway, flows, raws = running(mode, "3s")
        objects = held(gateway)
        with within(3.0, f"{mode}: the drain"):
            gateway.terminate()
            time.sleep(0.3)
            for flow in flows:
                flow.expect_progress("while draining")
            gateway.expect_exit()
        ends(flows, raws)
        expect_gone(objects)
        eq([record["close_reason"] for record in gateway.log()], ["drain_deadline"] * 2, f"{mode}: reasons")
    for mode in MODES:
        once(mode)


@test("a second signal ends streams with open gates at once, with a log line each, in both lanes",
      needs=("bpf", "root", "bpftool"), heavy=True, timeout=60)
def second_signal():
    def once(mode):
        gateway, flows, raws = running(mode, "300s")
        objects = held(gateway)
        gateway.terminate()
        time.sleep(0.2)
        for flow in flows:
            flow.expect_progress("while draining")
        gateway.terminate()
        gateway.expect_exit(10)  # of 300
        ends(flows, raws)
        expect_gone(objects)
        return sorted(record["close_reason"] for record in gateway.log())
    compare(once)


@test("reloads change new streams only: open gates stay open and lose nothing, in both lanes",
      needs=("bpf",), heavy=True, timeout=60)
def reload():
    def once(mode):
        gateway, flows, raws = running(mode, "60s")
        other = Backend()
        gateway.names["origin"] = other
        # Another backend, another lane for new streams, then no port at all.
        for text in (TWO, TWO.replace("mode: @mode@", "mode: off"), TWO[:TWO.index("- port: @http@")],
                     "binds: []\n"):
            gateway.reload(text)
            for flow in flows:
                flow.expect_progress("after a reload")
            if text != "binds: []\n":
                client = gateway.client()
                upstream = other.accept()
                client.send("new")
                eq(upstream.read(3), b"new", "at the new backend")
                client.close()
                upstream.expect_fin()
                upstream.close()
                eq(gateway.wait_log(lambda r: r["bytes_in"] == "3")["close_reason"], "ok", "a new stream")
        if has_kernel_lane(gateway):
            lanes = [(s["gate_in"], s["gate_out"]) for s in gateway.streams()]
            eq(sum(bool(gate) for pair in lanes for gate in pair), 2, f"still in the kernel lane: {lanes}")
        ends(flows, raws)
        gateway.expect_rest()
        return sorted(record["close_reason"] for record in gateway.wait_log(count=5))
    compare(once)


def restart(gateway):
    """Ready again, with all of its ports at once."""
    gateway.start()
    gateway.await_ready()
    eq(gateway.metrics()("headgate_listen_failures_total"), 0, "ports that were still taken")


@test("killed at random moments under load: nothing of it is left, and the same ports serve again at once",
      needs=("bpf", "root", "bpftool"), heavy=True, timeout=120)
def killed():
    for mode in MODES:
        echo = Origin(tcp_echo=True)
        gateway = Gateway(TUNNEL, origin=echo, mode=mode, workers=2, checked=False)
        load = Load(gateway.port, 16)
        dice = random.Random(time.time_ns())
        for number in range(6):
            before = load.bytes
            wait_until(lambda b=before: load.bytes > b + 300000, 20, f"the load of round {number}")
            if has_kernel_lane(gateway) and number == 0:
                wait_until(lambda: any(up for up, _ in gates(gateway)), 20, "an open gate")
            time.sleep(dice.random() * 0.3)
            objects = held(gateway)
            eq(bool(objects["prog"] and objects["map"]), mode != "off", f"programs and maps: {objects}")
            gateway.signal(signal.SIGKILL)
            gateway.wait(5)
            expect_gone(objects)
            restart(gateway)
            eq(gateway.metrics()("headgate_sockmap_available"), int(mode != "off"), "sockmap_available")
        load.end()
        gateway.kill()


@test("killed over pins at random moments under load: the pins stay, the same ports serve over them at once",
      needs=("bpf", "root", "bpftool"), heavy=True, timeout=90)
def killed_over_pins():
    with pins(slots=1024, workers=2) as made:
        config = TUNNEL.replace("mode: @mode@", f"mode: @mode@, pinDir: {made.directory}")
        gateway = Gateway(config, origin=Origin(tcp_echo=True), mode="require", workers=2, checked=False)
        verdict = bpftool("prog", "show", "pinned", os.path.join(made.directory, "verdict"))["id"]
        names = sorted(os.listdir(made.directory))
        objects = held(gateway)
        private = {"prog": objects["prog"] - {verdict}}
        objects["prog"] = {verdict}
        load = Load(gateway.port, 16)
        dice = random.Random(time.time_ns())
        for number in range(4):
            before = load.bytes
            wait_until(lambda b=before: load.bytes > b + 300000, 20, f"the load of round {number}")
            wait_until(lambda: any(up for up, _ in gates(gateway)), 20, f"an open gate of round {number}")
            time.sleep(dice.random() * 0.3)
            gateway.signal(signal.SIGKILL)
            gateway.wait(5)
            expect_gone(private)
            eq((left(objects), sorted(os.listdir(made.directory))), (objects, names), "objects and pins")
            restart(gateway)
            now = held(gateway)
            eq((now["map"], now["link"]), (objects["map"], objects["link"]), "maps and link that serve now")
            private = {"prog": now["prog"] - {verdict}}
            eq(gateway.metrics()("headgate_sockmap_available"), 1, "sockmap_available")
        load.end()
        eq(gateway.metrics()("headgate_integrity_errors_total"), 0, "streams with integrity errors")
        gateway.stop()
    expect_gone(objects)
