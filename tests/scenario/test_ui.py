# SPDX-License-Identifier: Apache-2.0
"""The page for a browser: what Chromium shows of a running gateway, and what its buttons do."""
import os

from hg import *
from hg.browser import Browser

CONFIG = """
config: {timeouts: {tunnelIdle: 1h}}
binds:
- port: @port@
  listeners:
  - name: web
    routes:
    - name: slow
      matches: [{path: {pathPrefix: /delay}}]
      policies: {timeout: {requestTimeout: 10s}}
      backends: [{host: @origin@}]
    - name: held
      matches: [{path: {exact: /delay/55}}]
      backends: [{host: @origin@}]
    - name: limited
      matches: [{path: {pathPrefix: /status}}]
      policies: {localRateLimit: [{maxTokens: 1, tokensPerFill: 1, fillInterval: 1h}]}
      backends: [{host: @origin@}]
    - name: all
      backends: [{host: @origin@}]
"""
SHOTS = os.path.join("build", "ui")
# A title and its number in the first view.
TILE = """return [...document.querySelectorAll("#tiles div")].find(
    tile => tile.firstChild.textContent === arguments[0])?.lastChild.textContent"""
NAMELESS = """return [...document.querySelectorAll("button, select, input, progress, svg.plot")]
    .filter(node => !(node.getAttribute("aria-label") || node.innerText || node.labels?.length ||
      node.querySelector("title")?.textContent)).map(node => node.outerHTML)"""
TEXT = "return document.querySelector(arguments[0])?.innerText ?? ''"

# What a list shows after each of some changes, while its element "b" has the focus.
LISTS = """return import("/ui/dom.js").then(({el, reconcile}) => {
    const list = document.body.appendChild(el("div"));
    const show = keys => reconcile(list, [...keys], key => key, key => el("button", {}, key), () => {});

    show("abc");
    const focused = list.children[1];
    focused.focus();
    const seen = arguments[0].map(keys => {
        show(keys);
        return list.textContent + (document.activeElement === focused ? "" : " without the focus");
    });
    list.remove();
    return seen;
})"""


class Page:
    """The page of a gateway, in a browser that is used by the keyboard only."""

    def __init__(self, gateway):
        self.browser = Browser()
        self.browser.resize(1200, 900)
        self.browser.visit(f"http://127.0.0.1:{gateway.admin_port}/ui")

    def text(self, selector):
        return self.browser.run(TEXT, selector)

    def shows(self, selector, words, what=None):
        wait_until(lambda: words in self.text(selector), 60, what or f"{words} in {selector}")

    def lacks(self, selector, words):
        wait_until(lambda: words not in self.text(selector), 60, f"no {words} in {selector}")

    def view(self, key, tab):
        self.browser.press(key)
        selected = 'return document.querySelector("[role=tab][aria-selected=true]").textContent'
        wait_until(lambda: self.browser.run(selected) == tab, 60, tab)

    def focus(self, selector):
        script = "const node = document.querySelector(arguments[0]); node?.focus(); return Boolean(node)"
        wait_until(lambda: self.browser.run(script, selector), 60, selector)

    def choose(self, selector):
        """Activates a control as a user of the keyboard does."""
        self.focus(selector)
        self.browser.press("Enter")

    def shot(self, name):
        self.browser.screenshot(os.path.join(SHOTS, f"{name}.png"))


def overview(page, gateway):
    for _ in range(30):
        eq(gateway.fetch("/get").status, 200, "a request")
    gateway.fetch("/status/200")
    eq(gateway.fetch("/status/200").status, 429, "the second request of a limit of one")
    wait_until(lambda: page.browser.run(TILE, "Total requests") == "32", 60, "32 requests in the page")
    page.shows("#map-route", "default/all")
    page.shows("#map-endpoint", gateway.names["origin"].address)


def countdown(page, gateway):
    """A deadline runs down, and its end names the timer."""
    page.view("2", "Streams")
    slow = gateway.client()
    slow.send("GET /delay/30 HTTP/1.1\r\nHost: x\r\n\r\n")
    page.shows("#running", "request_timeout")
    check(page.browser.run('return document.querySelector("#running progress").value') <= 10000, "the bar")
    page.shows("#running", "for the response of the backend")
    page.shot("countdown")
    page.shows("#ended", "a timer fired")
    page.shows("#ended", "request_timeout")
    page.lacks("#running", "/delay/30")
    eq(slow.response().status, 504, "the answer")


def closing(page, gateway):
    """The button asks, and ends the stream only after yes."""
    held = gateway.client()
    held.send("GET /delay/55 HTTP/1.1\r\nHost: x\r\n\r\n")
    page.shows("#running", "/delay/55")
    page.choose("#running button.close")
    page.shows("dialog", "End this stream?")
    page.browser.press("Escape")
    wait_until(lambda: not page.text("dialog"), 60, "no question after Escape")
    check(gateway.admin_json("/streams"), "the stream runs on")
    page.choose("#running button.close")
    page.shows("dialog", "End this stream?")
    # The first button keeps the stream.
    page.browser.press("Tab", "Enter")
    page.shows("#ended", "admin_kill")
    page.lacks("#running", "/delay/55")
    held.expect_end()


def filtering(page):
    page.shows("#ended", "default/all")
    page.view("1", "Overview")
    page.choose('#map-route button[title="default/slow"]')
    page.shows("#filter", "route: default/slow")
    page.view("2", "Streams")
    page.lacks("#ended tbody", "default/all")
    page.shows("#ended tbody", "default/slow")
    page.shot("streams")
    page.browser.press("c")
    page.shows("#ended", "default/all")


def policies(page):
    page.view("3", "Policies")
    page.browser.run("""const route = document.getElementById("route");
        route.value = [...route.options].find(option => option.text.startsWith("default/slow")).value;
        route.dispatchEvent(new Event("change"))""")
    page.shows("#effective", '"requestTimeout":"10s"')
    page.shows("#effective", "written in the rule")
    page.shows("#refusals", "localRateLimit")
    page.view("4", "State")
    page.shows("#config", "Generation 1")


def lists(page):
    """An element that stays keeps the focus, and equal keys leave nothing behind."""
    changes = ["abc", "bc", "xbc", "cb", "bd", "bdd", "bdd", "bdd", "b"]
    eq(page.browser.run(LISTS, changes), changes, "a list after each change")


def looks(page):
    """Themes, by the system and by the button; a width for phones, without a scroll bar below."""
    background = "return getComputedStyle(document.body).backgroundColor"
    theme = "return document.documentElement.dataset.theme"
    colours = []
    page.view("1", "Overview")
    for scheme in ("light", "dark"):
        page.browser.prefer(scheme)
        wait_until(lambda: page.browser.run(theme) == scheme, 60, scheme)
        colours.append(page.browser.run(background))
        page.shot(f"overview-{scheme}")
    check(colours[0] != colours[1], f"both themes have the background {colours[0]}")
    # As the system, dark, light.
    page.browser.press("t", "t")
    wait_until(lambda: page.browser.run(background) == colours[0], 60, "the light theme by its key")
    page.browser.press("t")
    page.browser.resize(400, 800)
    wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for key, tab in (("1", "Overview"), ("2", "Streams"), ("3", "Policies"), ("4", "State")):
        page.view(key, tab)
        wait_until(lambda: not page.browser.run(wide), 60, f"{tab} without a horizontal scroll bar")
        page.shot(f"phone-{tab.lower()}")


def labels(page):
    """Each control and each plot has a name for a screen reader."""
    page.browser.resize(1200, 900)
    for key, tab in (("1", "Overview"), ("2", "Streams"), ("3", "Policies"), ("4", "State")):
        page.view(key, tab)
        nameless = page.browser.run(NAMELESS)
        eq(nameless, [], f"controls without a name in {tab}")
    page.browser.press("?")
    page.shows("dialog", "the views")
    page.browser.press("Enter")
    wait_until(lambda: not page.text("dialog"), 60, "no help after Enter")
    page.view("1", "Overview")
    page.browser.press("Right")
    page.shows("[role=tab][aria-selected=true]", "Streams")


@test("ui page: numbers, a countdown to its reason, closing, filter, policies, themes, widths and keys",
      timeout=300, heavy=True, long=True)
def page_in_chromium():
    gateway = Gateway(CONFIG, origin=Origin(), workers=2)
    page = Page(gateway)
    overview(page, gateway)
    countdown(page, gateway)
    closing(page, gateway)
    filtering(page)
    policies(page)
    lists(page)
    looks(page)
    labels(page)
    eq([line for line in page.browser.console() if "favicon" not in line], [], "messages in the console")


@test("ui page: it shows the start of the gateway, and tells when it is gone", timeout=120, heavy=True,
      long=True)
def gateway_ends():
    origin = Origin()
    gateway = Gateway(CONFIG, origin=origin, workers=1, keeper=True)
    page = Page(gateway)
    page.shows("#health", "Ready")
    page.view("4", "State")
    page.shows("#starts tbody", "started")
    gateway.stop()
    page.shows("#health", "does not answer")


@test("ui page: a page of another origin cannot end a stream", timeout=120, heavy=True, long=True)
def foreign_origin():
    origin = Origin()
    gateway = Gateway(CONFIG, origin=origin, workers=1)
    held = gateway.client()
    held.send("GET /delay/55 HTTP/1.1\r\nHost: x\r\n\r\n")
    stream = wait_until(lambda: gateway.admin_json("/streams"), 20, "the stream")[0]
    browser = Browser()
    browser.visit(f"http://{origin.address}/html")
    url = f"http://127.0.0.1:{gateway.admin_port}/streams/{stream['id']}/close"
    for options in ({"method": "POST"}, {"method": "POST", "mode": "no-cors"},
                    {"method": "POST", "headers": {"X-Headgate": "1"}}):
        answer = browser.fetch(url, options)
        check(not answer.get("text"), f"{options}: the page reads {answer}")
    eq(len(gateway.admin_json("/streams")), 1, "the stream runs on")
    # The host name of another site that leads here: the page itself is refused.
    browser.visit(f"http://evil.test:{gateway.admin_port}/ui")
    check("not served" in browser.run("return document.body.innerText"), "the page under another name")
