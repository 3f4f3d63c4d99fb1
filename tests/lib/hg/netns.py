# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a veth pair: a link, isolated from the host, that tests can cut, delay and
filter."""
import contextlib
import os

from hg.framework import Context, Failure, context, need
from hg.process import run, setns_net

PREFIX = "hgtest-"

_count = 0


def remove_leftovers():
    """Deletes namespaces of test processes that have ended. Their veth pairs are deleted with them."""
    try:
        names = [name for name in os.listdir("/run/netns") if name.startswith(PREFIX)]
    except OSError:
        return
    for name in names:
        owner = name[len(PREFIX):].split("-")[0]
        if not owner.isdigit() or not os.path.exists(f"/proc/{owner}"):
            delete(name)


def delete(name):
    import subprocess
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def command(*argv):
    status, _, error = run(argv)
    if status:
        raise Failure(f"{' '.join(map(str, argv))}: {error.strip()}")


class Namespace:
    """One side. .address is the address of its end of the link."""

    def __init__(self, name, address):
        self.name = name
        self.address = address

    def open(self):
        return os.open(f"/run/netns/{self.name}", os.O_RDONLY)

    @contextlib.contextmanager
    def enter(self):
        """Sockets created inside the block belong to this namespace, also after the block."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = self.open()
        try:
            setns_net(there)
            yield
        finally:
            setns_net(here)
            os.close(here)
            os.close(there)

    def run(self, *argv, **keywords):
        """Runs a command in the namespace: (status, stdout, stderr)."""
        return run(argv, netns=self, **keywords)

    def ok(self, *argv):
        """Runs a command in the namespace that must succeed; returns its output."""
        status, out, error = self.run(*argv)
        if status:
            raise Failure(f"{' '.join(map(str, argv))}: {error.strip()}")
        return out


class Net:
    """net.client (10.77.0.1) and net.server (10.77.0.2): put the gateway and the backends into net.server.

        net = Net()
        gateway = Gateway(..., netns=net.server)
        client = Raw((net.server.address, gateway.port), netns=net.client)
        net.drop("client")       # from now on nothing reaches the client's side, without a trace
    """

    def __init__(self, mtu=None):
        global _count
        need("netns")
        _count += 1
        stem = f"{PREFIX}{os.getpid()}-{_count}"
        self.client = Namespace(stem + "-c", "10.77.0.1")
        self.server = Namespace(stem + "-s", "10.77.0.2")
        context().own(Context.NETWORK, self)
        for side in (self.client, self.server):
            command("ip", "netns", "add", side.name)
            side.ok("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", "veth0", "netns", self.client.name, "type", "veth",
                "peer", "name", "veth0", "netns", self.server.name)
        for side in (self.client, self.server):
            if mtu:
                side.ok("ip", "link", "set", "veth0", "mtu", mtu)
            side.ok("ip", "addr", "add", f"{side.address}/24", "dev", "veth0")
            side.ok("ip", "link", "set", "veth0", "up")

    def side(self, name):
        return {"client": self.client, "server": self.server}[name]

    def drop(self, side="client", match=""):
        """Drops every packet that arrives at this side (nftables match to narrow it: "tcp dport 80")."""
        need("nft")
        self.side(side).ok("nft", "add table inet cut; "
                                  "add chain inet cut in { type filter hook input priority 0; }; "
                                  f"add rule inet cut in iifname veth0 {match} drop")

    def mend(self, side="client"):
        self.side(side).ok("nft", "delete table inet cut")

    def shape(self, side, *netem):
        """net.shape("server", "delay", "20ms", "rate", "10mbit")."""
        self.side(side).ok("tc", "qdisc", "replace", "dev", "veth0", "root", "netem", *netem)

    def cleanup(self):
        for side in (self.client, self.server):
            delete(side.name)
