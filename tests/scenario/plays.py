# SPDX-License-Identifier: Apache-2.0
"""What the HTTP plays have in common: the plainest gateway in front of one backend."""
from hg import Backend, Gateway, Origin

SIMPLE = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      backends:
      - host: @origin@
"""

# Clients may close their side and still want the answer.
HALF_CLOSE_KEPT = "frontendPolicies: {http: {halfClose: keep}}\n"

RETRYING = """
config: {retry: %(config)s}
binds:
- port: @port@
  listeners:
  - routes:
    - name: all
      policies:
        retry: %(retry)s
      backends:
      - host: @origin@
"""


def retrying(retry="{attempts: 3, codes: [503]}", config="{}"):
    return RETRYING % {"retry": retry, "config": config}


def play(config=SIMPLE, workers=1, origin_options=None, **options):
    """(gateway, httpbin). One worker, so that pool and counters are those of one thread."""
    origin = Origin(**(origin_options or {}))
    return Gateway(config, origin=origin, workers=workers, **options), origin


def acted(config=SIMPLE, workers=1, **options):
    """(gateway, backend): the backend is played by the test."""
    backend = Backend()
    return Gateway(config, origin=backend, workers=workers, **options), backend


def lanes(config=SIMPLE):
    """(name, the same configuration held to that lane) for bodies that are large enough for the pipe."""
    for name, allowed in (("copy", "[]"), ("pipe", "[pipe]")):
        yield name, config + f"config: {{splice: {{lanes: {allowed}}}}}\n"
