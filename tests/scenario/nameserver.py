# SPDX-License-Identifier: Apache-2.0
"""A name server of a test alone, over UDP and TCP, that may lie, and a headgate that asks it."""
import os
import shlex
import socket
import struct
import threading

from hg import tmpdir
from hg.framework import binary

A, AAAA = 1, 28
NO_ERROR, TRUNCATED, SERVER_FAILURE, NO_SUCH_NAME = 0x8180, 0x8380, 0x8182, 0x8183
NEEDS = ("root", "netns", "unshare")


class Question:
    """What was asked: .name, .kind (A, AAAA), .is_tcp, .peer, .has_edns; .id and .raw, as in the message."""

    def __init__(self, message, peer, is_tcp):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        self.name, self.peer, self.is_tcp = ".".join(labels), peer, is_tcp
        self.kind = message[at + 2]
        self.has_edns = message[10:12] != b"\0\0"
        self.id, self.raw = message[:2], message[12:at + 5]

    def answer(self, addresses=(), flags=NO_ERROR, records=()):
        """The message that says so; addresses of another family than asked for are left out."""
        found = [record(address) for address in addresses if self.kind == A] + list(records)
        return (self.id + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + self.raw + b"".join(found))


def record(address, name=b"\xc0\x0c"):
    return name + struct.pack(">HHIH", A, 1, 0, 4) + socket.inet_aton(address)


class NameServer:
    """answers(question) returns the messages to send, in this order; for TCP also None: close."""

    _count = 0

    def __init__(self, answers):
        NameServer._count += 1
        self.answers, self.asked = answers, []
        pid = os.getpid()
        self.address = f"127.{64 + NameServer._count}.{pid >> 8 & 255}.{pid & 255 or 1}"
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self.address, 53))
        self._listener = socket.create_server((self.address, 53))
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def _serve_udp(self):
        while True:
            message, peer = self.udp.recvfrom(2000)
            question = Question(message, peer, False)
            self.asked.append(question)
            for answer in self.answers(question):
                self.udp.sendto(answer, peer)

    def _serve_tcp(self):
        while True:
            threading.Thread(target=self._serve_connection, args=self._listener.accept(), daemon=True).start()

    def _serve_connection(self, connection, peer):
        with connection:
            while len(size := connection.recv(2, socket.MSG_WAITALL)) == 2:
                message = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
                question = Question(message, peer, True)
                self.asked.append(question)
                for answer in self.answers(question):
                    if answer is None:
                        return
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)


class Machine:
    """/etc/resolv.conf and /etc/hosts of every headgate that this test starts, and of nobody else."""

    def __init__(self, resolv, hosts=""):
        self._paths = {name: os.path.join(tmpdir(), name) for name in ("resolv.conf", "hosts")}
        self.resolv(resolv)
        self.hosts(hosts)
        inside, starter = (os.path.join(tmpdir(), name) for name in ("headgate-inside", "headgate-outside"))
        mounts = "".join(f"mount --bind {shlex.quote(path)} /etc/{name}\n"
                         for name, path in self._paths.items())
        self._write(inside, f"#!/bin/sh\n{mounts}exec {shlex.quote(binary('headgate'))} \"$@\"\n")
        self._write(starter, f"#!/bin/sh\nexec unshare --mount {shlex.quote(inside)} \"$@\"\n")
        for script in (inside, starter):
            os.chmod(script, 0o755)
        os.environ["HEADGATE_BIN"] = starter

    def resolv(self, text):
        self._write(self._paths["resolv.conf"], text)

    def hosts(self, text):
        self._write(self._paths["hosts"], "127.0.0.1 localhost\n" + text)

    @staticmethod
    def _write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def resolv_conf(*servers, seconds=1, more=""):
    lines = "".join(f"nameserver {getattr(server, 'address', server)}\n" for server in servers)
    return f"{lines}options timeout:{seconds} attempts:1\n{more}"


def routes(names, port, head=""):
    """A configuration with a route /name to each host, all on this port of the backends."""
    text = f"{head}\nbinds:\n- port: @port@\n  listeners:\n  - routes:\n"
    for name in names:
        text += (f"    - matches: [{{path: {{pathPrefix: /{name.split('.')[0]}}}}}]\n"
                 f"      policies: {{urlRewrite: {{path: {{prefix: /}}}}}}\n"
                 f"      backends: [{{host: \"{name}:{port}\"}}]\n")
    return text
