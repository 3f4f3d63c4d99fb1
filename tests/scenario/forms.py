# SPDX-License-Identifier: Apache-2.0
"""Small configurations, one for each construct of the standalone form, and what they serve; and dumps
without the names that depend on the form."""
import difflib
import json

from hg import Gateway, check, eq


class Ask:
    """A request and its answer: the port by its name in the text, and what the answer must be."""

    def __init__(self, path, status=200, body=None, port="port", host="localhost", method="GET", headers=()):
        self.path, self.status, self.body = path, status, body
        self.port, self.host, self.method, self.headers = port, host, method, list(headers)

    def check(self, gateway):
        port = gateway.ports.get(self.port) or gateway.port
        answer = gateway.fetch(self.path, method=self.method, host=self.host, port=port, headers=self.headers)
        what = f"{self.method} http://{self.host}:<{self.port}>{self.path}"
        eq(answer.status, self.status, f"status of {what}")
        if self.body is not None:
            eq(answer.text, self.body, f"body of {what}")


def serves(text, asks, **options):
    """The configuration is loaded without an error, and each request gets its answer."""
    gateway = Gateway(text, **options)
    for ask in asks:
        ask.check(gateway)
    return gateway


def same(got, want):
    """Both dumps are the same but for what depends on the form."""
    lines = difflib.unified_diff(unnamed(want).splitlines(), unnamed(got).splitlines(), lineterm="", n=2)
    difference = "\n".join(lines)
    check(not difference, f"the dumps differ:\n{difference}")


def unnamed(dump):
    """The dump as text with the keys and names of listeners replaced by their place: what both forms have."""
    names = {}
    for bind in dump["binds"]:
        listeners = sorted(bind["listeners"].values(), key=lambda at: (at["hostname"], str(at["protocol"])))
        for index, listener in enumerate(listeners):
            name = f"{bind['key']}#{index}"
            if listener["key"] == "mcp":    # also the name of its backend, which is the same in both forms
                listener["key"] = name
                route = listener["routes"].pop("mcp:default")
                route["key"] = f"{name}/mcp:default"
                listener["routes"][route["key"]] = route
            else:
                names[listener["key"]] = name
            listener["listenerName"] = f"#{index}"
        bind["listeners"] = listeners
    for policy in dump["policies"]:
        gateway = policy["target"].get("gateway") or {}
        if gateway.get("listenerName"):
            gateway["listenerName"] = "#"
    text = json.dumps(dump, sort_keys=True)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(f'"{name}/', f'"{names[name]}/').replace(f'"/{name}/', f'"/{names[name]}/')
        text = text.replace(f'"{name}"', f'"{names[name]}"')
    dump = json.loads(text)
    dump["backends"].sort(key=lambda backend: json.dumps(backend, sort_keys=True))
    return json.dumps(dump, sort_keys=True, indent=1)
