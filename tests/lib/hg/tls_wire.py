# SPDX-License-Identifier: Apache-2.0
"""TLS below the library: hellos as bytes, handshakes step by step, records that no library would send."""
import os
import ssl

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hg.framework import check, tmpdir
from hg.tls import Tls, client_context

ALERT, HANDSHAKE, DATA = 21, 22, 23


def record(kind, payload, version=b"\x03\x03", length=None):
    """A plain record; length: a false length."""
    return bytes([kind]) + version + (len(payload) if length is None else length).to_bytes(2, "big") + payload


def edited(hello, change, size=16384):
    """A hello with other extensions: change() gets {type: bytes}; in records of this size."""
    body = hello[9:]
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    extensions, left = {}, body[at + 2:]
    while left:
        length = int.from_bytes(left[2:4], "big")
        extensions[int.from_bytes(left[:2], "big")] = left[4:4 + length]
        left = left[4 + length:]
    change(extensions)
    listed = b"".join(kind.to_bytes(2, "big") + with_length(value) for kind, value in extensions.items())
    body = body[:at] + with_length(listed)
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"".join(record(HANDSHAKE, message[i:i + size], b"\x03\x01") for i in range(0, len(message), size))


def with_length(data):
    return len(data).to_bytes(2, "big") + data


class Play:
    """A client in memory: the test gets the bytes that it would send, and sends them as it likes.

    .hello is its ClientHello; keywords are those of client_context()."""

    def __init__(self, name=None, **options):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(**options)
        if not name:
            context.check_hostname = False
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.is_open = False
        self.hello = self.step()

    def step(self, received=b""):
        """Returns the bytes to send next."""
        self.incoming.write(received)
        try:
            self.tls.do_handshake()
            self.is_open = True
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def handshake(self, raw, piece=1 << 20):
        """Runs the handshake over a Raw, in pieces of this many bytes; the hello must not have been sent yet.
        """
        data = self.hello
        while True:
            for at in range(0, len(data), piece):
                raw.send(data[at:at + piece])
            if self.is_open:
                return self
            received = raw.read_some()
            check(received, "the connection ended in its handshake")
            data = self.step(received)

    def records(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def farewell(self):
        """The bytes of close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()


class Forge(Tls):
    """A TLS 1.3 connection whose records the test writes itself: .forge(kind, payload).

    Afterwards nothing may be sent by other means, because the library does not know of these records."""

    def __init__(self, target, authority=None, name=None, **options):
        context = client_context(authority, version="1.3", **options)
        path = os.path.join(tmpdir(), f"keys-{os.urandom(6).hex()}")
        context.keylog_filename = path
        super().__init__(target, authority, name, context=context)
        with open(path, encoding="ascii") as file:
            secrets = dict(line.split()[::2] for line in file if not line.startswith("#"))
        self.digest = hashes.SHA384() if self.socket.cipher()[0].endswith("384") else hashes.SHA256()
        self._use(bytes.fromhex(secrets["CLIENT_TRAFFIC_SECRET_0"]))

    def _expand(self, label, length):
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(self.digest, length, info).derive(self._secret)

    def _use(self, secret):
        self._secret, self._sent = secret, 0
        name = self.socket.cipher()[0]
        check("AES" in name and "GCM" in name, f"records of {name} cannot be made here")
        self._key = AESGCM(self._expand(b"key", 16 if "AES_128" in name else 32))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")

    def forged(self, kind, payload, padding=0):
        """The bytes of a record."""
        inner = payload + bytes([kind]) + bytes(padding)
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._sent).to_bytes(12, "big")
        self._sent += 1
        return head + self._key.encrypt(nonce, inner, head)

    def key_update(self, asks=False):
        """A KeyUpdate record; later records use the next key."""
        made = self.forged(HANDSHAKE, b"\x18\x00\x00\x01" + (b"\x01" if asks else b"\x00"))
        self._use(self._expand(b"traffic upd", self.digest.digest_size))
        return made

    def forge(self, data):
        """Sends bytes, bypassing the library."""
        os.set_blocking(self.socket.fileno(), True)
        view = memoryview(data)
        while view:
            view = view[os.write(self.socket.fileno(), view):]
        return self


__all__ = ["ALERT", "DATA", "HANDSHAKE", "Forge", "Play", "edited", "record", "with_length"]
