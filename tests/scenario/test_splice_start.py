# SPDX-License-Identifier: Apache-2.0
"""Where the kernel lane comes from, what it needs, and what is left of it afterwards."""
import os
import re
import signal
import time

from hg import *
from hg.framework import binary, repository_root
from bpf_objects import bpftool, expect_gone, held
from pins import pins
from sockets import cookie_of, duplicate_of
from splice import *

NOBODY = 65534


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@test("a clean stop leaves no program, map or link of ours",
      needs=("bpf", "root", "bpftool"))
def stopped():
    gateway, backend = acted("require")
    objects = held(gateway)
    client, upstream = tunnel(gateway, backend)
    client.fin()
    upstream.expect_fin()
    upstream.fin()
    client.expect_fin()
    gateway.stop()
    expect_gone(objects)


@test("after its start the gateway holds no capability but that for low ports, and can gain none",
      needs=("bpf", "root"))
def dropped():
    gateway, backend = acted("require")
    client, upstream = tunnel(gateway, backend)
    for task in os.listdir(f"/proc/{gateway.pid}/task"):
        status = status_of(f"{gateway.pid}/task/{task}")
        for name in ("CapPrm", "CapEff", "CapBnd"):
            eq(int(status[name], 16) & ~(1 << 10), 0, f"{name} of thread {status['Name']}")
        eq((int(status["CapInh"], 16), int(status["CapAmb"], 16)), (0, 0), "CapInh, CapAmb")
        eq(status["NoNewPrivs"], "1", "NoNewPrivs")
    check(int(status_of(gateway.pid)["CapPrm"], 16) == 1 << 10, "CAP_NET_BIND_SERVICE stays")


def unprivileged(mode, **options):
    """The gateway as nobody, with a configuration that it can read."""
    backend = Backend()
    gateway = Gateway(TUNNEL, origin=backend, mode=mode, workers=1, uid=NOBODY, **options)
    return gateway, backend


@test("without privileges: require refuses to start with one clear line, auto copies and says why",
      needs=("bpf", "root"))
def refused():
    gateway, _ = unprivileged("require", ready=False, checked=False)
    gateway.expect_exit(5, status=1)
    line = [line for line in gateway.stderr.split("\n") if "config.splice.mode is require" in line]
    eq(len(line), 1, f"lines that say why in {gateway.stderr!r}")
    check("CAP_BPF" in line[0] and "headgate bpf load" in line[0],
          f"what is missing and how to get it: {line[0]}")
    gateway, backend = unprivileged("auto")
    lines = [line for line in gateway.stderr.split("\n") if "no kernel lane" in line]
    eq(len(lines), 1, f"lines in {gateway.stderr!r}")
    metrics = gateway.metrics()
    eq(metrics("headgate_sockmap_available"), 0, "headgate_sockmap_available")
    client = gateway.client()
    upstream = backend.accept()
    client.send("bytes")
    eq(upstream.read(5), b"bytes", "through the copy lane")


@test("a kernel in which the self-test fails is not trusted: require refuses to start, auto copies, and "
      "both say why",
      needs=("bpf", "root", "bpftool"), timeout=60)
def untrusted():
    with pins() as held_pins:
        config = TUNNEL.replace("mode: @mode@", f"mode: @mode@, pinDir: {held_pins.directory}")
        # The only attachment of the program goes with it: nothing is redirected any more.
        os.unlink(os.path.join(held_pins.directory, "link"))
        gateway, _ = acted("require", config, ready=False, checked=False)
        gateway.expect_exit(10, status=1)
        line = [line for line in gateway.stderr.split("\n") if "config.splice.mode is require" in line]
        eq(len(line), 1, f"lines that say why in {gateway.stderr!r}")
        check("self-test: bytes got stuck" in line[0], line[0])
        gateway, backend = acted("auto", config)
        lines = [line for line in gateway.stderr.split("\n") if "no kernel lane" in line]
        eq(len(lines), 1, f"lines in {gateway.stderr!r}")
        check("self-test: bytes got stuck" in lines[0], lines[0])
        metrics = gateway.metrics()
        eq(metrics("headgate_sockmap_selftest_failed"), 1, "headgate_sockmap_selftest_failed")
        eq(metrics("headgate_sockmap_available"), 0, "headgate_sockmap_available")
        client, upstream = tunnel(gateway, backend, warm=False)
        client.send(pattern(100000))
        verify(upstream.read(100000), 100000)
        client.fin()
        upstream.expect_fin()
        upstream.fin()
        client.expect_fin()
        check("sockmap" not in gateway.wait_log()["lane"], "bytes by the kernel")


@test("mode off loads nothing and says nothing", needs=("bpf", "root", "bpftool"))
def off():
    gateway, _ = acted("off")
    eq(held(gateway), {"prog": set(), "map": set(), "link": set()}, "programs, maps, links")
    eq(gateway.metrics()("headgate_sockmap_available"), 0, "headgate_sockmap_available")
    check("kernel lane" not in gateway.stderr, gateway.stderr)


def status_lines(*arguments):
    status, out, err = run([binary("headgate"), "bpf", "status", *arguments])
    eq((status, err), (0, ""), "bpf status")
    check(out.startswith("kernel: sockmap lane allowed"), f"which lanes this kernel may use: {out}")
    return out


@test("bpf status shows the program, its attachment and its maps while a gateway runs, and none afterwards",
      needs=("bpf", "root", "bpftool"))
def status_of_host():
    gateway, _ = acted("require")
    objects = held(gateway)
    shown = status_lines()
    link, = objects["link"]
    verdict = bpftool("link", "show", "id", link)["prog_id"]
    check(re.search(rf"(?m)^program {verdict} sockmap_verdict: ", shown), f"program {verdict}: {shown}")
    maps = {entry["name"]: entry for entry in bpftool("map", "show") if entry["id"] in objects["map"]}
    line = f"attached by link {link} to map {maps['sources']['id']}\n"
    check(line in shown, f"{line}: {shown}")
    for name in ("gates", "gate_of", "targets", "workers"):
        line = f"map {maps[name]['id']} {name}: {maps[name]['max_entries']} entries"
        check(line in shown, f"{line}: {shown}")
    gateway.stop()
    expect_gone(objects)
    check(f"program {verdict} " not in status_lines(), "a program that is gone")


@test("nobody runs the kernel lane from pins that root made once; unload removes them",
      needs=("bpf", "root", "bpftool"), timeout=40)
def pinned():
    with pins(slots=64, workers=2, user="nobody") as made:
        objects = play_pinned(made.directory)
    expect_gone(objects)


def play_pinned(directory):
    shown = status_lines("--pin", directory)
    check(f"{directory}: pinned" in shown and "0 of 64 taken" in shown and "2 in total" in shown, shown)
    config = TUNNEL.replace("mode: @mode@", f"mode: @mode@, pinDir: {directory}")
    backend = Backend()
    for _ in range(2):
        gateway = Gateway(config, origin=backend, mode="require", workers=2, uid=NOBODY)
        eq(int(status_of(gateway.pid)["CapPrm"], 16), 0, "capabilities")
        objects = held(gateway)
        client, upstream = tunnel(gateway, backend)
        client.send(pattern(200000))
        verify(upstream.read(200000), 200000)
        shown = status_lines("--pin", directory)
        check("2 of 64 taken" in shown and f"process {gateway.pid}" in shown, shown)
        client.fin()
        upstream.expect_fin()
        upstream.fin()
        client.expect_fin()
        expect_lane(gateway, gateway.wait_log())
        gateway.stop()
    # Killed in the middle: the next one takes over ring and slots.
    gateway = Gateway(config, origin=backend, mode="require", workers=2, uid=NOBODY, checked=False)
    client, upstream = tunnel(gateway, backend)
    gateway.signal(signal.SIGKILL)
    gateway.wait(5)
    gateway = Gateway(config, origin=backend, mode="require", workers=2, uid=NOBODY)
    client, upstream = tunnel(gateway, backend)
    client.close()
    upstream.expect_end()
    upstream.close()
    gateway.stop()
    status, out, err = run([binary("headgate"), "bpf", "unload", "--pin", directory])
    eq(status, 0, f"bpf unload: {out} {err}")
    check(not os.path.exists(directory), "the directory is gone")
    return objects


def table_of_reasons():
    """The words of the table, in order."""
    with open(os.path.join(repository_root(), "bpf", "sockmap_reasons.def"), encoding="utf-8") as file:
        return re.findall(r'^\w+_REASON\(\w+, "(\w+)", [01],\s+"[^"]+"\)', file.read(), re.M)


@test("every reason of the table has its counter from the start", needs=("bpf",))
def reasons():
    words = table_of_reasons()
    check(len(words) > 20 and words[0] == "none", f"rows read: {words}")
    gateway, _ = acted("require")
    samples = gateway.metrics().families["headgate_sockmap_closed_total"].samples
    eq([labels["reason"] for _, _, labels, _ in samples], words[1:], "reasons in sockmap_closed_total")


@test("the numbers of the lane: bytes by lane and direction, closings by reason, slots, self-test",
      needs=("bpf",))
def numbers():
    raise_priority()
    gateway, backend = acted("require")
    client, upstream = tunnel(gateway, backend)
    for _ in range(5):
        for one, other in ((client, upstream), (upstream, client)):
            one.send(b"x" * 1000)
            other.read(1000)
        time.sleep(0.02)
    def counted():
        return gateway.metrics()("headgate_spliced_bytes_total", lane="sockmap", direction="in") >= 5000
    wait_until(counted, 5, "bytes of a stream that still runs")
    metrics = gateway.metrics()
    eq(metrics("headgate_sockmap_available"), 1, "sockmap_available")
    eq(metrics("headgate_sockmap_selftest_failed"), 0, "sockmap_selftest_failed")
    # Of seconds, and no other unit.
    check(0 < metrics("headgate_sockmap_selftest_seconds") < 100, "sockmap_selftest_seconds")
    eq(metrics("headgate_sockmap_slots_used"), 2, "sockmap_slots_used")
    check(metrics("headgate_sockmap_slots_limit") >= 1024, "sockmap_slots_limit")
    eq(metrics("headgate_sockmap_open_now"), 1, "sockmap_open_now")
    eq(metrics("headgate_integrity_errors_total"), 0, "integrity_errors_total")
    stream = gateway.streams()[0]
    eq((stream["gate_in"], stream["gate_out"]), ("open", None), "gates in /streams")
    # A backend that does not read while a lot comes: the gate towards it closes, and the list says why.
    client.send_until_blocked(pattern(1 << 20), limit=64 << 20)
    wait_until(lambda: gateway.streams()[0]["pauses_in"] > 0, 5, "a closed gate")
    check(gateway.streams()[0]["gate_reason_in"] in table_of_reasons()[1:], f"{gateway.streams()[0]}")
    client.rst()
    upstream.expect_end()
    wait_until(lambda: gateway.metrics()("headgate_sockmap_slots_used") == 0, 5, "free slots")
    eq(gateway.metrics()("headgate_sockmap_open_now"), 0, "sockmap_open_now")


def credit_of(gateway):
    return gateway.metrics()("headgate_sockmap_credit_reserved_bytes")


@test("when maxTotalCredit is used up the next body rides the kernel lane without, and all of it comes back",
      needs=("bpf",))
def credit():
    config = HTTP.replace("mode: @mode@", "mode: @mode@, creditBytes: 65536, maxTotalCredit: 100000")
    gateway, backend = acted("require", config)
    eq(credit_of(gateway), 0, "reserved at first")
    streams = []
    for number in range(3):
        client = gateway.client()
        client.request("GET", f"/{number}")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", pattern(1000))
        wait_until(lambda: all(down for _, down in gates(gateway)), 5, "the kernel lane")
        eq(credit_of(gateway), 65536, f"reserved with {number + 1} bodies")
        streams.append((client, upstream))
    for client, upstream in reversed(streams):
        task = in_background(upstream.send, pattern(299000, 1000))
        verify(client.response().body, 300000)
        task.result()
    wait_until(lambda: credit_of(gateway) == 0, 5, "the return of the credit")
    for record in gateway.wait_log(count=3):
        eq((record["close_reason"], record["bytes_out"]), ("ok", "300000"), record.line)


@test("the maps hold the two sockets of a tunnel and no other: not its far ends, none of another process",
      needs=("bpf", "root", "bpftool"))
def no_other_socket():
    with pins(slots=8) as made:
        config = TUNNEL.replace("mode: @mode@", f"mode: @mode@, pinDir: {made.directory}")
        gateway, backend = acted("require", config)
        # Of the same program and of none, before and after the tunnel.
        other, other_backend = acted("off")
        strangers = [tunnel(other, other_backend, warm=False)]
        client, upstream = tunnel(gateway, backend)
        strangers.append(tunnel(other, other_backend, warm=False))
        listener = Backend()
        near = Raw(listener.port)
        strangers.append((near, listener.accept()))
        mine = set()
        for at_peer in (lambda local, peer: peer[1] == client.local_port,
                        lambda local, peer: peer[1] == backend.port):
            with duplicate_of(gateway.pid, at_peer) as copy:
                mine.add(cookie_of(copy))
        eq(len(mine), 2, "sockets of the tunnel")
        for one, far in ((client, upstream), *strangers):
            for a, b in ((one, far), (far, one)):
                a.send(pattern(20000))
                eq(b.read(20000), pattern(20000), "bytes")
        gateway.metrics()
        held = made.cookies()
        eq(held["targets"], mine, "sockets in the maps")
        # One of them, the client's, is the source of the way that rides the lane.
        eq((len(held["sources"]), held["gate_of"]), (1, held["sources"]), f"sources: {held}")
        check(held["sources"] < mine, f"sources: {held}, sockets of the tunnel: {mine}")
        client.close()
        upstream.expect_end()
        upstream.close()
        wait_until(lambda: not gateway.streams(), 5, "the end of the tunnel")
        eq(made.cookies(), {name: set() for name in ("sources", "targets", "gate_of")}, "sockets afterwards")
        gateway.stop()
