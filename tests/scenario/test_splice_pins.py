# SPDX-License-Identifier: Apache-2.0
"""Gateways that share the pins of one load."""

from hg import *
from pins import pins
from splice import *


def over(loaded, mode, **options):
    """(gateway, backend) with two workers over these pins."""
    backend = Backend()
    config = TUNNEL.replace("mode: @mode@", f"mode: @mode@, pinDir: {loaded.directory}")
    return Gateway(config, origin=backend, mode=mode, workers=2, **options), backend


@test("a worker that finds no free ring says so and copies; under require the gateway does not start",
      needs=("bpf", "root", "bpftool"), heavy=True)
def shortage():
    with pins(slots=16, workers=3) as loaded:
        over(loaded, "require")
        gateway, backend = over(loaded, "auto")
        lines = [line for line in gateway.stderr.split("\n") if "has no kernel lane" in line]
        eq(len(lines), 1, f"workers that say why in {gateway.stderr!r}")
        check("worker 1 " in lines[0] and "--workers N" in lines[0], f"who, and what to do: {lines[0]}")
        for _ in range(8):
            client, upstream = tunnel(gateway, backend, warm=False)
            client.send("bytes")
            eq(upstream.read(5), b"bytes", "through either worker")
            client.close()
            upstream.expect_end()
            upstream.close()
        gateway.stop()
        gateway, _ = over(loaded, "require", ready=False, checked=False)
        gateway.expect_exit(5, status=1)
        lines = [line for line in gateway.stderr.split("\n") if "config.splice.mode is require" in line]
        eq(len(lines), 1, f"lines that say why in {gateway.stderr!r}")
        check("--workers N" in lines[0], f"what to do: {lines[0]}")
