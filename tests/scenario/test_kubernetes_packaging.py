# SPDX-License-Identifier: Apache-2.0
"""scripts/packaging/kubernetes: the rights are those that are used, and the image runs as the pages say."""
import json
import os
import re
import shutil
import stat

import yaml

from hg import *
from hg.api_server import TOKEN, ApiServer, Roles
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV

FOLDER = os.path.join(repository_root(), "scripts", "packaging", "kubernetes")
GROUP = "gateway.networking.k8s.io"


def manifests(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return [one for one in yaml.load_all(file, yaml.BaseLoader) if one]


def typed(name):
    """With numbers as an API server has them."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def roles(*names):
    return Roles(*[one for name in names for one in manifests(name)
                   if one["kind"] in ("Role", "ClusterRole")])


def thing(kind, name, spec, api=f"{GROUP}/v1"):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def everything(port):
    """An object of each kind that gets a status, and what they need for one."""
    to_service = [{"backendRefs": [{"name": "s", "port": 80}]}]
    listeners = [{"name": "tcp", "port": port("tcp"), "protocol": "TCP"},
                 {"name": "tls", "port": port("tls"), "protocol": "TLS", "tls": {"mode": "Passthrough"}},
                 {"name": "http", "port": port("http"), "protocol": "HTTP"}]
    yield from typed("gatewayclass.yaml")
    yield thing("Gateway", "g", {"gatewayClassName": "headgate", "listeners": listeners,
                                 "allowedListeners": {"namespaces": {"from": "Same"}}})
    yield thing("ListenerSet", "l", {"parentRef": {"name": "g"}, "listeners": [
        {"name": "more", "port": port("more"), "protocol": "HTTP"}]})
    yield thing("HTTPRoute", "http", {"parentRefs": [{"name": "g"}], "hostnames": ["a"], "rules": to_service})
    yield thing("GRPCRoute", "grpc", {"parentRefs": [{"name": "g"}], "hostnames": ["b"], "rules": to_service})
    yield thing("TCPRoute", "tcp", {"parentRefs": [{"name": "g"}], "rules": to_service})
    yield thing("TLSRoute", "tls", {"parentRefs": [{"name": "g"}], "hostnames": ["c"], "rules": to_service})
    yield thing("Service", "s", {"ports": [{"port": 80}]}, "v1")
    yield thing("BackendTLSPolicy", "b", {
        "targetRefs": [{"group": "", "kind": "Service", "name": "s"}],
        "validation": {"hostname": "s", "wellKnownCACertificates": "System"}})
    yield thing("AgentgatewayPolicy", "p", {
        "targetRefs": [{"group": GROUP, "kind": "HTTPRoute", "name": "http"}],
        "traffic": {"timeouts": {"request": "5s"}}}, "agentgateway.dev/v1alpha1")
    yield thing("AgentgatewayBackend", "a", {"static": {"host": "127.0.0.1", "port": 9}},
                "agentgateway.dev/v1alpha1")


def start(server, *args):
    """As in a pod: the lease is in the namespace of the manifests."""
    with open(server.kubeconfig, encoding="utf-8") as file:
        config = json.load(file)
    config["contexts"][0]["context"]["namespace"] = "headgate-system"
    path = os.path.join(tmpdir(), "kubeconfig")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return Gateway(files={"static.yaml": "config: {splice: {mode: off}}\n"},
                   args=["--kubeconfig", path, *args])


def have_status(server):
    def is_written():
        return all(thing.get("status") for kind, things in server.objects.items() for thing in things.values()
                   if kind not in ("Service", "EndpointSlice"))
    wait_until(is_written, 30, "a status of each object")


def shown(rules):
    return "\n".join(" ".join(rule) for rule in sorted(rules))


@test("a gateway needs each right of rbac.yaml, and no other", timeout=90)
def rights():
    ports = {}
    server, server_roles = ApiServer(), roles("rbac.yaml")
    server.roles = server_roles
    server.put(*everything(lambda name: ports.setdefault(name, free_port())))
    gateway = start(server)
    have_status(server)
    wait_until(lambda: "SupportedVersion" in str(server.status("GatewayClass", "headgate")), 20,
               "the version")
    gateway.stop()
    # Another server, which cannot list as events, and a lease that was given back.
    server.lists_as_events = False
    server.lease["spec"]["holderIdentity"] = ""
    for kind in server.objects.values():
        for one in kind.values():
            one.pop("status", None)
    gateway = start(server)
    have_status(server)
    check("is forbidden" not in gateway.stderr, lambda: f"a right that is missing: {gateway.stderr}")
    eq(shown(server_roles.rules - server_roles.used), "", "rights that nobody uses")


@test("--gateway-services needs each right of gateway-services.yaml, and no other", timeout=90)
def rights_for_services():
    ports = {}
    server, base, all_roles = ApiServer(), roles("rbac.yaml"), roles("rbac.yaml", "gateway-services.yaml")
    server.roles = all_roles
    server.put(*everything(lambda name: ports.setdefault(name, free_port())))
    server.put({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "headgate-1", "namespace": "headgate-system",
                             "labels": {"kubernetes.io/service-name": "headgate"}},
                "ports": [], "endpoints": [{"addresses": ["192.0.2.11"]}]})
    gateway = start(server, "--gateway-services")
    wait_until(lambda: ("default", "g-headgate-ipv4") in server.objects["EndpointSlice"], 30, "the endpoints")
    lost = server.objects["Gateway"]["default", "g"]
    server.put({**lost, "spec": {**lost["spec"], "gatewayClassName": "other"}})
    wait_until(lambda: ("default", "g-headgate") not in server.objects["Service"], 30, "the Service to go")
    check("is forbidden" not in gateway.stderr, lambda: f"a right that is missing: {gateway.stderr}")
    eq(shown(all_roles.rules - base.rules - all_roles.used), "", "rights that nobody uses")


@test("the DaemonSet gives the capabilities that the unit has")
def capabilities():
    with open(os.path.join(FOLDER, "..", "headgate.service"), encoding="utf-8") as file:
        unit = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.M).group(1)
    pod = manifests("daemonset.yaml")[1]["spec"]["template"]["spec"]
    given = pod["containers"][0]["securityContext"]["capabilities"]
    eq(given["drop"], ["ALL"], "what is taken away")
    eq({f"CAP_{name}" for name in given["add"]}, set(unit.split()), "what is given")
    eq(pod["hostNetwork"], "true", "the network of the node")


# ---- the image


def containerfile():
    with open(os.path.join(FOLDER, "Containerfile"), encoding="utf-8") as file:
        return file.read().replace("\\\n", " ")


def packages():
    return set(re.search(r"--no-install-recommends (.*?)&&", containerfile()).group(1).split())


def closure(names):
    """The packages with what they depend on, as they are installed here."""
    row = "${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    status, out, error = run(["dpkg-query", "-W", "-f", row])
    eq(status, 0, error)
    provider, depends = {}, {}
    for line in out.splitlines():
        name, provides, needs = line.split("\t")
        depends[name] = [[re.sub(r"[ (:].*", "", one.strip()) for one in choice.split("|")]
                         for choice in needs.split(",") if choice.strip(" ,")]
        for one in [name, *provides.split(",")]:
            provider.setdefault(re.sub(r"[ (].*", "", one.strip()), name)
    found, left = set(), list(names)
    while left:
        name = left.pop()
        check(name in depends, lambda name=name: f"the package {name} is not installed")
        if name in found:
            continue
        found.add(name)
        for choices in depends[name]:
            left += [provider[one] for one in choices if one in provider][:1]
    return found


def copy_packages(names, tree):
    for name in names:
        status, out, error = run(["dpkg-query", "-L", name])
        eq(status, 0, error)
        for path in out.splitlines():
            place, kind = tree + path, os.lstat(path).st_mode if os.path.lexists(path) else 0
            if path == "/." or path.startswith("/usr/share/") or os.path.lexists(place):
                continue
            # A folder that is a link here (/lib) is one there.
            parent = tree + os.path.realpath(os.path.dirname(path))
            os.makedirs(parent, exist_ok=True)
            if stat.S_ISDIR(kind):
                os.makedirs(tree + os.path.realpath(path), exist_ok=True)
            elif stat.S_ISREG(kind) or stat.S_ISLNK(kind):
                shutil.copy2(path, os.path.join(parent, os.path.basename(path)), follow_symlinks=False)


def link_merged_folders(tree):
    for name in ("lib", "lib64", "bin", "sbin"):
        if os.path.islink("/" + name):
            os.makedirs(tree + os.path.realpath("/" + name), exist_ok=True)
            os.symlink(os.readlink("/" + name), os.path.join(tree, name))


def owners(paths):
    """The packages of these files, which may be listed below /lib or below /usr/lib."""
    both = {path.replace("/usr/lib", "/lib", 1) for path in paths} | set(paths)
    out = run(["dpkg-query", "-S", *sorted(both)])[1] if paths else ""
    return {line.split(":")[0] for line in out.splitlines()}


def libraries_of_program():
    """(name, file) of all that it loads, also indirectly."""
    out = run(["ldd", binary("headgate")])[1]
    return {name: os.path.realpath(path) for name, path in re.findall(r"(\S+) => (/\S+)", out)}


def sanitizers():
    """Packages that only a program of this profile needs."""
    return owners([path for name, path in libraries_of_program().items()
                   if re.match(r"lib(a|t|ub)san", name)])


@test("the Containerfile installs the libraries of the program and no others", needs=("readelf",))
def libraries():
    out = run(["readelf", "-d", binary("headgate")])[1]
    places = libraries_of_program()
    found = owners([places[name] for name in re.findall(r"NEEDED.*\[(.*)\]", out)])
    # libstdc++6 brings libgcc-s1, which only some builds name themselves.
    eq(sorted(found - sanitizers() - {"libc6", "libgcc-s1"}),
       sorted(packages() - {"ca-certificates", "libgcc-s1"}), "the packages")


def make_tree():
    tree = os.path.join(tmpdir(), "tree")
    os.mkdir(tree)
    link_merged_folders(tree)
    copy_packages(closure(packages() | sanitizers() | {"libc6"}), tree)
    copies = re.findall(r"^COPY (\S+) (\S+)$", containerfile(), re.M)
    eq([source for source, _ in copies], ["build/release/headgate"], "what is copied")
    for _, place in copies:
        os.makedirs(os.path.dirname(tree + place), exist_ok=True)
        shutil.copy2(binary("headgate"), tree + place)
    return tree


def mount(tree, server, edit):
    """What Kubernetes mounts into the pod: the account, the ConfigMap and the folder for the copy."""
    account = tree + "/var/run/secrets/kubernetes.io/serviceaccount"
    os.makedirs(account)
    shutil.copy(server.authority_path, account + "/ca.crt")
    for name, text in (("token", TOKEN), ("namespace", "headgate-system")):
        with open(f"{account}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    configuration, daemonset = manifests("daemonset.yaml")
    pod = daemonset["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    for one in pod["containers"][0]["volumeMounts"]:
        os.makedirs(tree + one["mountPath"])
        if "configMap" in volumes[one["name"]]:
            eq(volumes[one["name"]]["configMap"]["name"], configuration["metadata"]["name"], "the ConfigMap")
            for name, text in configuration["data"].items():
                with open(f"{tree}{one['mountPath']}/{name}", "w", encoding="utf-8") as file:
                    file.write(edit(text))
    return pod


@test("from nothing to a served route: the files of the image in a chroot, the manifests and the example",
      needs=("netns",), timeout=90)
def served():
    tree, server, ports = make_tree(), ApiServer(), {}
    server.roles = roles("rbac.yaml")

    def edit(text):
        """The ports of this test in place of those of a node, and no kernel lanes beside other tests'."""
        text = re.sub(r":(150\d\d)\b", lambda port: f":{ports.setdefault(port.group(1), free_port())}", text)
        return text + "  splice: {mode: off}\n"
    pod = mount(tree, server, edit)
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", containerfile(), re.M).group(1))
    example = typed("example.yaml")
    example[0]["spec"]["listeners"][0]["port"] = free_port()
    server.put(*typed("gatewayclass.yaml"), *example)
    os.mkdir(tree + "/proc")
    enter = ["unshare", "--mount", "sh", "-ec",
             'mount --rbind /proc "$0/proc"; exec chroot "$0" "$@"', tree]
    gateway = Process([*enter, *entry, *pod["containers"][0]["args"], "--no-keeper"], "headgate", env={
        **SANITIZER_ENV, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": server.port})
    probe = pod["containers"][0]["readinessProbe"]["httpGet"]

    def is_ready():
        check(gateway.is_running(), lambda: f"it ended: {gateway.stderr}")
        try:
            return fetch(ports[probe["port"]], probe["path"]).status == 200
        except OSError:
            return False
    wait_until(is_ready, 30, "readiness")
    answer = fetch(example[0]["spec"]["listeners"][0]["port"], "/hello")
    eq((answer.status, answer.header("Location")[:18]), (302, "http://example.com"), "the example's route")
    wait_until(lambda: server.status("Gateway", "hello").get("addresses"), 20, "the address for kubectl")
    programmed = [one["status"] for one in server.status("Gateway", "hello")["conditions"]
                  if one["type"] == "Programmed"]
    eq(programmed, ["True"], "the Gateway")
    wait_until(lambda: os.path.exists(tree + "/var/lib/headgate/objects"), 20, "the copy for a later start")


@test("the page names the files, in an order in which each command finds what it needs")
def page():
    with open(os.path.join(repository_root(), "docs/tasks/kubernetes.md"), encoding="utf-8") as file:
        section = file.read().split("## From nothing")[1].split("\n## ")[0]
    commands = re.findall(r"^    (.*)$", section, re.M)
    eq(len(commands), 5, f"commands: {commands}")
    named = re.findall(r"scripts/packaging/kubernetes/([\w.-]+)", " ".join(commands))
    eq(named, ["Containerfile", "daemonset.yaml", "rbac.yaml", "gatewayclass.yaml", "example.yaml"], "files")
    for name in named:
        check(os.path.exists(os.path.join(FOLDER, name)), f"{name} is missing")
    image = re.search(r"sed '(.*?)'", section).group(1)
    out = run(["sed", image, os.path.join(FOLDER, "daemonset.yaml")])[1]
    eq([one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in yaml.safe_load_all(out) if one["kind"] == "DaemonSet"], ["IMAGE"], "the image")
