# SPDX-License-Identifier: Apache-2.0
"""headgate convert: the current form of an older file loads to the same configuration."""
import glob
import os
import re

from forms import same
from hg import *
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV, validate

ROOT = repository_root()


def convert(text, name="old.yaml"):
    path = os.path.join(tmpdir(), name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return run([binary("headgate"), "convert", path], env=SANITIZER_ENV)


def converted(text):
    status, out, error = convert(text)
    eq((status, "error" in error), (0, False), error)
    return out


def standalone(pattern):
    """Names and texts of the files that are standalone."""
    for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if "apiVersion" not in text:
            yield os.path.basename(path), text


def on_free_ports(text, gateway):
    """Ports of the file become free ones: the same for the same number."""
    def free(match):
        name = f"p{match.group(2)}"
        gateway.ports.setdefault(name, free_port())
        return f"{match.group(1)}{gateway.ports[name]}"
    return re.sub(r"(\bport: *)(\d+)\b", free, text)


# Listeners of every kind, names that several ports have, policies on them, and both forms in one file.
MANY = """
config: {connectionTerminationDeadline: 5s}
binds:
- port: 1001
  bind: 127.0.0.1
  listeners: [{maxConnections: 7, splice: 'off', routes: [{backends: [{host: 'a:1'}]}]}]
- port: 1002
  listeners:
  - name: x
    hostname: x.example
    namespace: other
    routes: [{backends: [{host: 'b:1'}]}, {name: r, backends: [{routeGroup: g}]}]
  - {hostname: "*.example", routes: []}
- port: 1003
  listeners: [{name: only, hostname: "", routes: [{backends: [{backend: shared}], hostnames: ["c.example"]}]}]
- port: 1004
  listeners: [{name: default, protocol: TCP, tcpRoutes: [{backends: [{host: 'd:1', weight: 3}]}]}]
- port: 1005
  listeners: [{name: only2, protocol: TLS, hostname: t.example, tcpRoutes: [{hostnames: [t.example]}]}]
- port: 1001
  bind: 127.0.0.3
  listeners: [{routes: [{backends: [{service: {name: n/s, "port": 80}}, {dynamic: {}}]}]}]
gateways: {mcp: {port: 1006}}
routes: [{gateways: mcp, matches: [{path: {exact: "/it's"}}], backends: [{host: "unix:/run/a b"}]}]
mcp:
  port: 1007
  bind: 127.0.0.2
  targets: [{name: t, stdio: {cmd: "true", args: ["", " a", "1", "#", "$$"]}}]
backends: [{name: shared, host: 's:1'}]
services: [{namespace: n, hostname: s, ports: {80: 81}}]
workloads: [{workloadIps: [10.0.0.1], services: {n/s: {}}}]
routeGroups: [{name: g, routes: [{backends: [{host: 'g:1'}]}]}]
policies:
- name: {name: a}
  target: {gateway: {listenerName: x, gatewayNamespace: other}}
  policy: {retry: {codes: []}}
- {name: {name: b}, target: {gateway: {listenerName: only}}, policy: {retry: {codes: []}}}
- {name: {name: c}, target: {gateway: {port: 1003}}, policy: {delay: {duration: "1ms"}}}
- {name: {name: d}, target: {route: {name: r}}, policy: {timeout: {requestTimeout: 1s}}}
"""


def compare(files):
    run([os.path.join(ROOT, "scripts", "make-certificates.sh")])
    gateway = Gateway("gateways: {default: {port: @port@}}", checked=False, lanes=True)
    compared = 0
    for name, text in files:
        text = on_free_ports(text, gateway)
        if name != "many" and validate(text)[0] != 0:
            continue
        note("file:", name)
        new = converted(text)
        check("binds:" not in new, f"{name}: {new}")
        gateway.reload(text)
        old_dump = gateway.config_dump()
        gateway.reload(new)
        same(gateway.config_dump(), old_dump)
        eq(converted(new), new, f"{name}: converted twice")
        compared += 1
    check(compared >= 8, f"only {compared} files were compared")


@test("every example loads to the same dump after it is converted", timeout=120)
def examples():
    compare([("many", MANY), *standalone("config/examples/*.yaml")])


@test("so does every file of the fuzzer's corpus that loads", timeout=120, long=True)
def corpus():
    compare(standalone("tests/fuzz/corpus/config/*"))
