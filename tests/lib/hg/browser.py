# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, driven by WebDriver (W3C), which chromedriver speaks."""
import json
import shutil
import urllib.error
import urllib.request

from hg.framework import Context, Failure, context, factor, skip, tmpdir, wait_until
from hg.ports import free_port
from hg.process import Process

# A page calls fetch(url, options) and tells what it may read.
FETCH = """
const [url, options, names, done] = arguments;
fetch(url, options).then(async response => done({
    status: response.status, type: response.type, text: await response.text(),
    headers: Object.fromEntries(names.map(name => [name, response.headers.get(name)]))
})).catch(error => done({error: String(error)}));
"""


class Browser:
    """All names lead to 127.0.0.1.

    .visit("http://app.test:8080/")  .fetch(url, {"method": "PUT"}, ["x-header"])
    .run("return document.title")
    """

    def __init__(self):
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            skip("needs chromium and chromium-driver: run scripts/deps.sh browser", "chromium", "tools")
        self._session = None
        self._url = f"http://127.0.0.1:{free_port()}"
        self._driver = Process(["chromedriver", f"--port={self._url.rpartition(':')[2]}"], "chromedriver",
                               env={"HOME": tmpdir()})
        context().own(Context.CLIENT, self)
        wait_until(self._is_ready, 30, "chromedriver")
        options = {"binary": shutil.which("chromium"), "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * 127.0.0.1", "--disable-background-networking"]}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options}}})
        self._session = "/session/" + made["sessionId"]
        self.version = made["capabilities"]["browserVersion"]
        self._call("POST", self._session + "/timeouts", {"script": int(20000 * factor())})

    def _is_ready(self):
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            return False

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=60 * factor()) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"{method} {path}: {error.read().decode()[:500]}") from error

    def visit(self, url):
        self._call("POST", self._session + "/url", {"url": url})

    def run(self, script, *arguments):
        return self._call("POST", self._session + "/execute/sync",
                          {"script": script, "args": list(arguments)})

    def fetch(self, url, options=None, names=()):
        """What the page may read of the response: status, type, text and these headers; or error."""
        return self._call("POST", self._session + "/execute/async",
                          {"script": FETCH, "args": [url, options or {}, list(names)]})

    def cleanup(self):
        """Ends the session: Chromium outlives a driver that is killed."""
        if self._session:
            self._call("DELETE", self._session)
            self._session = None
