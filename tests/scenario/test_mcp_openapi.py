# SPDX-License-Identifier: Apache-2.0
"""A REST API as an MCP target: each operation of its OpenAPI document is a tool."""
import http.server
import json
import os
import threading
import urllib.parse

from hg import *
from hg.framework import tmpdir
from hg.mcp import MODERN, VERSIONS, Mcp, McpError, McpGateway, config
from mcpplays import child, fails, play

PNG = b"\x89PNG\r\n\x1a\n\xff"
ID = {"name": "petId", "in": "path", "required": True, "schema": {"type": "integer"}}
DOCUMENT = {
    "openapi": "3.0.3", "info": {"title": "Pets", "version": "1.2"},
    "servers": [{"url": "https://pets.example/v1"}],
    "paths": {
        "/pets": {
            "get": {"operationId": "listPets", "summary": "All pets", "parameters": [
                {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                {"name": "X-Api-Key", "in": "header", "schema": {"type": "string"}}]},
            "post": {"operationId": "addPet", "requestBody": {"required": True, "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}}},
        "/pets/{petId}": {
            "parameters": [ID],
            "get": {"operationId": "getPet"}, "delete": {"operationId": "removePet"}},
        "/files/{name}": {"get": {"operationId": "getFile", "parameters": [{"name": "name", "in": "path"}]}},
        "/photo": {"get": {"operationId": "photo"}}},
    "components": {"schemas": {"Pet": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "parent": {"$ref": "#/components/schemas/Pet"}}}}},
}


class Documents:
    """A server of OpenAPI documents, one for each path. asked: the paths of all requests."""

    def __init__(self):
        documents = self
        self.answers, self.asked, self.over = {}, [], threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def do_GET(self):
                documents.asked.append(self.path)
                status, headers, parts = documents.answers[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for part in parts:
                        self.wfile.write(part)
                except OSError:  # the gateway has had enough
                    pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, path, document, status=200, **headers):
        """A document, text, or an iterator over parts of it; returns the URL."""
        if isinstance(document, dict):
            document = json.dumps(document)
        parts = [document.encode()] if isinstance(document, str) else document
        self.answers[path] = (status, headers, parts)
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def slowly(self):
        """A document without an end."""
        while not self.over.wait(0.1):
            yield b" "


class Pets:
    """The API. seen: (method, target, headers with names in lower case) of what came."""

    def __init__(self):
        pets = self
        self.seen, self.store = [], {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pets.seen.append((self.command, self.path,
                                  {name.lower(): value for name, value in self.headers.items()}))
                status, kind, answer = pets.answer(self.command, urllib.parse.urlsplit(self.path), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = serve

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def answer(self, method, url, body):
        parts = url.path.split("/")[1:]
        if parts == ["v1", "photo"]:
            return 200, "image/png", PNG
        if parts[:2] == ["v1", "files"]:
            return 200, "text/plain", urllib.parse.unquote(parts[2]).encode()
        if parts == ["v1", "pets"] and method == "POST":
            number = len(self.store) + 1
            self.store[number] = {"id": number, **json.loads(body)}
            return 201, "application/json", json.dumps(self.store[number]).encode()
        if parts == ["v1", "pets"]:
            tags = urllib.parse.parse_qs(url.query).get("tag", [])
            return 200, "application/json", json.dumps([tags, *self.store.values()]).encode()
        pet = self.store.get(int(parts[2])) if parts[:2] == ["v1", "pets"] else None
        if not pet:
            return 404, "application/json", b'{"error": "no such pet"}'
        if method == "DELETE":
            del self.store[pet["id"]]
            return 204, "text/plain", b""
        return 200, "application/json", json.dumps(pet, indent=1).encode()

    def target(self, document=None, name="pets", **more):
        path = os.path.join(tmpdir(), f"{name}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document or DOCUMENT, file)
        return {"name": name, "openapi": {"schema": {"file": path}, "host": f"127.0.0.1:{self.port}"}, **more}


def call(client, name, **arguments):
    """(whether it is an error, the texts, the object) of a tool's result."""
    result = client.call(name, arguments)
    return (result.get("isError", False), [one.get("text") for one in result["content"]],
            result.get("structuredContent"))


@test("mcp openapi: operations are tools for clients of every version, and calls are requests")
def tools():
    pets = Pets()
    gateway, _ = play(pets.target())
    names = ["listPets", "addPet", "getPet", "removePet", "getFile", "photo"]
    for version in (*VERSIONS, MODERN):
        client = Mcp(gateway, version=version)
        eq(client.tools(), names, f"tools of {version}")
        error, texts, pet = call(client, "addPet", body={"name": "Rex", "parent": {"name": "Ada"}})
        check(not error and pet["name"] == "Rex" and json.loads(texts[0]) == pet, f"{texts} {pet}")
        eq(call(client, "getPet", path={"petId": pet["id"]})[2], pet, "the pet")
        eq(call(client, "removePet", path={"petId": pet["id"]}), (False, ["status 204"], None), "removed")
        error, texts, why = call(client, "getPet", path={"petId": pet["id"]})
        eq((error, texts[0], why), (True, "status 404", {"error": "no such pet"}), "a pet that is gone")
        error, texts, _ = call(client, "listPets", query={"tag": ["a b", "c&d"]})
        eq((error, json.loads(texts[0])), (False, [["a b", "c&d"]]), "the list")
    with client.start("subscriptions/listen", {"notifications": {"toolsListChanged": True}}) as listener:
        eq(listener.next()["method"], "notifications/subscriptions/acknowledged", "nothing will change")
    client = Mcp(gateway)
    eq(client.server["serverInfo"], {"name": "Pets", "version": "1.2"}, "serverInfo")
    eq(call(client, "photo"), (False, [f"{len(PNG)} bytes that are no text"], None), "a photo")
    tool = client.all("tools/list", "tools")[1]
    eq(tool["inputSchema"], {"type": "object", "required": ["body"], "properties": {"body": {
        "type": "object", "required": ["name"],
        "properties": {"name": {"type": "string"}, "parent": {}}}}}, "inputSchema")
    fails(-32602, client.call, "nothing")
    eq(gateway.metrics()("headgate_mcp_call_duration_seconds_count", tool="getPet", status="error"), 4.0,
       "calls of a pet that is gone, one of each version")


@test("mcp openapi: no argument leads to another path, header or request")
def hostile():
    pets = Pets()
    gateway, _ = play(pets.target())
    client = Mcp(gateway)
    for name in ("..", ".", "../admin", "a/../../../admin", "..\\admin", "", "a\r\nX: y", "\0"):
        error, texts, _ = call(client, "getFile", path={"name": name})
        check(error and texts[0].startswith("path"), f"{name!r}: {texts}")
    for arguments, word in (({"header": {"X-Trace": "a\r\nHost: b"}}, "header.X-Trace"),
                            ({"header": {"Host": "b"}}, "header.Host"),
                            ({"query": {"admin": "1"}}, "query.admin"), ({"body": {}}, "body"),
                            ({"tag": "a"}, "tag")):
        error, texts, _ = call(client, "listPets", **arguments)
        check(error and texts[0].startswith(word), f"{arguments}: {texts}")
    eq(pets.seen, [], "requests of refused calls")
    for name in ("a/b", "a?b=c", "a#b", "a;b", "a%2f..%2fb", "é", "a b", "...", "x" * 2000):
        eq(call(client, "getFile", path={"name": name}), (False, [name], None), "the name that the API got")
        eq(pets.seen[-1][1].count("/"), 3, f"segments of {pets.seen[-1][1]}")


@test("mcp openapi: beside another target its tools have its name, and rules hide and refuse them")
def rules():
    pets = Pets()
    gateway, _ = play(pets.target(), child("kid", only="who"), policies={
        "mcpAuthorization": {"rules": ["mcp.tool.target == 'kid' || mcp.tool.name == 'getPet'"]}})
    client = Mcp(gateway)
    eq(sorted(client.tools()), ["kid_who", "pets_getPet"], "tools")
    eq(client.text("kid_who").split()[0], "kid", "the child")
    eq(call(client, "pets_getPet", path={"petId": 1})[1][0], "status 404", "allowed")
    fails(None, client.call, "pets_removePet", {"path": {"petId": 1}})
    eq([one[0] for one in pets.seen], ["GET"], "what the API got")


@test("mcp openapi: policies of the target add the key, which no argument replaces")
def policies():
    pets = Pets()
    gateway, _ = play(pets.target(policies={
        "backendAuth": {"key": {"value": "secret", "location": {"header": {"name": "x-api-key"}}}},
        "requestHeaderModifier": {"set": {"x-team": "pets"}}}))
    client = Mcp(gateway, headers={"X-Client": "tester", "Cookie": "a=b"})
    error, _, _ = call(client, "listPets", header={"X-Trace": "t1", "X-Api-Key": "mine"})
    check(not error, "the call")
    headers = pets.seen[-1][2]
    eq([headers.get(name) for name in ("x-api-key", "x-team", "x-trace", "x-client", "host")],
       ["secret", "pets", "t1", "tester", f"127.0.0.1:{pets.port}"], "headers")
    check(not [name for name in headers if name.startswith("mcp-")], f"headers of MCP: {headers}")


@test("mcp openapi: a changed document is read, a wrong one changes nothing; sessions keep their tools")
def reload():
    pets = Pets()
    gateway = McpGateway(config([pets.target()]), workers=1)
    before = Mcp(gateway)
    modern = Mcp(gateway, version=MODERN)
    eq(modern.tools(), before.tools(), "before")
    pets.target({**DOCUMENT, "openapi": "2.0"})
    wait_until(lambda: "is not a document of OpenAPI" in gateway.stderr, 10, "the error")
    eq(modern.tools(), before.tools(), "after a wrong one")
    paths = {"/photo": {"get": {"operationId": "photo"}}}
    pets.target({**DOCUMENT, "paths": paths})
    wait_until(lambda: Mcp(gateway).tools() == ["photo"], 10, "the new document")
    wait_until(lambda: modern.tools() == ["photo"], 10, "the new document, without sessions")
    check("getFile" in before.tools(), "the session that has begun before")
    eq(call(before, "getFile", path={"name": "x"})[1], ["x"], "a call of it")


@test("mcp openapi: an API that is away, or ends within its response, fails the call and not the session")
def away():
    backend = Backend()
    pets = Pets()
    target = pets.target()
    target["openapi"]["host"] = backend.address
    gateway, _ = play(target)
    client = Mcp(gateway)
    begun = client.start("tools/call", {"name": "photo", "arguments": {}})
    upstream = backend.accept()
    eq(upstream.read_request().target, "/v1/photo", "target")
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    upstream.close()
    error = begun.next()["error"]
    check(error["code"] == -32000 and "pets" in error["message"], f"{error}")
    begun.close()
    backend.close()
    fails(-32000, client.call, "photo", {})
    eq(len(client.tools()), 6, "the session")


def behind(url, pets, name):
    return {"name": name, "openapi": {"schema": {"url": url}, "host": f"127.0.0.1:{pets.port}"}}


def tools_or_code(client):
    try:
        return client.tools()
    except McpError as error:
        return error.code


def failures(gateway, url):
    return [line for line in gateway.stderr.splitlines() if url + " could not be fetched" in line]


@test("mcp openapi: a document from a URL is there once it came; wrong, huge and endless ones harm nobody",
      waits=True)
def urls():
    documents, pets = Documents(), Pets()
    url = documents.publish("/pets", DOCUMENT, status=404)
    hostile = {"huge": documents.publish("/huge", iter(lambda: b" " * 65536, None)),
               "moved": documents.publish("/moved", "", status=302, Location=url),
               "deep": documents.publish("/deep", "[" * 100000),
               "slow": documents.publish("/slow", documents.slowly())}
    whys = {"huge": "the response is too large", "moved": "the response has the status 302",
            "deep": "response:"}
    targets = [behind(address, pets, name) for name, address in {"pets": url, **hostile}.items()]
    gateway, _ = play(*targets, settings={"failureMode": "failOpen"})
    alone, _ = play(targets[0])
    wait_until(lambda: all(failures(gateway, hostile[name]) for name in whys), 20, "the failures")
    for name, why in whys.items():
        check(why in failures(gateway, hostile[name])[0], failures(gateway, hostile[name])[0])
    wait_until(lambda: failures(alone, url), 20, "the first failure")
    check("status 404; MCP targets with it refuse" in failures(alone, url)[0], failures(alone, url)[0])
    eq(fails(-32000, Mcp, alone).text, "the OpenAPI document of pets has not been fetched yet", "initialize")
    fails(-32000, Mcp(alone, version=MODERN).tools)
    eq(alone.metrics()("headgate_openapi_fetched_timestamp_seconds", url=url), 0.0, "not fetched")
    documents.publish("/pets", DOCUMENT)
    wait_until(lambda: "fetched the OpenAPI document from " + url in alone.stderr, 30, "the document")
    eq(len(failures(alone, url)), 1, "lines about the same failure")
    client = Mcp(alone)
    eq(len(client.tools()), 6, "tools")
    modern = Mcp(alone, version=MODERN)
    eq(modern.tools(), client.tools(), "without a session")
    eq(call(client, "getFile", path={"name": "x"})[1], ["x"], "a call")
    check(alone.metrics()("headgate_openapi_fetched_timestamp_seconds", url=url) > 1e9, "when")
    wait_until(lambda: "fetched the OpenAPI document from " + url in gateway.stderr, 30, "beside the others")
    wait_until(lambda: [one for one in Mcp(gateway).tools() if one.startswith("pets_")], 30, "its tools")
    # A reload keeps the document while the URL is the same, even if nothing is there any more.
    documents.publish("/pets", "gone", status=500)
    asked = documents.asked.count("/pets")
    alone.write("config.yaml", config([{**targets[0], "policies": {"backendAuth": {"key": "k"}}}]))
    wait_until(lambda: call(Mcp(alone), "photo")[1] and pets.seen[-1][2].get("authorization"), 10, "a reload")
    wait_until(lambda: call(modern, "photo")[1] and pets.seen[-1][2].get("authorization"), 10,
               "the key, without a session")
    eq(documents.asked.count("/pets"), asked, "requests for the document")
    # A URL that never had one, corrected: clients without sessions share targets, which have to follow.
    names = client.tools()
    nothing = documents.publish("/none", "", status=404)
    alone.write("config.yaml", config([behind(nothing, pets, "pets")]))
    wait_until(lambda: tools_or_code(modern) == -32000, 10, "a reload to a URL without a document")
    alone.write("config.yaml", config([behind(documents.publish("/new", DOCUMENT), pets, "pets")]))
    wait_until(lambda: tools_or_code(modern) == names, 10, "the document of the corrected URL")
    documents.over.set()


@test("mcp openapi: a wrong document behind a URL leaves the one before in force, and an endless one ends",
      timeout=180, waits=True, long=True)
def urls_later():
    documents, pets = Documents(), Pets()
    url = documents.publish("/pets", DOCUMENT, **{"Cache-Control": "max-age=1"})
    slow = documents.publish("/slow", documents.slowly())
    gateway, _ = play(behind(url, pets, "pets"), behind(slow, pets, "slow"),
                      settings={"failureMode": "failOpen"})
    wait_until(lambda: gateway.metrics()("headgate_openapi_fetched_timestamp_seconds", url=url), 20,
               "the document")
    old = Mcp(gateway)
    documents.publish("/pets", {**DOCUMENT, "openapi": "2.0"})
    wait_until(lambda: failures(gateway, slow), 40, "the end of the endless one")
    wait_until(lambda: failures(gateway, url), 90, "the wrong document")
    check("is not a document of OpenAPI" in failures(gateway, url)[0], failures(gateway, url)[0])
    check("what came" in failures(gateway, url)[0], failures(gateway, url)[0])
    eq(Mcp(gateway).tools(), old.tools(), "tools of a new session")
    documents.publish("/pets", {**DOCUMENT, "paths": {"/photo": {"get": {"operationId": "photo"}}}})
    wait_until(lambda: len(Mcp(gateway).tools()) == 1, 30, "the next document")
    eq(len(old.tools()), 6, "tools of the old session")
    eq(len(failures(gateway, url)), 1, "lines about it")
    documents.over.set()
