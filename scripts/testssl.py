#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make testssl: testssl.sh against a gateway with RSA and EC certificates of scripts/make-certificates.sh.

Fails on a finding of medium severity or higher. Findings about the private CA, a name without DNS, or the
responses of the backend do not count: see NOT_OURS.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts", "bench"))
import peers  # noqa: E402

SEVERE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
# Revocation, transparency and DNS belong to the CA and the domain owner, header fields to the backend.
NOT_OURS = ("cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL", "certificate_transparency",
            "DNS_CAArecord", "OCSP_stapling", "cert_chain_of_trust", "cert_trust", "security_headers",
            "scanTime")
CONFIG = """
config: {{logging: {{level: warn, accessLog: false}}}}
binds:
- port: {http}
  listeners:
  - protocol: HTTPS
    tls:
      certificates:
      - {{cert: {certs}/server.pem, key: {certs}/server.key}}
      - {{cert: {certs}/rsa.pem, key: {certs}/rsa.key}}
    routes:
    - backends:
      - host: 127.0.0.1:{origin}
"""


def certificates(folder):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)
    subprocess.run([os.path.join(ROOT, "scripts", "make-certificates.sh"), "-d", folder], check=True,
                   capture_output=True)
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-subj", "/CN=localhost",
            "-out", "rsa.csr")
    with open(os.path.join(folder, "rsa.ext"), "w", encoding="ascii") as file:
        file.write("basicConstraints = critical,CA:false\nkeyUsage = critical,digitalSignature\n"
                   "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "rsa.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
            "-days", "397", "-set_serial", "0x" + os.urandom(15).hex(), "-extfile", "rsa.ext",
            "-out", "rsa.pem")


def scan(program, port, folder):
    """Runs testssl.sh: [finding]."""
    out = os.path.join(folder, "findings.json")
    done = subprocess.run([program, "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
                           "--nodns", "none", "--add-ca", os.path.join(folder, "authority.pem"),
                           "--jsonfile", out, f"https://localhost:{port}"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False)
    try:
        with open(out, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        sys.exit(f"testssl.sh ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def wait(predicate, seconds=10):
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            sys.exit("testssl: the gateway does not listen")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as made:
        return made.connect_ex(("127.0.0.1", port)) == 0


def main():
    programs = [found for found in map(shutil.which, ("testssl", "testssl.sh")) if found]
    if not programs:
        sys.exit("*** NOT TESTED: make testssl needs testssl.sh: scripts/deps.sh testssl installs it")
    headgate = os.path.join(ROOT, "build", "release", "headgate")
    with tempfile.TemporaryDirectory(prefix="headgate-testssl-") as folder:
        certificates(folder)
        backend = peers.Peer("backend", folder, peers.free_port())
        gateway = None
        try:
            backend.start([os.path.join(ROOT, "build", "release", "httpbin"), "--port", str(backend.port),
                           "--quiet"])
            gateway = peers.start_headgate(headgate, folder, backend.port,
                                           template=CONFIG.replace("{certs}", folder))
            wait(lambda: listens(gateway.port))
            found = scan(programs[0], gateway.port, folder)
        finally:
            for peer in (gateway, backend):
                if peer:
                    peer.stop()
    if not any(finding["id"].startswith("TLS1_3") for finding in found):
        sys.exit(f"testssl: it looked at next to nothing: {len(found)} findings")
    bad = [f for f in found if f["severity"] in SEVERE and not f["id"].startswith(NOT_OURS)]
    for finding in bad:
        print(f"testssl: {finding['severity']} {finding['id']}: {finding['finding']}")
    print(f"testssl: {len(found)} findings, {len(bad)} of medium severity or higher")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
