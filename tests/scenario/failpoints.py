# SPDX-License-Identifier: Apache-2.0
"""Steps at which a gateway can be made to die (user/base/failpoints.def), for plays that arm them."""
import mmap
import os
import re
import struct

from hg import tmpdir
from hg.framework import repository_root

PROGRAM = "failpoint/headgate"
ROW = struct.Struct("=32sQQQQ")  # struct failpoint_row
PASSED, ARMED, KILLED, KILLED_NS = range(32, ROW.size, 8)


def table():
    """{name: fate}, in the order of the rows."""
    with open(os.path.join(repository_root(), "user/base/failpoints.def"), encoding="utf-8") as file:
        return dict(re.findall(r'^FAILPOINT\(\w+, "([^"]+)", "([^"]+)",', file.read(), re.M))


class Failpoints:
    """Shared with the gateways of one keeper: Gateway(…, program=PROGRAM, env=failpoints.env)."""

    def __init__(self):
        self.fates = table()
        self._places = {name: number * ROW.size for number, name in enumerate(self.fates)}
        path = os.path.join(tmpdir(), "failpoints")
        self.env = {"HEADGATE_FAILPOINTS": path}
        with open(path, "wb+") as file:
            file.truncate(len(self.fates) * ROW.size)
            self._memory = mmap.mmap(file.fileno(), 0)

    def _get(self, name, field):
        return struct.unpack_from("=Q", self._memory, self._places[name] + field)[0]

    def arm(self, name, count=1):
        """The count-th passing from now on kills, once; 0: none."""
        struct.pack_into("=Q", self._memory, self._places[name] + ARMED, count)

    def is_armed(self, name):
        return self._get(name, ARMED) != 0

    def passed(self, name):
        return self._get(name, PASSED)

    def killed(self, name):
        return self._get(name, KILLED)

    def killed_s(self, name):
        """When it killed last, as time.monotonic()."""
        return self._get(name, KILLED_NS) / 1e9
