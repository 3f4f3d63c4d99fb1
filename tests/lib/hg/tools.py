# SPDX-License-Identifier: Apache-2.0
"""External programs that generate load or check results."""
import re

from hg.framework import Failure, need
from hg.http1 import pairs_of
from hg.process import run


class WrkResult:
    def __init__(self, output):
        self.output = output
        self.requests = int(self._find(r"(\d+) requests in"))
        self.per_second = float(self._find(r"Requests/sec:\s+([\d.]+)"))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
        self.socket_errors = sum(map(int, errors.groups())) if errors else 0
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        self.bad_status = int(bad.group(1)) if bad else 0

    def _find(self, pattern):
        match = re.search(pattern, self.output)
        if not match:
            raise Failure(f"wrk said: {self.output}")
        return match.group(1)

    @property
    def errors(self):
        return self.socket_errors + self.bad_status


def wrk(target, path="/get", seconds=2, connections=16, threads=1, headers=(), netns=None):
    """Runs wrk against a port of 127.0.0.1 or a host:port."""
    need("wrk")
    host = f"127.0.0.1:{target}" if isinstance(target, int) else target
    argv = ["wrk", "-t", threads, "-c", connections, "-d", f"{seconds}s", "--timeout", "10s"]
    for name, value in pairs_of(headers):
        argv += ["-H", f"{name}: {value}"]
    status, out, error = run([*argv, f"http://{host}{path}"], timeout=seconds + 30, netns=netns)
    if status:
        raise Failure(f"wrk failed: {out}{error}")
    return WrkResult(out)
