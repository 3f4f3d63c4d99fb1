# SPDX-License-Identifier: Apache-2.0
"""The admin port for clients of other hosts: config.adminAuth."""
from credentials import PASSWORD, basic, htpasswd
from hg import *
from hg.netns import Net

CONFIG = """
config: {adminAuth: %s}
binds:
- port: @port@
  listeners:
  - routes:
    - backends: [{host: 127.0.0.1:9}]
"""
OPEN = CONFIG.replace("config: {adminAuth: %s}\n", "")
BASIC = "{basicAuth: {mode: strict, realm: Operators, htpasswd: '%s'}}"


class Rig:
    """A gateway whose admin port listens on every address, asked from its own host and from another one."""

    def __init__(self, text):
        self.net = Net()
        port = free_port()
        self.gateway = Gateway(text, netns=self.net.server, env={"ADMIN_ADDR": f"0.0.0.0:{port}"})
        self.gateway.admin_port = port

    def far(self, path, method="GET", headers=()):
        address = (self.net.server.address, self.gateway.admin_port)
        return fetch(address, path, method, headers, netns=self.net.client)

    def near(self, path, method="GET", headers=()):
        return self.gateway.admin(path, method, headers)


@test("adminAuth: without it a client of another host reads and changes nothing", needs=("netns",))
def without():
    rig = Rig(OPEN)
    eq(rig.far("/config_status").status, 200, "GET from another host")
    answer = rig.far("/logging?level=debug", "POST")
    eq(answer.status, 403, "POST from another host")
    check("config.adminAuth" in answer.text, f"what to do: {answer.text}")
    eq(rig.near("/logging?level=debug", "POST").status, 200, "POST from the gateway's host")


@test("adminAuth: each request of another host needs the password, those of this host none", needs=("netns",))
def password():
    rig = Rig(CONFIG % BASIC % htpasswd("alice", "-m"))
    right, wrong = dict([basic("alice", PASSWORD)]), dict([basic("alice", "x")])
    for path, method in (("/config_dump", "GET"), ("/ui", "GET"), ("/logging", "POST")):
        for headers in ((), wrong, dict([basic("bob", PASSWORD)])):
            answer = rig.far(path, method, headers)
            eq((answer.status, answer.headers["www-authenticate"]), (401, 'Basic realm="Operators"'),
               f"{method} {path} with {headers}")
        for _ in range(2):
            eq(rig.far(path, method, right).status, 200, f"{method} {path} with the password")
        eq(rig.near(path, method).status, 200, f"{method} {path} from this host")
    dump = rig.near("/config_dump").text
    check('"adminAuth": "basicAuth"' in dump and "$apr1$" not in dump, "the dump names it, without hashes")


@test("adminAuth: an API key, changed by a reload", needs=("netns",))
def api_key():
    text = CONFIG % "{apiKey: {mode: strict, keys: [{key: first-key}]}}"
    rig = Rig(text)
    eq(rig.far("/config_status").status, 401, "without a key")
    eq(rig.far("/config_status", headers={"Authorization": "Bearer first-key"}).status, 200, "the key")
    rig.gateway.reload(text.replace("first", "second"))
    eq(rig.far("/config_status", headers={"Authorization": "Bearer first-key"}).status, 401, "the old key")
    eq(rig.far("/config_status", headers={"Authorization": "Bearer second-key"}).status, 200, "the new key")


@test("adminAuth: what would let somebody in by mistake is an error that says what to write")
def mistakes():
    for value, words in (("{}", "either basicAuth or apiKey"), ("yes", "either basicAuth or apiKey"),
                         ("{jwtAuth: {}}", "either basicAuth or apiKey"),
                         ("{apiKey: {keys: [{key: abc}]}}", "needs mode: strict"),
                         ("{apiKey: {mode: optional, keys: [{key: abc}]}}", "needs mode: strict"),
                         ("{apiKey: {mode: strict, keys: [{key: abc}], "
                          "location: {expression: 'request.path'}}}", "no expressions")):
        status, out, error = validate(CONFIG % value)
        check(status != 0 and words in out + error, f"{value}: {status} {out} {error}")
