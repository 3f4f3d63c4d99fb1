# SPDX-License-Identifier: Apache-2.0
"""Programs, maps and links of the kernel: which ones a process holds, and which of them are still there."""
import json
import os
import re

from hg import *


def bpftool(*arguments):
    status, out, err = run(["bpftool", "-j", *arguments])
    eq(status, 0, f"bpftool {' '.join(map(str, arguments))}: {err or out}")
    return json.loads(out or "[]")


def held(gateway):
    """{"prog": ids, "map": ids, "link": ids} of the BPF objects that the gateway has descriptors of."""
    found = {"prog": set(), "map": set(), "link": set()}
    for fd in os.listdir(f"/proc/{gateway.pid}/fdinfo"):
        try:
            with open(f"/proc/{gateway.pid}/fdinfo/{fd}") as file:
                info = file.read()
        except OSError:
            continue
        for kind, ids in found.items():
            ids.update(int(number) for number in re.findall(rf"(?m)^{kind}_id:\s*(\d+)$", info))
    return found


def left(objects):
    """Those of them that the kernel still has."""
    return {kind: now for kind, ids in objects.items()
            if (now := ids & {entry["id"] for entry in bpftool(kind, "show")})}


def expect_gone(objects):
    wait_until(lambda: not left(objects), 5, f"the end of {objects}")
