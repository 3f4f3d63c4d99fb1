# SPDX-License-Identifier: Apache-2.0
"""Services that others wrote, asked by the gateway: Envoy's rate limit service, and oauth2-proxy."""
import base64
import hashlib
import os

from hg import *
from hg.framework import repository_root
from programs import Program, Redis, write

BUILT = os.path.join(repository_root(), "build", "services")
CONFIG = """
binds:
- port: @port@
  listeners:
  - routes:
    - name: sign-in
      matches: [{path: {pathPrefix: /oauth2/}}]
      backends: [{host: '127.0.0.1:@service@'}]
    - name: guarded
      policies:
        %s
      backends: [{host: @origin@}]
"""
LIMITS = """
domain: shop
descriptors:
- key: path
  value: /anything/few
  rate_limit: {unit: day, requests_per_unit: 3}
- key: user
  rate_limit: {unit: day, requests_per_unit: 5}
"""
PASSWORD, SIGN_IN = "correct horse", "/oauth2/sign_in"
USER = "x-auth-request-user"


def built(name):
    """The path of a service that services/build.sh has built; without it the test is skipped."""
    path = os.path.join(BUILT, name)
    if not os.path.exists(path):
        skip(f"{name} is not built: tests/interop/services/build.sh says why", name)
    return path


class RateLimit(Program):
    """Envoy's rate limit service, which counts in Redis. .port: gRPC."""

    def command(self):
        program = built("ratelimit")
        config = os.path.join(self.directory, "limits", "config")
        os.makedirs(config)
        write(config, "shop.yaml", LIMITS)
        settings = {
            "BACKEND_TYPE": "redis", "REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": f"127.0.0.1:{Redis().port}",
            "RUNTIME_ROOT": self.directory, "RUNTIME_SUBDIRECTORY": "limits", "RUNTIME_WATCH_ROOT": "false",
            "USE_STATSD": "false", "LOG_LEVEL": "error", "LIMIT_RESPONSE_HEADERS_ENABLED": "true",
            "HOST": "127.0.0.1", "PORT": free_port(), "GRPC_HOST": "127.0.0.1", "GRPC_PORT": self.port,
            "DEBUG_HOST": "127.0.0.1", "DEBUG_PORT": free_port()}
        return ["env", *(f"{name}={value}" for name, value in settings.items()), program]


class SignIn(Program):
    """oauth2-proxy with one user of its own; GET /oauth2/auth is 202 or 401."""

    def command(self):
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        users = write(self.directory, "users", f"alice:{{SHA}}{digest}\n")
        return [built("oauth2-proxy"), f"--http-address=127.0.0.1:{self.port}", "--provider=github",
                "--client-id=none", "--client-secret=none", f"--cookie-secret={'0123456789abcdef' * 2}",
                "--cookie-secure=false", "--email-domain=*", "--upstream=static://202",
                "--reverse-proxy=true", "--set-xauthrequest=true", f"--htpasswd-file={users}"]


def begin(policies, service):
    return Gateway(CONFIG % policies, origin=Origin(), service=service.port)


@test("Envoy's rate limit service counts in Redis by what the descriptors say", timeout=120)
def rate_limited():
    service = RateLimit()
    gateway = begin("""remoteRateLimit:
          host: '127.0.0.1:@service@'
          domain: shop
          descriptors:
          - entries: [{key: path, value: request.path}]
          - entries: [{key: user, value: 'request.headers["x-user"]'}]
            cost: 'request.headers["x-cost"]'""", service)
    # The service may not have read its limits yet.
    wait_until(lambda: gateway.fetch("/anything/other").status == 200, 30, "the service")
    eq([gateway.fetch("/anything/few").status for _ in range(5)], [200, 200, 200, 429, 429], "by path")
    eq(gateway.fetch("/anything/many").status, 200, "another path")
    answers = [gateway.fetch("/anything/many", headers={"X-User": name, "X-Cost": cost})
               for name, cost in (("bob", "2"), ("bob", "3"), ("bob", "1"), ("eve", "1"))]
    eq([answer.status for answer in answers], [200, 200, 429, 200], "by user and cost")
    eq([answer.header("x-ratelimit-remaining") for answer in answers], ["3", "0", "0", "4"], "what is left")
    service.process.kill()
    eq(gateway.fetch("/anything/many").status, 500, "without the service nobody enters")


@test("oauth2-proxy signs a person in: without a session the client is sent there, with one its name is the "
      "service's, whatever the client says", timeout=120)
def signed_in():
    service = SignIn()
    gateway = begin("""extAuthz:
          host: '127.0.0.1:@service@'
          includeRequestHeaders: [cookie]
          protocol:
            http:
              path: '"/oauth2/auth"'
              redirect: '"/oauth2/sign_in?rd=" + request.path'
              includeResponseHeaders: [x-auth-request-user]""", service)
    forged = {"X-Auth-Request-User": "root"}
    for headers in ({}, forged, {**forged, "Cookie": "_oauth2_proxy=forged"}):
        answer = gateway.fetch("/anything/a", headers=headers)
        eq((answer.status, answer.header("location")), (302, SIGN_IN + "?rd=/anything/a"), "no session")
    form = f"username=alice&password={PASSWORD.replace(' ', '+')}".encode()
    answer = gateway.client().request("POST", SIGN_IN, body=form, headers=[
        ("Content-Type", "application/x-www-form-urlencoded")]).response()
    eq(answer.status, 302, "the sign-in")
    cookie = answer.header("set-cookie").split(";")[0]
    for headers in ({}, forged):
        answer = gateway.fetch("/anything/a", headers={**headers, "Cookie": cookie})
        eq(answer.status, 200, "with a session")
        seen = answer.json()["headers"]
        eq([seen[name] for name in seen if name.lower() == USER], ["alice"], "who it is")
    answer = gateway.fetch("/anything/a", headers={"Cookie": cookie[:-4] + "AAAA"})
    eq(answer.status, 302, "a session that was changed")
    service.process.kill()
    eq(gateway.fetch("/anything/a", headers={"Cookie": cookie}).status, 403, "without the service")
