# SPDX-License-Identifier: Apache-2.0
"""What the plays about HTTP/2 towards backends have in common."""
from hg import Gateway
from hg.h2 import H2Client
from hg.h2_backend import H2Backend, H2Service
from h2cases import HTTP2_BACKEND

POLICIES = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies: %s
      backends:
      - host: @origin@
        policies: {http: {version: HTTP/2.0}}
"""
RETRY = POLICIES % "{retry: {attempts: 2, codes: [503], backoff: 10ms}}"


def served(config=HTTP2_BACKEND, handler=None, values=None, **options):
    """(gateway, H2Service)."""
    service = H2Service(handler, values)
    return Gateway(config, origin=service, workers=1, **options), service


def acted2(config=HTTP2_BACKEND, values=None, **options):
    """(gateway, H2Backend): the backend is played by the test."""
    backend = H2Backend(values)
    return Gateway(config, origin=backend, workers=1, **options), backend


def one_exchange(config=HTTP2_BACKEND, **options):
    """(gateway, backend, HTTP/2 client, its stream, connection at the backend, the stream there)."""
    gateway, backend = acted2(config)
    client = H2Client(gateway.port)
    number = client.request("/x", **options)
    upstream = backend.accept()
    return gateway, backend, client, number, upstream, upstream.expect_head()
