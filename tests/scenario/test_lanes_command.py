# SPDX-License-Identifier: Apache-2.0
"""`headgate lanes` and /lanes: which programs of this host bypass TCP, which not and why."""
import json
import os
import sys

from bypass import NEEDS, opened
from hg import *
from hg.framework import binary


# One client blocks from the beginning; one does after connect(), which is known from its first answer on.
WAITING = """
import socket
def connected(**options):
    made = socket.create_connection(("127.0.0.1", %d), **options)
    made.settimeout(None)
    return made
def ask(client):
    client.sendall(b"GET /bytes/10 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    client.recv(4096)
early = connected()
late = connected(timeout=30)
ask(late)
ask(late)
again = connected(timeout=30)
ask(again)
early.recv(1)
"""


@test("headgate lanes names the programs of this host that bypass TCP, and one that waits in recv() with the "
      "reason, as the log does", needs=(*NEEDS, "curl"))
def lanes_command():
    gateway, _ = opened("bypass")
    client = gateway.client()
    eq(client.get("/bytes/10").status, 200, "an answer")
    waiting = Process([sys.executable, "-c", WAITING % gateway.port], name="waits")

    def shown():
        status, out, error = run([binary("headgate"), "lanes", "--json", "--admin",
                                  f"localhost:{gateway.admin_port}"])
        eq((status, error), (0, ""), "headgate lanes")
        return {(row["side"], row["lane"]): row for row in json.loads(out)["programs"]}
    rows = wait_until(lambda: (found := shown()) and found.get(("client", "tcp"), {}).get("connections") == 3
                      and found, 30, "three connections left to TCP")
    eq(rows["backend", "bypass"]["program"], "httpbin", "the backend")
    eq(rows["client", "bypass"]["connections"], 1, "the client")
    blocked = rows["client", "tcp"]
    eq(blocked["reason"], "blocking", f"what waits: {blocked}")
    with open(f"/proc/{waiting.pid}/comm", encoding="ascii") as comm:
        name = comm.read().strip()
    eq(blocked["program"], name, "its name")
    wait_until(lambda: f"(program {name}) goes through TCP" in gateway.stderr, 10, "the log")
    # Each row is that of a socket, which the gateway may only be about to accept.
    wait_until(lambda: gateway.metrics()("headgate_bypass_left_total", reason="blocking") == 3, 10,
               "the metric")
    waiting.kill()
    client.close()
    curl = ["curl", "-sS", "-o", os.devnull, f"http://127.0.0.1:{gateway.port}/bytes/20"]
    eq(run(curl), (0, "", ""), "another executable")
    wait_until(lambda: [record["bypass"] for record in gateway.log() if "/bytes/20" in str(record)] ==
               ["client/backend"], 10, "it bypasses TCP")


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
