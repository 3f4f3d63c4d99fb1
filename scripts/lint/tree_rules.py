# SPDX-License-Identifier: Apache-2.0
"""Rules on the tree as a whole. Each takes the Tree and yields (path, line, message)."""
import ast
import collections
import concurrent.futures
import glob
import os
import re
import shlex
import subprocess

import states
import tables
from make import MakeError, compile_commands
from source import line_of, matches

TICKED = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
TREE_PATH = re.compile(r"(?:\./)?(?:user|policy|admin|config|bpf|tests|scripts|\.ci)/[\w./*{},-]*$")
FILE_NAME = re.compile(r"[\w.-]+\.(?:cc?|h|def|py|sh)$")
FUNCTION = re.compile(r"([a-z]\w*_\w+)(\(\))?$")
IN_FENCE = re.compile(r"(?<![\w./{<-])(?:(?:user|policy|admin|config|bpf|tests|scripts)/[\w./*{},-]*\w|"
                      r"[a-z]\w*_\w+\(\))")
MODULE_DIRS = ("user/", "policy/", "admin/", "config/", "bpf/")
SOURCE_ENDS = (".c", ".cc", ".h", ".def", ".py", ".sh", ".yaml")


def check_scripts(tree):
    for path in tree.paths:
        if path.endswith(".py"):
            try:
                ast.parse(tree.text(path), path)
            except SyntaxError as error:
                yield path, error.lineno or 1, f"does not parse: {error.msg}"
        elif path.endswith(".sh") or path == ".ci/run":
            shell = "bash" if "bash" in tree.text(path).split("\n", 1)[0] else "sh"
            result = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
            if result.returncode:
                yield path, 1, "does not parse: " + result.stderr.strip().split("\n")[0]


def check_readmes(tree):
    folders = {os.path.dirname(p) for p in tree.paths if p.endswith(SOURCE_ENDS)}
    for folder in sorted(folders):
        if matches(folder, tables.DATA_DIRS) or folder.startswith("."):
            continue
        readme = os.path.join(folder, "README.md")
        if readme not in tree.paths:
            yield readme, 1, "write it: purpose, files in reading order, invariants and checks, how to test"


def braces(pattern):
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        return [pattern]
    return [r for part in match.group(1).split(",")
            for r in braces(pattern[:match.start()] + part + pattern[match.end():])]


def exists(root, base, name):
    for one in braces(name):
        places = [os.path.join(root, base, one), os.path.join(root, one)]
        if not any(glob.glob(place) for place in places):
            return False
    return True


def check_names(tree):
    """Paths, files and functions that documents name must exist, also in fenced blocks."""
    base_names = {os.path.basename(p) for p in tree.paths}
    words, modules = set(), set()
    for path in tree.paths:
        if path.endswith((".c", ".cc", ".h", ".def", ".py", ".sh")):
            words.update(re.findall(r"\w+", tree.text(path)))
        if path.endswith((".c", ".cc", ".h")) and path.startswith(MODULE_DIRS):
            modules.add(re.split(r"[_.]", os.path.basename(path))[0])
    modules.discard("proxy")  # so begin directives of nginx, too
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        base = os.path.dirname(path)
        text = FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), tree.text(path))
        named = [(match.start(), match.group(1).strip()) for match in TICKED.finditer(text)]
        for fence in FENCE.finditer(tree.text(path)):
            named += [(fence.start() + match.start(), match.group(0).replace("()", ""))
                      for match in IN_FENCE.finditer(fence.group(0))]
        for start, word in named:
            line = line_of(text, start)
            function = FUNCTION.match(word)
            if TREE_PATH.match(word):
                name = word.rstrip("/")  # a diagram may omit the end of a file name
                if not exists(tree.root, base, name) and not exists(tree.root, base, name + ".[ch]"):
                    yield path, line, f"there is no {word}"
            elif FILE_NAME.match(word):
                if word not in base_names and not glob.glob(os.path.join(tree.root, base, word)):
                    yield path, line, f"there is no file {word}"
            elif function and function.group(1) not in words and (
                    function.group(2) or word.split("_")[0] in modules):
                yield path, line, f"there is no function {function.group(1)}"


def check_drawn(tree):
    """Generated parts of documents must match their rows (*.def)."""
    for path in tree.paths:
        if path.endswith(".md") and states.drawn(tree.text(path)) != tree.text(path):
            yield path, 1, f"differs from its rows: scripts/states.py --write {path}"


ROW = re.compile(r"^(END_REASON|TRACE_EVENT|METRIC|COUNTER|GAUGE)\((\w+),", re.M)
ROW_PREFIX = {"END_REASON": "END_", "TRACE_EVENT": "TRACE_", "METRIC": "METRIC_", "COUNTER": "COUNTER_",
              "GAUGE": "COUNTER_"}


def check_rows(tree):
    """Each end reason, event and metric must be used: an unused row documents what never happens."""
    words = set()
    for path in tree.paths:
        if path.endswith((".c", ".h", ".def")) and not path.startswith("tests/"):
            words.update(re.findall(r"\w+", tree.text(path)))
    for path in tree.paths:
        if not path.endswith(".def"):
            continue
        for row in ROW.finditer(tree.text(path)):
            if ROW_PREFIX[row.group(1)] + row.group(2) not in words:
                yield path, line_of(tree.text(path), row.start()), f"nobody uses {row.group(2)}"


PROTOTYPE = re.compile(r"^(static inline )?[a-z][\w \t*]*?\b(\w+)\([^;{}]*\)[^;{}()]*[;{]", re.M)


def check_used(tree):
    """Each function of the product must have a caller in the product, not only in tests."""
    count = collections.Counter()
    for path in tree.c_files():
        if path.startswith(MODULE_DIRS):
            count.update(re.findall(r"[a-z]\w+", tree.code(path)))
    for path in tree.c_files():
        if not path.endswith(".h") or not path.startswith(MODULE_DIRS) or path.startswith("bpf/"):
            continue
        for found in PROTOTYPE.finditer(tree.code(path)):
            name = found.group(2)
            if count[name] <= (1 if found.group(1) else 2) and name not in tables.TEST_HOOKS:
                yield path, line_of(tree.code(path), found.start()), f"only tests call {name}: remove it"


def compile_header(job):
    path, command = job
    source = f'#include "{path}"\n'
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    lines = result.stderr.strip().split("\n")
    first = next((line for line in lines if "error" in line), lines[0])
    found = re.match(r"([^:\s]+):(\d+):(?:\d+:)?\s*(.*)", first)
    if found and found.group(1) == path:
        return path, int(found.group(2)), "does not compile alone; include what it uses: " + found.group(3)
    return path, 1, "does not compile alone; include what it uses: " + first


def first_includes(tree, sources):
    """What these C files begin with: the compiler has shown that it needs nothing before it."""
    for path in sources:
        if path.endswith(".c"):
            directive = re.match(r"\s*#.*", tree.code(path))
            yield from (name for line, _, name in tree.includes(path)[:1]
                        if directive and line == line_of(tree.code(path), directive.end()))


def check_headers(tree):
    try:
        commands = compile_commands()
    except MakeError as error:
        yield error.path, error.line, str(error)
        return
    ours = shlex.split(commands["C"]) + ["-fsyntax-only", "-x", "c", "-"]
    bpf = shlex.split(commands["BPF"]) + ["-include", "bpf/kernel.h", "-fsyntax-only", "-x", "c", "-"]
    jobs = []
    compiled = set(first_includes(tree, commands["SOURCES"].split()))
    for path in tree.paths:
        if not path.endswith(".h") or matches(path, tables.UNMEASURED):
            continue
        in_kernel = path.startswith("bpf/")
        if in_kernel and not any(p.endswith(".bpf.c") for p in tree.paths):
            continue
        if path not in compiled and (not in_kernel or path == "bpf/abi.h"):
            jobs.append((path, ours))
        if in_kernel:
            jobs.append((path, bpf))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from (finding for finding in pool.map(compile_header, jobs) if finding)
