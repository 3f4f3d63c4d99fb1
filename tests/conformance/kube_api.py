# SPDX-License-Identifier: Apache-2.0
"""A client of a Kubernetes API server: what the cluster of the tests and its node need of one."""
import contextlib
import http.client
import json
import ssl


class ApiError(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class KubeApi:
    """KubeApi("127.0.0.1:6443", token, CA file); inside: a context manager, in which it connects."""

    def __init__(self, server, token, authority, inside=contextlib.nullcontext):
        self.server, self.token, self._inside = server, token, inside
        self._tls = ssl.create_default_context(cafile=authority)
        self._kinds = {}

    def _open(self, method, path, body=None, content="application/json", timeout=30):
        connection = http.client.HTTPSConnection(self.server, context=self._tls, timeout=timeout)
        with self._inside():
            connection.connect()
        connection.request(method, path, None if body is None else json.dumps(body), {
            "Authorization": f"Bearer {self.token}", "Content-Type": content, "Accept": "application/json"})
        return connection, connection.getresponse()

    def call(self, method, path, body=None, content="application/json"):
        """One request; ApiError if it fails. Returns the body of the response: JSON, or another text."""
        connection, response = self._open(method, path, body, content)
        with contextlib.closing(connection):
            text = response.read().decode()
        if response.status // 100 != 2:
            raise ApiError(response.status, text)
        is_json = response.headers.get_content_type() == "application/json"
        return json.loads(text) if is_json else text

    def get(self, path):
        return self.call("GET", path)

    def merge(self, path, change):
        return self.call("PATCH", path, change, "application/merge-patch+json")

    def apply(self, manifest):
        """Creates or changes an object, as `kubectl apply --server-side` does."""
        path = self.path_of(manifest) + "?fieldManager=tests&force=true"
        return self.call("PATCH", path, manifest, "application/apply-patch+yaml")

    def delete(self, manifest):
        return self.call("DELETE", self.path_of(manifest))

    def path_of(self, manifest):
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, manifest["kind"]) not in self._kinds:
            for resource in self.get(base)["resources"]:
                if "/" not in resource["name"]:
                    self._kinds[version, resource["kind"]] = resource
        resource = self._kinds[version, manifest["kind"]]
        if resource["namespaced"]:
            base += f"/namespaces/{metadata.get('namespace', 'default')}"
        return f"{base}/{resource['name']}/{metadata['name']}"

    def watch(self, path):
        """All objects of a list and their changes: (type, object) for as long as the server keeps it open."""
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        connection, response = self._open("GET", f"{path}?{query}", timeout=None)
        with contextlib.closing(connection):
            if response.status != 200:
                raise ApiError(response.status, response.read().decode())
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code"), json.dumps(event["object"]))
                yield event["type"], event["object"]
