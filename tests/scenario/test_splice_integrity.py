# SPDX-License-Identifier: Apache-2.0
"""Bytes lost or doubled in the kernel lane are never delivered as if nothing had happened. What no sound
kernel does is played by changing one number of the running record: the program, or the proofs of user space,
must find the difference, and both connections of the stream must end with a reset."""

from hg import *
from pins import *
from splice import *

NEEDS = ("bpf", "root", "bpftool")


def with_pins(config, held):
    return config.replace("splice: {mode: @mode@", f"splice: {{mode: @mode@, pinDir: {held.directory}")


def expect_integrity_error(gateway, reason, count=1):
    """The log, the metrics and the program's own words agree."""
    eq(gateway.wait_log()["close_reason"], "integrity_error", "close_reason")
    metrics = gateway.metrics()
    eq(metrics("headgate_integrity_errors_total"), count, "integrity_errors_total")
    eq(metrics("headgate_stream_end_total", reason="integrity_error"), count, "stream_end_total")
    check(closings(gateway).get(reason), f"{reason} in sockmap_closed_total: {closings(gateway)}")


def kept(raw):
    raw.send("x")


def ended(raw):
    raw.fin()


# What is changed, by how much, what the source of the direction does then, who finds it.
WAYS = (
    ("kernel.next_seq", -1, kept, "integrity_gap"),
    ("kernel.next_seq", +9, kept, "integrity_overlap"),
    ("kernel.redirected_bytes", -1, ended, "integrity_written"),
    ("kernel.received_base_bytes", +1, ended, "integrity_received"),
    ("kernel.redirected_bytes", +1, ended, "integrity_stuck"),
)
END_S = 15


@test("a tunnel whose bytes do not add up is reset on both sides, whatever finds it, and others go on",
      needs=NEEDS, waits=True, timeout=90)
def tunnels():
    for number, (field, change, act, reason) in enumerate(WAYS):
        for is_client in (True, False) if number == 0 else (number % 2 == 0,):
            with pins(slots=4) as held:
                gateway, backend = acted("require", with_pins(TUNNEL, held))
                way = "in" if is_client else "out"
                other, other_up = tunnel(gateway, backend)
                before = held.sources()
                client = gateway.client()
                upstream = backend.accept()
                settle(gateway, client, upstream, way)
                one, far = (client, upstream) if is_client else (upstream, client)
                far.send(b"x" * 100)
                eq(one.read(100), b"x" * 100, "through the lane")
                before.update(held.sources())
                one.send(b"x" * 100)
                eq(far.read(100), b"x" * 100, "through the lane")
                slot = held.source_that_moved(before)
                held.add(slot, field, change)
                act(one)
                eq(far.expect_end(END_S)[0], "rst", f"{reason}: the far side")
                eq(one.expect_end(END_S)[0], "rst", f"{reason}: the near side")
                expect_integrity_error(gateway, reason)
                other.send("still")
                eq(other_up.read(5), b"still", "another tunnel")
                other.close()
                other_up.expect_end()
                other_up.close()
                gateway.stop()


@test("a body in the kernel that does not add up resets client and backend before it could look complete",
      needs=NEEDS, heavy=True)
def body():
    with pins() as held:
        gateway, backend = acted("require", with_pins(HTTP, held))
        client = gateway.client()
        client.request("GET", "/")
        upstream = backend.accept()
        upstream.read_request()
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
        upstream.send(pattern(200000))
        head = client.response_head()
        eq(head.status, 200, "status")
        verify(client.read(200000), 200000)
        held.add(held.source_that_moved({}), "kernel.next_seq", -1)
        upstream.send(pattern(100000, 200000))
        eq(client.expect_end(END_S)[0], "rst", "the client")
        eq(upstream.expect_end(END_S)[0], "rst", "the backend")
        expect_integrity_error(gateway, "integrity_gap")
