# SPDX-License-Identifier: Apache-2.0
"""CORS and csrf with Chromium: what pages of other origins may send, and what they may read."""
from credentials import PASSWORD, basic, htpasswd
from hg import *
from hg.browser import Browser

POLICIES = {
    "bare": "",
    "plain": "cors: {allowOrigins: ['http://*.site.test:@page@'], allowMethods: [GET, PUT], "
             "allowHeaders: [x-sent], exposeHeaders: [x-shown], maxAge: 10m}",
    "asks": "cors: {allowOrigins: ['http://app.site.test:@page@'], allowMethods: [PUT], maxAge: 0s}",
    "user": "cors: {allowOrigins: ['http://app.site.test:@page@'], allowMethods: [GET, DELETE], "
            "allowHeaders: [x-sent], allowCredentials: true}",
    "every": "cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*']}",
    "everyone": "cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], "
                "allowCredentials: true}",
    "basic": "cors: {allowOrigins: ['http://app.site.test:@page@'], allowMethods: [GET], "
             "allowHeaders: [authorization], exposeHeaders: [www-authenticate]}, "
             "basicAuth: {mode: strict, realm: Staff, htpasswd: '%s'}",
    "forms": "cors: {allowOrigins: ['*']}, csrf: {additionalOrigins: ['http://app.site.test:@page@']}",
}


def config():
    text = "binds:"
    for name, policies in POLICIES.items():
        if "%s" in policies:
            policies %= htpasswd("alice", "-m")
        text += f"""
- port: @{name}@
  listeners:
  - routes:
    - name: {name}
      policies: {{{policies}}}
      backends: [{{host: @origin@}}]"""
    return text


@test("Chromium sends, lets read and refuses what the policies of an API say, by origin and by credentials",
      timeout=120, heavy=True, long=True)
def chromium():
    browser = Browser()
    origin = Origin()
    page = origin.address.rpartition(":")[2]
    gateway = Gateway(config().replace("@page@", page), origin=origin, workers=1)

    def ask(port, path="/get", options=None, names=()):
        return browser.fetch(f"http://api.site.test:{gateway.ports[port]}{path}", options, names)

    def reads(port, status, *more, why=""):
        answer = ask(port, *more)
        eq(answer.get("status"), status, f"{port} {more}: {answer} {why}")
        return answer

    def fails(port, *more):
        answer = ask(port, *more)
        check("Failed to fetch" in answer.get("error", ""), f"{port} {more}: the page reads {answer}")

    def requests(method, route):
        return len([row for row in gateway.log() if row["http.method"] == method
                    and row.get("route", "").endswith("/" + route)])

    def settled():
        """Waits until the log has every request so far: a worker writes its lines in order."""
        mark = f"/status/204?{len(gateway.log())}"
        gateway.fetch(mark, port="bare")
        gateway.wait_log(lambda row: row["http.path"] == mark)

    put = {"method": "PUT", "headers": {"x-sent": "1"}, "body": "{}"}
    include = {"credentials": "include"}
    browser.visit(f"http://app.site.test:{page}/html")
    browser.run("document.cookie = 'sid=c00kie; domain=site.test'")
    # Without the policy the request arrives, and the page reads nothing.
    fails("bare")
    wait_until(lambda: requests("GET", "bare") == 1, 10, "the request at the backend")
    # Lists of methods, headers and exposed headers.
    shown = reads("plain", 200, "/response-headers?x-shown=1&x-hidden=2", None, ["x-shown", "x-hidden"])
    eq(shown["headers"], {"x-shown": "1", "x-hidden": None}, "exposed headers")
    reads("plain", 200, "/anything", put)
    fails("plain", "/anything", {"method": "PUT", "headers": {"x-other": "1"}})
    fails("plain", "/anything", {"method": "DELETE"})
    settled()
    eq((requests("PUT", "plain"), requests("DELETE", "plain")), (1, 0), "what came after the preflights")
    # The preflight for PUT is remembered for ten minutes; with maxAge 0 each request has its own.
    before = requests("OPTIONS", "plain")
    for _ in range(3):
        reads("plain", 200, "/anything/kept", put)
        reads("asks", 200, "/anything/kept", {"method": "PUT"})
    settled()
    eq((requests("OPTIONS", "plain") - before, requests("OPTIONS", "asks")), (1, 3), "preflights")
    # Errors of the gateway and of the backend are readable, too.
    reads("plain", 503, "/status/503")
    # Credentials: only with allowCredentials, and never with a wildcard that names nobody.
    fails("plain", "/get", include)
    fails("every", "/get", include)
    check("c00kie" in reads("user", 200, "/get", include)["text"], "the cookie is not sent")
    check("c00kie" not in reads("user", 200)["text"], "a cookie is sent unasked")
    reads("user", 200, "/anything", {"method": "DELETE", "headers": {"x-sent": "1"}, **include})
    fails("user", "/anything", {"method": "PUT", **include})
    reads("everyone", 200, "/anything", {**put, **include})
    # Wildcards.
    shown = reads("every", 200, "/response-headers?x-any=1", {"headers": {"x-sent": "1"}}, ["x-any"])
    eq(shown["headers"], {"x-any": "1"}, "every header")
    reads("every", 200, "/anything", put)
    # A refusal is readable, a password gets in.
    refused = reads("basic", 401, "/get", None, ["www-authenticate"])
    eq(refused["text"], "basic authentication failure: no basic authentication credentials found", "text")
    eq(refused["headers"], {"www-authenticate": 'Basic realm="Staff"'}, "header")
    for password, status in ((PASSWORD, 200), ("x", 401)):
        reads("basic", status, "/get", {"headers": {"Authorization": basic("alice", password)[1]}})
    # Another site, whose name only looks alike, and one without an origin.
    for url in (f"http://app.site.test.evil.test:{page}/html", f"http://evilsite.test:{page}/html"):
        browser.visit(url)
        for port in ("plain", "user", "basic"):
            fails(port)
            fails(port, "/anything", put)
        reads("every", 200)
    sandbox = "/response-headers?Content-Security-Policy=sandbox%20allow-scripts"
    browser.visit(f"http://app.site.test:{page}{sandbox}")
    eq(browser.run("return self.origin"), "null", "the origin of a sandboxed page")
    fails("plain")
    fails("user", "/get", include)
    reads("every", 200)
    # csrf keeps the requests themselves of other sites, and of sandboxed pages, from the backend.
    for url in (f"http://app.site.test:{page}{sandbox}", f"http://evil.test:{page}/html",
                f"http://b.site.test:{page}/html"):
        browser.visit(url)
        reads("forms", 403, "/anything", {"method": "POST", "body": "a=b"})
        reads("forms", 200)
    browser.visit(f"http://app.site.test:{page}/html")
    reads("forms", 200, "/anything", {"method": "POST", "body": "a=b"})
    browser.visit(f"http://api.site.test:{gateway.ports['forms']}/html")
    reads("forms", 200, "/anything", {"method": "POST", "body": "a=b"})
    # Another host that the pattern stands for.
    browser.visit(f"http://b.a.site.test:{page}/html")
    reads("plain", 200, "/anything", put)
    fails("user")
