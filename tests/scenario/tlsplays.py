# SPDX-License-Identifier: Apache-2.0
"""What the plays about TLS of clients have in common: listeners, and clients that verify them."""
from hg import Gateway, Origin, run, wait_until
from hg.pki import Authority
from hg.tls import Tls

NAME = "one.example"

ONE = """
binds:
- port: @port@
  listeners:
  - name: one
    hostname: one.example
    protocol: HTTPS
    tls: {cert: @cert@, key: @cert_key@}
    routes:
    - name: all
      backends: [{host: @origin@}]
"""

TUNNEL = """
binds:
- port: @port@
  listeners:
  - name: ended
    hostname: one.example
    protocol: TLS
    tls: {cert: @cert@, key: @cert_key@}
    tcpRoutes:
    - name: all
      backends: [{host: @origin@}]
"""


class Stage:
    """A gateway with TLS, and its clients. backend: what is behind it, else httpbin."""

    def __init__(self, config=ONE, backend=None, key="ec", **options):
        self.authority = Authority()
        self.certificate = self.authority.issue(NAME, key=key)
        self.backend = backend or Origin()
        self.gateway = Gateway(config, origin=self.backend, cert=self.certificate.cert,
                               cert_key=self.certificate.key, **options)
        self.port = self.gateway.port

    def client(self, **options):
        return Tls(self.port, self.authority, NAME, **options)

    def curl(self, path, *options, scheme="https"):
        """(exit status, stdout, stderr) of a curl that trusts the authority."""
        return run(["curl", "-sS", "--cacert", self.authority.cert, "--connect-to",
                    f"{NAME}:{self.port}:127.0.0.1:{self.port}", *options,
                    f"{scheme}://{NAME}:{self.port}{path}"])

    def s_client(self, *options, text_input="", timeout=30):
        """All that openssl s_client says."""
        status, out, error = run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername",
                                  NAME, "-CAfile", self.authority.cert, *options], timeout=timeout,
                                 text_input=text_input)
        return status, out + error

    def ends(self, reason):
        return self.gateway.metrics()("headgate_stream_end_total", reason=reason)

    def wait_ends(self, reason, count, timeout=5):
        wait_until(lambda: self.ends(reason) >= count, timeout, f"{count} of {reason}")
