# SPDX-License-Identifier: Apache-2.0
"""Tunnels of the lanes near and direct when their gateway dies: what lies in the queues of these lanes is
gone with it, so they end with a reset, also when the lane has let go of one way, or never took the other."""
from deaths import kill, reset, stop
from hg import *
from same_host import acted, totals, tunnel

LANES = ("near", "direct")


@test("a tunnel in lane near or direct is reset at a death, and counted", needs=("bpf", "root"))
def both_ways():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, lane)
        kill(gateway)
        reset(client)
        reset(upstream)
        eq(gateway.metrics()("headgate_not_adopted_total", reason="tunnel"), 1, f"{lane}: not adopted")


@test("half closed through lane near or direct when the gateway dies: what the other way brings meanwhile is "
      "not lost in silence", needs=("bpf", "root"))
def half_closed():
    for lane in LANES:
        gateway, backend = acted(lane, keeper=True)
        client, upstream = tunnel(gateway, backend, warm=False)

        def rides():
            client.send(b"c")
            eq(upstream.read(1), b"c", "a byte up")
            return totals(gateway)["in"][lane] > 0
        wait_until(rides, 5, f"the way up in lane {lane}")
        client.fin()
        upstream.expect_fin()
        upstream.send(b"u")
        eq(client.read(1), b"u", "a byte down")
        stop(gateway)
        upstream.send(b"z" * 5000)
        kill(gateway)
        reset(client)
        eq(gateway.metrics()("headgate_not_adopted_total", reason="tunnel"), 1, f"{lane}: not adopted")
