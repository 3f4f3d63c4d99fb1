# SPDX-License-Identifier: Apache-2.0
"""Whether a gateway has the lanes between processes of this host."""
from hg.framework import Failure, eq, skip


def why_not(gateway, lane):
    """What /metrics says of a lane that cannot be used; None: it can."""
    family = gateway.metrics().families["headgate_local_available"]
    for _, _, labels, value in family.samples:
        if labels["lane"] == lane:
            return None if value else labels["why"]
    raise Failure(f"/metrics says nothing of lane {lane}")


def need_lane(gateway, lane):
    why = why_not(gateway, lane)
    if why is not None:
        eq(gateway.metrics()("headgate_local_selftest_failed"), 0, f"self-test failed: {why}")
        skip(f"needs the lane {lane}: {why}", "bpf")
