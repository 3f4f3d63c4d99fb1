# SPDX-License-Identifier: Apache-2.0
"""An authorization server for tests: metadata, registration, codes with PKCE, and signed tokens."""
import base64
import hashlib
import json
import secrets
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class AuthorizationServer:
    """url; asked: the paths that were requested; role: of the next tokens."""

    def __init__(self, role="user"):
        server = self
        self.key, self.asked, self.codes, self.role = ec.generate_private_key(ec.SECP256R1()), [], {}, role

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                server.asked.append(url.path)
                if url.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", server.authorize(dict(urllib.parse.parse_qsl(url.query))))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                documents = {"/.well-known/oauth-authorization-server": server.metadata, "/jwks": server.jwks}
                self.respond(*((200, documents[url.path]()) if url.path in documents else (404, {})))

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                server.asked.append(self.path)
                if self.path == "/register":
                    self.respond(201, {**json.loads(body), "client_id": "tester"})
                else:
                    self.respond(*server.token(dict(urllib.parse.parse_qsl(body))))

            def respond(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def metadata(self):
        return {"issuer": self.url, "authorization_endpoint": self.url + "/authorize",
                "token_endpoint": self.url + "/token", "registration_endpoint": self.url + "/register",
                "response_types_supported": ["code"], "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"]}

    def jwks(self):
        numbers = self.key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]}

    def authorize(self, query):
        """The user agrees at once."""
        code = secrets.token_hex(8)
        self.codes[code] = query
        back = {"code": code, **({"state": query["state"]} if "state" in query else {})}
        return query["redirect_uri"] + "?" + urllib.parse.urlencode(back)

    def token(self, form):
        query = self.codes.pop(form.get("code"), None)
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not query or query.get("code_challenge") != challenge:
            return 400, {"error": "invalid_grant"}
        claims = {"iss": self.url, "aud": query.get("resource"), "sub": "alice", "role": self.role,
                  "exp": int(time.time()) + 600}
        token = jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": "k"})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 600}
