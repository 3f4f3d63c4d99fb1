# SPDX-License-Identifier: Apache-2.0
"""What the plays about lane bypass share: a gateway whose connections bypass, and how a tunnel begins."""
from hg import *
from same_host import need_lane

ASK = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
CONNECT = "CONNECT inside.example:443 HTTP/1.1\r\nHost: inside.example:443\r\n\r\n"
SPLICE = {
    "off": "mode: off",
    "bypass": "lanes: [bypass], force: true",
    "all": "lanes: [pipe, sockmap, direct, bypass], force: true",
}
CONFIG = """
config: {splice: {@splice@}, connectionTerminationDeadline: 5s}
frontendPolicies: {connect: {mode: route}, http: {halfClose: keep}}
binds:
- port: @port@
  listeners:
  - splice: @listener@
    routes:
    - name: all
      policies: {@policies@}
      backends:
      - host: "@origin@"
        splice: @backend@
"""
# The ports tell who agreed: both, the client's or the backend's owner, neither.
SHARED = """
config: {splice: {lanes: [pipe, sockmap, direct, bypass], force: true, minBodyBytes: 65536, @pace@}}
binds:
""" + "".join(f"""
- port: @{port}@
  listeners:
  - splice: {listener}
    routes:
    - name: all
      backends:
      - host: "@origin@"
        splice: {backend}
""" for port, listener, backend in (("port", "sameHost", "sameHost"), ("front", "sameHost", "auto"),
                                    ("back", "auto", "sameHost"), ("neither", "auto", "auto")))

NEEDS = ("bpf", "root")


def opened(lane="bypass", origin=None, listener="sameHost", backend="sameHost", policies="", config=CONFIG,
           **options):
    """(gateway, origin). One worker unless the test says otherwise."""
    origin = origin or Origin(netns=options.get("netns"))
    gateway = Gateway(config, origin=origin, splice=SPLICE[lane], listener=listener, backend=backend,
                      policies=policies, **{"workers": 1, **options})
    if lane != "off":
        need_lane(gateway, "bypass")
    return gateway, origin


def acted(lane="bypass", **options):
    return opened(lane, origin=Backend(netns=options.get("netns")), **options)
