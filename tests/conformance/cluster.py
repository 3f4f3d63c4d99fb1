# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes cluster in a network namespace: etcd, kube-apiserver, kube-controller-manager, and node.py."""
import glob
import json
import os
import signal
import sys

import yaml
from hg import netns
from hg.framework import Context, Failure, context, need, repository_root, tmpdir, wait_until
from hg.gateway import Gateway
from hg.pki import Authority
from hg.process import Process
from kube_api import ApiError, KubeApi

PROGRAMS = os.path.join(repository_root(), "build", "conformance")
PACKAGING = os.path.join(repository_root(), "scripts", "packaging", "kubernetes")
SERVER, ETCD = "127.0.0.1:6443", "http://127.0.0.1:2379"
SERVICES, PODS = "10.96.0.0/16", "10.244.0.1"  # of the node, on the bridge of the pods
ADDRESSES = "172.30.0.0/24"  # of Gateways: local, so that each of them can be bound
CONTROLLERS = ("deployment", "replicaset", "endpointslice", "namespace", "garbage-collector",
               "serviceaccount")
STARTING_S = 60


def program(name):
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built: tests/conformance/build.sh")
    return path


class NodeProcess(Process):
    """It ends its pods."""

    def cleanup(self):
        self.signal(signal.SIGTERM)
        self.wait(STARTING_S)


class Cluster:
    """.namespace: where it runs; .api: a client with all rights; .kubeconfig: the same as a file;
    .gateway_kubeconfig: that of the service account in scripts/packaging/kubernetes, with its rights."""

    def __init__(self, channel):
        need("root")
        need("netns")
        self.prefix = f"{netns.PREFIX}{os.getpid()}-"
        self.namespace = netns.Namespace(self.prefix + "cluster", PODS)
        context().own(Context.NETWORK, self)
        self._make_network()
        self._authority = Authority("cluster")
        self._server = self._authority.issue("127.0.0.1", PODS, "10.96.0.1", "kubernetes.default.svc")
        self._token = os.urandom(24).hex()
        self.api = KubeApi(SERVER, self._token, self._authority.cert, self.namespace.enter)
        self.kubeconfig = self._write_kubeconfig("admin", self._token)
        self._start()
        self._install(channel)
        self.gateway_kubeconfig = self._write_kubeconfig("gateway", self._gateway_token(), "headgate-system")

    def _make_network(self):
        netns.command("ip", "netns", "add", self.namespace.name)
        for line in ("link set lo up", "link add pods type bridge", f"addr add {PODS}/16 dev pods",
                     "link set pods up", f"route add local {ADDRESSES} dev lo"):
            self.namespace.ok("ip", *line.split())

    def _write(self, name, text):
        path = os.path.join(tmpdir(), name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _write_kubeconfig(self, user, token, namespace="default"):
        return self._write(user + ".kubeconfig", json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": "https://" + SERVER,
                                                       "certificate-authority": self._authority.cert}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "tests",
                          "context": {"cluster": "tests", "user": user, "namespace": namespace}}]}))

    # ---- the programs --------------------------------------------------------------------------------

    def _run(self, name, *options):
        return Process([program(name), *options], name, netns=self.namespace)

    def _start(self):
        self._run("etcd", f"--data-dir={tmpdir()}/etcd", "--unsafe-no-fsync", "--log-level=warn",
                  f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}")
        accounts = self._authority.issue("accounts")
        tokens = self._write("tokens.csv", f'{self._token},admin,admin,"system:masters"\n')
        server = self._run(
            "kube-apiserver", f"--etcd-servers={ETCD}", "--bind-address=127.0.0.1", "--secure-port=6443",
            f"--advertise-address={PODS}", f"--cert-dir={tmpdir()}", f"--tls-cert-file={self._server.cert}",
            f"--tls-private-key-file={self._server.key}", f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts.cert}",
            f"--service-account-signing-key-file={accounts.key}", f"--service-cluster-ip-range={SERVICES}",
            f"--kubelet-certificate-authority={self._authority.cert}",
            "--profiling=false")
        wait_until(lambda: self._is_ready(server), STARTING_S, "the API server")
        self._run("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                  "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false",
                  f"--service-account-private-key-file={accounts.key}",
                  "--controllers=" + ",".join(f"{name}-controller" for name in CONTROLLERS))
        node = NodeProcess(
            [sys.executable, os.path.join(os.path.dirname(__file__), "node.py"), f"--server={SERVER}",
             f"--token={self._token}", f"--authority={self._authority.cert}",
             f"--certificate={self._server.cert}",
             f"--key={self._server.key}", f"--directory={tmpdir()}", "--bridge=pods", f"--address={PODS}",
             f"--prefix={self.prefix}", f"--echo={program('echo-basic')}"], "node", netns=self.namespace)
        wait_until(lambda: "registered" in node.stdout or not node.is_running(), STARTING_S, "the node")

    def _is_ready(self, server):
        if not server.is_running():
            raise Failure(f"kube-apiserver ended with {server.exit_status()}")
        try:
            return self.api.get("/readyz") == "ok"
        except (ApiError, OSError):
            return False

    # ---- the objects ---------------------------------------------------------------------------------

    def apply_file(self, path):
        with open(path, encoding="utf-8") as file:
            manifests = [m for m in yaml.load_all(file, yaml.CSafeLoader) if m]
        for manifest in manifests:
            self.apply(manifest)
        return manifests

    def apply(self, manifest):
        """Its kind may be a definition that the server has only just got."""
        def applied():
            try:
                return self.api.apply(manifest)
            except (ApiError, KeyError) as error:
                if isinstance(error, ApiError) and error.status not in (403, 404, 429):
                    raise
                return None
        return wait_until(applied, STARTING_S, f"a {manifest['kind']} {manifest['metadata']['name']}")

    def _install(self, channel):
        """The definitions of Gateway API, then what a user of headgate applies."""
        made = []
        for path in sorted(glob.glob(os.path.join(PROGRAMS, "crd", channel, "*_*.yaml"))):
            made += self.apply_file(path)
        for definition in made:
            if definition["kind"] == "CustomResourceDefinition":
                wait_until(lambda d=definition: self._is_established(d), STARTING_S,
                           definition["metadata"]["name"])
        for name in ("rbac", "gateway-services", "gatewayclass"):
            self.apply_file(os.path.join(PACKAGING, name + ".yaml"))

    def _is_established(self, definition):
        conditions = self.api.get(self.api.path_of(definition)).get("status", {}).get("conditions", ())
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def _gateway_token(self):
        """A token as Kubernetes mounts it into the pods of headgate."""
        return self.api.call(
            "POST", "/api/v1/namespaces/headgate-system/serviceaccounts/headgate/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
             "spec": {"expirationSeconds": 7200}})["status"]["token"]

    def serve(self):
        """headgate, with all objects of the cluster."""
        return Gateway(args=["--kubeconfig", self.gateway_kubeconfig, "--gateway-addresses", ADDRESSES,
                             "--gateway-services"],
                       netns=self.namespace, checked=False)

    def cleanup(self):
        for name in os.listdir("/run/netns"):
            if name.startswith(self.prefix):
                netns.delete(name)
