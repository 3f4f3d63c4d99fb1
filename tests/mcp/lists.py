# SPDX-License-Identifier: Apache-2.0
"""The methods of the protocol: initialize, discover, lists in pages, resources, prompts, completion."""
from core import META, MODERN, PARAMS, NO_METHOD, Never, RpcError, text

CURSOR = ' |"\\é+_/'  # cursors are opaque: this one reveals clients that parse or misquote them
RESOURCES = ["note://a", "note://b?x=1&y=2", "note://c+d_e", "blob://one"]
PROMPTS = {"greet": ["who"], "plain": []}


def install(server):
    """Adds the methods to server.methods."""
    for method, function in METHODS.items():
        server.methods[method] = function


def capabilities(server):
    if server.options.bare:
        return {"tools": {}}
    return {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True},
            "prompts": {"listChanged": True}, "logging": {}, "completions": {},
            "experimental": {"of-" + server.name: {}}}


def initialize(call):
    server, wanted = call.session.server, call.params.get("protocolVersion")
    known = [version for version in server.versions if version != MODERN]
    if not known:
        raise RpcError(NO_METHOD, "only " + MODERN)
    call.session.version = wanted if wanted in known else known[0]
    call.session.capabilities = call.params.get("capabilities") or {}
    return {"protocolVersion": call.session.version, "capabilities": capabilities(server),
            "serverInfo": server.info, "instructions": "instructions of " + server.name}


def discover(call):
    server = call.session.server
    if MODERN not in server.versions:
        raise RpcError(NO_METHOD, "Method not found: server/discover")
    return {"supportedVersions": server.versions, "capabilities": capabilities(server),
            "instructions": "instructions of " + server.name, "ttlMs": 0, "cacheScope": "public"}


def pages(call, key, items):
    """Returns a list, in pages of --page items."""
    size, start = call.session.server.options.page or len(items) or 1, 0
    cursor = call.params.get("cursor")
    if cursor is not None:
        if not isinstance(cursor, str) or not cursor.endswith(CURSOR) or not cursor[:-len(CURSOR)].isdigit():
            raise RpcError(PARAMS, "that is no cursor of mine", {"cursor": cursor})
        start = int(cursor[:-len(CURSOR)])
    found = {key: items[start:start + size]}
    if start + size < len(items):
        found["nextCursor"] = str(start + size) + CURSOR
    if call.modern:
        found.update(ttlMs=0, cacheScope="private")
    return found


def list_tools(call):
    server = call.session.server
    names = server.options.only.split(",") if server.options.only else list(server.tools)
    names += [f"extra{number:04d}" for number in range(server.options.extra)]
    return pages(call, "tools", [{"name": name, "description": f"{name} of {server.name}",
                                  "inputSchema": {"type": "object"}} for name in names])


def call_tool(call):
    name = call.params.get("name")
    tool = call.session.server.tools.get(name)
    if not tool and isinstance(name, str) and name.startswith("extra"):
        return text(name)
    if not tool:
        raise RpcError(PARAMS, f"Unknown tool: {name}")
    return tool(call)


def list_resources(call):
    return pages(call, "resources", [{"uri": uri, "name": uri.split(":")[0], "mimeType": "text/plain"}
                                     for uri in RESOURCES])


def list_templates(call):
    return pages(call, "resourceTemplates", [{"uriTemplate": "note://{name}", "name": "note"}])


def read_resource(call):
    uri = call.params.get("uri")
    if not isinstance(uri, str) or not uri.startswith(("note://", "blob://")):
        raise RpcError(-32602 if call.modern else -32002, "Resource not found", {"uri": uri})
    content = ({"blob": "AAEC/w=="} if uri.startswith("blob") else
               {"text": f"{uri} of {call.session.server.name}"})
    found = {"contents": [{"uri": uri, "mimeType": "text/plain", **content}]}
    if call.modern:
        found.update(ttlMs=0, cacheScope="private")
    return found


def subscribe(call):
    call.session.subscribed.add(call.params.get("uri"))
    return {}


def unsubscribe(call):
    call.session.subscribed.discard(call.params.get("uri"))
    return {}


def listen(call):
    """subscriptions/listen: sends the acknowledgement, then every event."""
    call.session.listening[call.id] = call
    call.notify("notifications/subscriptions/acknowledged", _meta={META + "subscriptionId": call.id},
                notifications=call.params.get("notifications") or {})
    try:
        yield Never()
    finally:
        call.session.listening.pop(call.id, None)


def list_prompts(call):
    return pages(call, "prompts", [{"name": name, "description": f"{name} of {call.session.server.name}",
                                    "arguments": [{"name": word} for word in words]}
                                   for name, words in PROMPTS.items()])


def get_prompt(call):
    name = call.params.get("name")
    if name not in PROMPTS:
        raise RpcError(PARAMS, f"Unknown prompt: {name}")
    said = f"{name} of {call.session.server.name}: {call.arguments}"
    return {"messages": [{"role": "user", "content": {"type": "text", "text": said}}]}


def complete(call):
    ref, argument = call.params.get("ref") or {}, call.params.get("argument") or {}
    known = ref.get("name") in PROMPTS or ref.get("uri") == "note://{name}"
    if not known:
        raise RpcError(PARAMS, f"no such reference: {ref}")
    return {"completion": {"values": [str(argument.get("value")) + "-" + call.session.server.name],
                           "total": 1, "hasMore": False}}


def set_level(call):
    call.session.level = call.params.get("level")
    return {}


METHODS = {
    "initialize": initialize, "server/discover": discover, "ping": lambda call: {},
    "tools/list": list_tools, "tools/call": call_tool,
    "resources/list": list_resources, "resources/templates/list": list_templates,
    "resources/read": read_resource, "resources/subscribe": subscribe, "resources/unsubscribe": unsubscribe,
    "subscriptions/listen": listen, "prompts/list": list_prompts, "prompts/get": get_prompt,
    "completion/complete": complete, "logging/setLevel": set_level,
}
