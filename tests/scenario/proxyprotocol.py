# SPDX-License-Identifier: Apache-2.0
"""Headers of the PROXY protocol, and what the plays about them share."""
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = "127.0.0.2"  # the only address that may announce clients
CLIENT, SERVER = "192.0.2.1", "198.51.100.9"
TRUST = f"proxyProtocol: {{trusted: [{PROXY}/32]}}"


def v1(source=CLIENT, port=4711, destination=SERVER, at=443):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {port} {at}\r\n".encode()


def block(command, family, addresses):
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(addresses)) + addresses


def v2(source=CLIENT, port=4711, destination=SERVER, at=443, tlvs=b""):
    kind, family = (socket.AF_INET6, 0x21) if ":" in source else (socket.AF_INET, 0x11)
    hosts = b"".join(socket.inet_pton(kind, host) for host in (source, destination))
    return block(1, family, hosts + struct.pack(">HH", port, at) + tlvs)


def local(addresses=b""):
    return block(0, 0, addresses)
