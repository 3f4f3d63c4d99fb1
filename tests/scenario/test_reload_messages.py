# SPDX-License-Identifier: Apache-2.0
"""What a reload says: which file or object is in the way, and the warnings of what is in force."""
import os

from hg import *
from manifests import NAMED_GATEWAY, NAMED_REDIRECT

BIND = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: @name@
      backends: [{host: @origin@}]
"""
POLICY = """
policies:
- name: {name: p}
  target: {route: {name: nowhere}}
  policy: {timeout: {requestTimeout: 1s}}
"""


def status(gateway):
    return gateway.admin_json("/config_status")


@test("a named pipe among the files is refused by name; nothing waits for somebody to write to it")
def named_pipe():
    gateway = Gateway(directory={"gateway.yaml": NAMED_GATEWAY.replace("@name@", "a"),
                                 "route.yml": NAMED_REDIRECT.replace("@name@", "a").replace("@to@", "/one")})
    pipe = os.path.join(os.path.dirname(gateway.files["gateway.yaml"]), "x.yaml")
    os.mkfifo(pipe)
    wait_until(lambda: status(gateway)["reloadsFailed"] == 1, 5, "the refusal of the pipe")
    eq(status(gateway)["errors"], [f"{pipe}: is a named pipe, not a regular file; remove it, or put a file "
                                   "in its place", f"to load the rest, correct or remove {pipe}"], "errors")
    os.unlink(pipe)
    wait_until(lambda: status(gateway)["lastReloadOk"], 5, "the reload without the pipe")
    os.mkfifo(pipe)
    wait_until(lambda: not status(gateway)["lastReloadOk"], 5, "the second refusal")
    eq(gateway.fetch("/get").status, 302, "status while the pipe is there")


@test("of a directory with one bad object everything else is served, and a warning says which object is not")
def bad_object():
    gateway = Gateway(directory={"gateway.yaml": NAMED_GATEWAY.replace("@name@", "a"),
                                 "route.yml": NAMED_REDIRECT.replace("@name@", "a").replace("@to@", "/one")})
    gateway.write("route.yml", NAMED_REDIRECT.replace("@name@", "a").replace("@to@", "/new"))
    gateway.write("more.yaml", NAMED_REDIRECT.replace("@name@", "b").replace("@to@", "/two")
                  .replace("rules:", "rulez:"))
    path = gateway.files["more.yaml"]
    advice = f"the rest is served; not served as written: HTTPRoute default/b in {path}:"
    wait_until(lambda: any(line.startswith(advice) for line in status(gateway)["warnings"]), 5,
               "the reload with the bad object")
    eq(status(gateway)["errors"], [], "errors")
    check('unknown key "rulez"' in status(gateway)["warnings"][0], status(gateway)["warnings"])
    check(advice in gateway.stderr, gateway.stderr)
    eq(gateway.fetch("/get").header("location")[-4:], "/new", "the neighbour's new target")
    os.unlink(path)
    wait_until(lambda: status(gateway)["warnings"] == [], 5, "the reload without it")


@test("/config_status shows the warnings of the configuration in force, from the start on")
def warnings_of_the_start():
    gateway = Gateway(BIND.replace("@name@", "one") + POLICY, origin=Origin())
    at_start = status(gateway)["warnings"]
    eq(len(at_start), 1, f"warnings of the start: {at_start}")
    check('timeout on route "default/nowhere"' in at_start[0], f"the warning: {at_start}")
    gateway.reload("binds: nonsense\n")
    state = status(gateway)
    eq((state["lastReloadOk"], state["warnings"]), (False, at_start), "after a refused one")
    gateway.reload(BIND.replace("@name@", "two"))
    eq(status(gateway)["warnings"], [], "of a configuration without any")
    gateway.reload(BIND.replace("@name@", "two") + "config: {dns: {refresh: 7s}}\n")
    state = status(gateway)
    eq(len(state["warnings"]), 1, f"warnings: {state}")
    check("dns.refresh takes effect at the next start" in state["warnings"][0],
          f"what waits for the next start: {state}")
