# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, driven by WebDriver (W3C), which chromedriver speaks."""
import base64
import json
import os
import shutil
import urllib.error
import urllib.request

from hg.framework import Context, Failure, context, factor, skip, tmpdir, wait_until
from hg.ports import free_port
from hg.process import Process

KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Right": "\ue014"}

# A page calls fetch(url, options) and tells what it may read.
FETCH = """
const [url, options, names, done] = arguments;
fetch(url, options).then(async response => done({
    status: response.status, type: response.type, text: await response.text(),
    headers: Object.fromEntries(names.map(name => [name, response.headers.get(name)]))
})).catch(error => done({error: String(error)}));
"""


def chromium_processes(directory):
    """The processes of a Chromium with its files in this directory: some end after their session."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace")
        except OSError:
            continue
        if "chromium" in line.partition("\0")[0] and directory in line:
            found.append(int(pid))
    return found


class Browser:
    """All names lead to 127.0.0.1.

    .visit("http://app.test:8080/")  .fetch(url, {"method": "PUT"}, ["x-header"])
    .run("return document.title")  .press("2")  .resize(400, 800)  .prefer("dark")  .screenshot(path)
    .console() -> lines since the last call, among them violations of a Content-Security-Policy
    """

    def __init__(self):
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            # Not one of the tools that `make thorough` has just installed.
            skip("needs chromium and chromium-driver: run scripts/deps.sh browser", "chromium")
        self._session = None
        self._url = f"http://127.0.0.1:{free_port()}"
        self._driver = Process(["chromedriver", f"--port={self._url.rpartition(':')[2]}"], "chromedriver",
                               env={"HOME": tmpdir()})
        context().own(Context.CLIENT, self)
        wait_until(self._is_ready, 30, "chromedriver")
        options = {"binary": shutil.which("chromium"), "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * 127.0.0.1", "--disable-background-networking",
            "--disable-breakpad", "--disable-crash-reporter"]}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": options}}})
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

    def press(self, *keys):
        """Presses keys one after the other, as a user of the keyboard does: letters, or names of KEYS."""
        actions = [{"type": kind, "value": KEYS.get(key, key)}
                   for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", self._session + "/actions",
                   {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def resize(self, width, height):
        self._call("POST", self._session + "/window/rect", {"width": width, "height": height})

    def prefer(self, scheme):
        """Sets prefers-color-scheme: "dark" or "light"."""
        self._call("POST", self._session + "/goog/cdp/execute", {
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"features": [{"name": "prefers-color-scheme", "value": scheme}]}})

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._call("GET", self._session + "/screenshot")))

    def console(self):
        lines = self._call("POST", self._session + "/se/log", {"type": "browser"})
        return [line["message"] for line in lines]

    def cleanup(self):
        """Ends the session: Chromium outlives a driver that is killed."""
        if self._session:
            self._call("DELETE", self._session)
            self._session = None
            wait_until(lambda: not chromium_processes(tmpdir()), 60, "the end of Chromium's processes")
