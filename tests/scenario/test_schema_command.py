# SPDX-License-Identifier: Apache-2.0
"""headgate schema: a JSON Schema that accepts every file that loads, and finds what is wrong in others."""
import glob
import json
import os

import jsonschema
import yaml
from hg import *
from hg.framework import binary, repository_root
from hg.gateway import SANITIZER_ENV

ROOT = repository_root()
GOOD = """
gateways: {default: {port: 8080}, public: {port: $PORT, listeners: [{hostname: a.example}]}}
routes:
- matches: [{path: {exact: /a}, query: [{name: q, value: {regex: 'x.*'}}]}]
  policies: {timeout: {requestTimeout: 1m30s}, urlRewrite: {authority: {host: a.b}, path: {prefix: /}}}
  backends: [{host: 'a:1', weight: 2, policies: {http: {version: HTTP/2.0}}}]
- {policies: {urlRewrite: {authority: none}, directResponse: {status: 200}}}
"""


def validator():
    status, out, error = run([binary("headgate"), "schema"], env=SANITIZER_ENV)
    eq((status, error), (0, ""))
    schema = json.loads(out)
    eq(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def faults(check_file, text):
    """The paths of the errors."""
    return [".".join(map(str, error.absolute_path)) for error in check_file.iter_errors(yaml.safe_load(text))]


def check_files(pattern):
    run([os.path.join(ROOT, "scripts", "make-certificates.sh")])
    check_file, compared = validator(), 0
    for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if "apiVersion" in text or \
                run([binary("headgate"), "-f", path, "--validate-only"], env=SANITIZER_ENV)[0] != 0:
            continue
        eq(faults(check_file, text), [], path)
        compared += 1
    check(compared >= 8, f"only {compared} files were compared")


@test("every example is valid", timeout=120)
def accepted():
    eq(faults(validator(), GOOD), [])
    check_files("config/examples/*.yaml")


@test("every file of the fuzzer's corpus that loads is valid", timeout=120, long=True)
def corpus():
    check_files("tests/fuzz/corpus/config/*")


@test("unknown keys, wrong types, ranges, words, durations, refused and missing keys are found")
def refused():
    check_file = validator()
    for old, new, place in (("port: 8080", "prt: 8080", "gateways.default"),
                            ("port: 8080", "port: 65536", "gateways.default.port"),
                            ("port: 8080", "port: many", "gateways.default.port"),
                            ("port: 8080", "bind: 127.0.0.1", "gateways.default"),
                            ("weight: 2", "weight: [2]", "routes.0.backends.0.weight"),
                            ("1m30s", "90", "routes.0.policies.timeout.requestTimeout"),
                            ("1m30s", "1d", "routes.0.policies.timeout.requestTimeout"),
                            ("HTTP/2.0", "HTTP/3.0", "routes.0.backends.0.policies.http.version"),
                            ("exact: /a", "exact: /a, regex: b", "routes.0.matches.0.path"),
                            ("timeout:", "extProc: {}, timeout:", "routes.0.policies.extProc"),
                            ("timeout:", "timeot:", "routes.0.policies"),
                            ("routes:", "llm: {}\nroutes:", "llm"),
                            ("backends:", "backends: {}\n  rest:", "routes.0")):
        text = GOOD.replace(old, new, 1)
        check(text != GOOD, old)
        check(place in faults(check_file, text), f"{new}: want {place}, got {faults(check_file, text)}")
