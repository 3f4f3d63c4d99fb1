#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The node of the cluster, in place of scheduler, kubelet and load balancer.

A pod is a network namespace and the suite's echo server. A Service of type LoadBalancer gets the addresses of
its endpoints as its own: what connects to them is there already.

It binds each pod to itself, waits for its Secrets and ConfigMaps, starts its containers in directories of
their own, reports the pod as ready when each has written a line, and gives what they write to the API server,
which the tests of mirrors read. A container of another image gets no process, its pod is reported as ready.
"""
import argparse
import base64
import datetime
import http.server
import itertools
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from kube_api import ApiError, KubeApi

NAME = "node"
ECHO = "echo-basic"
USER = 65532
IP, CHROOT = shutil.which("ip"), shutil.which("chroot")  # the environment of a container has no PATH to them
STARTING_S = 20  # for the first line of a container
LOG_PORT = 10250


def say(*words):
    print(*words, flush=True)


def ip(*words):
    subprocess.run([IP, *map(str, words)], check=True)


class Container:
    """A process of a pod. .lines: (seconds since the epoch, text) of what it has written."""

    def __init__(self, namespace, root, argv, env):
        self.lines = []
        self.has_written = threading.Event()
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [IP, "netns", "exec", namespace, CHROOT, f"--userspec={USER}:{USER}", "--groups=", root, *argv],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="backslashreplace")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.time(), line))
            self.has_written.set()
        self.has_written.set()

    def end(self):
        self.process.kill()
        self.process.wait()


class Pod:
    """Runs from its construction on until end(), in a thread of its own."""

    def __init__(self, node, manifest, number):
        self.node, self.manifest, self.number = node, manifest, number
        self.metadata, self.spec = manifest["metadata"], manifest["spec"]
        self.path = f"/api/v1/namespaces/{self.metadata['namespace']}/pods/{self.metadata['name']}"
        self.namespace = f"{node.options.prefix}pod{number}"
        self.root = os.path.join(node.options.directory, f"pod{number}")
        self.address = f"10.244.{number // 250 + 1}.{number % 250 + 2}"
        self.containers = {}
        self._ended, self._lock = threading.Event(), threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            volumes = self._volumes()
            with self._lock:
                if self._ended.is_set():
                    return
                self._make_network()
                for container in self.spec["containers"]:
                    if container["image"].rsplit("/", 1)[-1].split(":")[0] == ECHO:
                        self._start(container, volumes)
            for container in self.containers.values():
                container.has_written.wait(STARTING_S)
            self._report()
        except (ApiError, OSError, subprocess.CalledProcessError) as error:
            if not self._ended.is_set():
                say(f"{self.path}: {error}")

    def _volumes(self):
        """{volume: {file: bytes}}. The suite makes some of its Secrets after the pods that mount them."""
        while True:
            try:
                return {volume["name"]: self._files(volume) for volume in self.spec.get("volumes", ())}
            except ApiError as error:
                if error.status != 404 or self._ended.wait(0.2):
                    raise

    def _files(self, volume):
        base = f"/api/v1/namespaces/{self.metadata['namespace']}"
        if "secret" in volume:
            source = volume["secret"]
            data = self.node.api.get(f"{base}/secrets/{source['secretName']}").get("data", {})
            files = {name: base64.b64decode(text) for name, text in data.items()}
        elif "configMap" in volume:
            source = volume["configMap"]
            data = self.node.api.get(f"{base}/configmaps/{source['name']}").get("data", {})
            files = {name: text.encode() for name, text in data.items()}
        else:
            return {}
        wanted = {item["key"]: item["path"] for item in source.get("items", ())}
        return {wanted[name]: text for name, text in files.items() if name in wanted} if wanted else files

    def _make_network(self):
        link = f"pod{self.number}"
        ip("netns", "add", self.namespace)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        ip("link", "set", link, "master", self.node.options.bridge, "up")
        ip("-n", self.namespace, "addr", "add", f"{self.address}/16", "dev", "eth0")
        for name in ("lo", "eth0"):
            ip("-n", self.namespace, "link", "set", name, "up")
        ip("-n", self.namespace, "route", "add", "default", "via", self.node.options.address)

    def _start(self, container, volumes):
        root = os.path.join(self.root, container["name"])
        os.makedirs(root)
        for mount in container.get("volumeMounts", ()):
            for name, content in volumes[mount["name"]].items():
                path = os.path.join(root, mount["mountPath"].lstrip("/"), name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(content)
        os.link(self.node.echo, os.path.join(root, ECHO))
        self.containers[container["name"]] = Container(
            self.namespace, root, [f"/{ECHO}", *container.get("args", ())], self._environment(container))

    def _environment(self, container):
        fields = {"metadata.name": self.metadata["name"], "metadata.namespace": self.metadata["namespace"],
                  "metadata.uid": self.metadata["uid"], "status.podIP": self.address, "spec.nodeName": NAME}
        env = {"PATH": "/", "HOSTNAME": self.metadata["name"]}
        for entry in container.get("env", ()):
            source = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            env[entry["name"]] = fields[source] if source else entry.get("value", "")
        return env

    def _report(self):
        now = datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [{"type": name, "status": "True", "lastTransitionTime": now}
                      for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
        self.node.api.merge(self.path + "/status", {"status": {
            "phase": "Running", "startTime": now, "hostIP": self.node.options.address, "podIP": self.address,
            "podIPs": [{"ip": self.address}], "conditions": conditions}})
        say(f"{self.path}: ready at {self.address}")

    def end(self):
        self._ended.set()
        with self._lock:
            for container in self.containers.values():
                container.end()
            subprocess.run([IP, "netns", "delete", self.namespace], capture_output=True, check=False)
            shutil.rmtree(self.root, ignore_errors=True)


class Node:
    def __init__(self, options):
        self.options = options
        self.api = KubeApi(options.server, options.token, options.authority)
        self.pods = {}  # uid -> Pod
        self._numbers = itertools.count()
        # On the file system of the root directories, which get links to it.
        self.echo = shutil.copy(options.echo, options.directory)

    def register(self):
        """Pods of an unknown node get no endpoints. The API server reads here where the logs are."""
        self.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": NAME, "labels": {"kubernetes.io/hostname": NAME}}})
        self.api.merge(f"/api/v1/nodes/{NAME}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": self.options.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": LOG_PORT}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Tests"}]}})

    def follow(self):
        for kind, manifest in self.api.watch("/api/v1/pods"):
            if kind == "BOOKMARK":
                continue
            uid = manifest["metadata"]["uid"]
            if kind == "DELETED" or "deletionTimestamp" in manifest["metadata"]:
                threading.Thread(target=self._end, args=(self.pods.pop(uid, None), kind, manifest)).start()
            elif uid not in self.pods:
                self.pods[uid] = Pod(self, manifest, next(self._numbers))
                threading.Thread(target=self._bind, args=(manifest,)).start()

    def balance(self):
        for kind, manifest in self.api.watch("/apis/discovery.k8s.io/v1/endpointslices"):
            metadata = manifest["metadata"]
            service = metadata.get("labels", {}).get("kubernetes.io/service-name")
            addresses = [a for endpoint in manifest.get("endpoints") or () for a in endpoint["addresses"]]
            if kind in ("ADDED", "MODIFIED") and service and addresses:
                self._balance(f"/api/v1/namespaces/{metadata['namespace']}/services/{service}", addresses)

    def _balance(self, path, addresses):
        try:
            if self.api.get(path)["spec"]["type"] == "LoadBalancer":
                self.api.merge(path + "/status", {"status": {"loadBalancer": {
                    "ingress": [{"ip": address} for address in addresses]}}})
        except ApiError as error:
            if error.status != 404:
                say(f"{path}: cannot be balanced: {error}")

    def _bind(self, manifest):
        metadata = manifest["metadata"]
        try:
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
            self.api.call("POST", path, {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]},
                "target": {"kind": "Node", "name": NAME}})
        except ApiError as error:
            say(f"{metadata['name']}: cannot be bound: {error}")

    def _end(self, pod, kind, manifest):
        if pod:
            pod.end()
        if kind == "DELETED":
            return
        metadata = manifest["metadata"]
        try:
            self.api.call("DELETE", f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}",
                          {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
        except ApiError as error:
            if error.status not in (404, 409):
                say(f"{metadata['name']}: cannot be deleted: {error}")

    def lines_of(self, namespace, name, container, since):
        """What a container has written since a time; None: there is none."""
        for pod in list(self.pods.values()):
            if (pod.metadata["namespace"], pod.metadata["name"]) == (namespace, name):
                found = pod.containers.get(container)
                return found and [line for at, line in list(found.lines) if at >= since]
        return None


class LogHandler(http.server.BaseHTTPRequestHandler):
    """The one page of a kubelet that the tests need: /containerLogs/NAMESPACE/POD/CONTAINER?sinceTime=TIME"""

    node = None

    def do_GET(self):  # pylint: disable=invalid-name
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        since = urllib.parse.parse_qs(url.query).get("sinceTime", ["1970-01-01T00:00:00Z"])[0]
        moment = datetime.datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp()
        is_known = len(parts) == 4 and parts[0] == "containerLogs"
        lines = self.node.lines_of(*parts[1:], moment) if is_known else None
        body = "".join(lines or ()).encode()
        self.send_response(404 if lines is None else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def serve_logs(node):
    LogHandler.node = node
    server = http.server.ThreadingHTTPServer((node.options.address, LOG_PORT), LogHandler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(node.options.certificate, node.options.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    for name in ("server", "token", "authority", "certificate", "key", "directory", "bridge", "address",
                 "prefix", "echo"):
        parser.add_argument(f"--{name}", required=True)
    node = Node(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve_logs(node)
    node.register()
    threading.Thread(target=node.balance, daemon=True).start()
    say("registered")
    try:
        node.follow()
    finally:
        for pod in list(node.pods.values()):
            pod.end()


if __name__ == "__main__":
    main()
