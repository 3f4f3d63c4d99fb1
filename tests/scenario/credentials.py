# SPDX-License-Identifier: Apache-2.0
"""Credentials as real programs write them: htpasswd and mkpasswd, PyJWT, and a server of keys."""
import base64
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hg import run, tmpdir
from hg.gateway import write_atomically

PASSWORD = "pa:ss w\u00f6rd"


def basic(user, password=PASSWORD):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def htpasswd(user, *options):
    return run(["htpasswd", "-nb", *options, user, PASSWORD])[1].strip()


def mkpasswd(user, method):
    return f"{user}:" + run(["mkpasswd", "-m", method, PASSWORD])[1].strip()


def block(lines, indent):
    return "|\n" + "".join(" " * indent + line + "\n" for line in lines)


def written(name, text):
    """The path of a file with this text; a new one replaces it at once."""
    path = os.path.join(tmpdir(), name)
    write_atomically(path, text)
    return path


class Issuer:
    """A server of keys that the test changes, breaks and counts."""

    def __init__(self):
        self.keys, self.status, self.asked, self.headers = [], 200, 0, {}
        self.body, self.hold = None, None  # bytes instead of the set of keys; an event that answers wait for
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                if issuer.hold:
                    issuer.hold.wait()
                body = json.dumps({"keys": issuer.keys}).encode() if issuer.body is None else issuer.body
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def add(self, kid, key=None, **more):
        """Publishes a key (by default a new one of P-256), which it returns; more: members of its JWK."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        self.keys = self.keys + [{**public_jwk(key), "kid": kid, **more}]
        return key


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(key):
    public = key.public_key()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}
    numbers, size = public.public_numbers(), (key.key_size + 7) // 8
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "n": encoded(numbers.n.to_bytes(size, "big")),
                "e": encoded(numbers.e.to_bytes(3, "big"))}
    return {"kty": "EC", "crv": f"P-{key.key_size}", "x": encoded(numbers.x.to_bytes(size, "big")),
            "y": encoded(numbers.y.to_bytes(size, "big"))}


def algorithm_of(key):
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: "ES256", 384: "ES384", 521: "ES512"}[key.key_size]
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"


def claims_of(**claims):
    """Claims that the policies of the tests accept; None leaves one out."""
    every = {"iss": "https://issuer", "aud": "gw", "sub": "alice", "exp": int(time.time()) + 600, **claims}
    return {name: value for name, value in every.items() if value is not None}


def token(key, kid, algorithm=None, head=(), **claims):
    """A signed token; head: more members of its header."""
    return jwt.encode(claims_of(**claims), key, algorithm=algorithm or algorithm_of(key),
                      headers={"kid": kid, **dict(head)})


def bearer(text):
    return [("Authorization", "Bearer " + text)]
