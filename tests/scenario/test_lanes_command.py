# SPDX-License-Identifier: Apache-2.0
"""`headgate lanes` and /lanes: which programs of this host bypass TCP, which not and why."""
import json
import sys

from bypass import NEEDS, opened
from hg import *
from hg.framework import binary


@test("headgate lanes names the programs of this host that bypass TCP, and one that waits in recv() with the "
      "reason, as the log does", needs=NEEDS)
def lanes_command():
    gateway, _ = opened("bypass")
    client = gateway.client()
    eq(client.get("/bytes/10").status, 200, "an answer")
    waiting = Process([sys.executable, "-c", "import socket, sys; s = socket.create_connection(('127.0.0.1', "
                       f"{gateway.port})); s.recv(1)"], name="waits")

    def shown():
        status, out, error = run([binary("headgate"), "lanes", "--json", "--admin",
                                  f"localhost:{gateway.admin_port}"])
        eq((status, error), (0, ""), "headgate lanes")
        return {(row["side"], row["lane"]): row for row in json.loads(out)["programs"]}
    rows = wait_until(lambda: (found := shown()) and ("client", "tcp") in found and found, 10, "three rows")
    eq(rows["backend", "bypass"]["program"], "httpbin", "the backend")
    eq(rows["client", "bypass"]["connections"], 1, "the client")
    blocked = rows["client", "tcp"]
    eq((blocked["reason"], blocked["connections"]), ("blocking", 1), f"what waits: {blocked}")
    with open(f"/proc/{waiting.pid}/comm", encoding="ascii") as comm:
        name = comm.read().strip()
    eq(blocked["program"], name, "its name")
    wait_until(lambda: f"(program {name}) goes through TCP" in gateway.stderr, 10, "the log")
    wait_until(lambda: gateway.metrics()("headgate_bypass_left_total", reason="blocking") == 1, 10,
               "the metric")
    client.close()
    waiting.kill()


@test("headgate lanes without these lanes says so, and without a gateway what to do")
def no_lanes():
    gateway = Gateway("binds: [{port: @port@, listeners: [{routes: [{backends: [{host: '127.0.0.1:1'}]}]}]}]")
    status, out, _ = run([binary("headgate"), "lanes"], env={"ADMIN_ADDR": f"localhost:{gateway.admin_port}"})
    eq(status, 0, "status")
    check("unavailable: " in out and "programs: []" in out, out)
    status, out, error = run([binary("headgate"), "lanes", "--admin", f"localhost:{free_port()}"])
    check(status != 0 and "no process listens there" in error and not out, f"{status} {error}")
    status, _, error = run([binary("headgate"), "lanes", "more"])
    check(status == 2 and "usage" in error.lower(), f"{status} {error}")
