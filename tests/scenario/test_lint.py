# SPDX-License-Identifier: Apache-2.0
"""Every rule of lint finds what it is there for, and nothing in a clean tree."""
import concurrent.futures
import os
import shutil
import sys

from hg import *
from hg.framework import repository_root

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
KERNEL_LICENCE = "/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */\n"
ABI = KERNEL_LICENCE + """#pragma once

/* A comment. */
#define SOCKMAP_ABI_VERSION 7u
#define SOCKMAP_ABI_FINGERPRINT "04096de0a80136ea"
#define __u32 unsigned int
#define __u64 unsigned long long
struct sockmap_record {
	__u64 bytes; /* of something */
	__u32 pad;
};
"""
MAKEFILE = """SOURCES := $(wildcard user/*/*.c policy/*.c)
compile-command:
	@echo 'C gcc -I.'
	@echo 'BPF gcc -I.'
	@echo 'OBJ build/obj'
	@echo 'SOURCES $(SOURCES)'
product-objects: $(SOURCES:%.c=build/obj/%.o)
build/obj/%.o: %.c
	@mkdir -p $(@D)
	@gcc -I. -w -c $< -o $@
install-data:
	@install -D -m 644 config/page.md $(DESTDIR)$(PREFIX)/share/doc/page.md
demo:
"""
# What lint says on the way in a tree that was not built.
COMPILING = "lint: compiling 1 of 1 files first, for the rule on calls\n"
CLEAN = {
    "Makefile": MAKEFILE,
    "bpf/README.md": "# bpf\n",
    "bpf/abi.h": ABI,
    "config/page.md": "# Page\n\n## A `key`, and more\n\n[Above](#a-key-and-more): "
                      "`make install` installs page.md.\n",
    "user/http/README.md": "# user/http\n\n`good.h`, `user/http/good.c`, `good_one()`, [here](good.c), [![x]"
                           "(../../config)][page], [up](#userhttp)\n\n[page]: ../../config/page.md#page\n"
                           "```\n[not a link](x)\n```\n<a href=\"https://localhost/x\">`[nor this](x)`</a>\n",
    "user/http/rows.def": LICENCE + 'FIELD(A, "a", "what it is")\n',
    "user/http/good.h": LICENCE + "#pragma once\n\n#include <stddef.h>\n\nsize_t good_one(void);\n",
    "user/http/good.c": LICENCE + '#include "user/http/good.h"\n\n'
                        "static const int three[] = { 1, 2, 3 };\n\n"
                        "size_t good_one(void)\n{\n\t/* time(NULL) */\n"
                        "\treturn sizeof(three); /* \"recv()\" */\n}\n\n"
                        "size_t (*const good_all[])(void) = { good_one };\n",
}
# (rule, file, text, what the finding says)
BROKEN_FILES = [
    ("columns", "user/http/a.c", LICENCE + "/* " + "x" * 110 + " */\n", "columns; break the line"),
    ("length", "user/http/a.c", LICENCE + "int a;\n" * 600, "split the file"),
    ("tabs", "user/http/a.c", LICENCE + "int f(void)\n{\n    return 0;\n}\n", "indent with tabs"),
    ("blanks", "user/http/a.c", LICENCE + "int f(void); \n", "blanks at the end"),
    ("newline", "user/http/a.c", LICENCE + "int f(void);", "end the last line"),
    ("layout", "user/http/a.c", LICENCE + "int  f( void);\n",
     "user/http/a.c:2: differs from .clang-format, here first: clang-format -i user/http/a.c"),
    ("unknown layout", ".clang-format", "BasedOnStyle: None of these\n", "not all files were compared"),
    ("licence", "user/http/a.c", "int f(void);\n", "begin the file with"),
    ("kernel licence", "bpf/a.c", LICENCE, "BSD-2-Clause OR GPL-2.0"),
    ("unfinished", "user/http/a.c", LICENCE + "/* TO" + "DO */\n", "finish it"),
    ("word", "user/http/README.md", "it goes on for" " ever\n", "say forever"),
    ("forbidden part", "user/http/a.c", LICENCE + "int old_ado" "pt_it;\n",
     "in the name old_ado" "pt_it, for \"ado" "pt\" say resume (a stream) or take_over (a socket)"),
    ("forbidden prefix", "user/http/a.c", LICENCE + "int ga" "te_free(void);\n",
     "say sockmap; a gate is what opens"),
    ("forbidden in Python", "scripts/a.py", "# SPDX-License-Identifier: Apache-2.0\nDEA" "THS = 1\n",
     "say crashes"),
    ("machine path", "user/http/README.md", "# x\n/ro" + "ot/x\n", "not of one machine"),
    ("typedef", "user/http/a.c", LICENCE + "typedef struct a a_t;\n", "without a typedef"),
    ("include path", "user/http/a.c", LICENCE + '#include "good.h"\n', "from the root"),
    ("missing include", "user/http/a.c", LICENCE + '#include "user/http/none.h"\n', "there is no"),
    ("layer", "user/base/a.c", LICENCE + '#include "user/http/good.h"\n', "must not see"),
    ("sibling layer", "user/net/a.c", LICENCE + '#include "user/http/good.h"\n', "must not see"),
    ("call upwards", "user/base/a.c",
     LICENCE + "int good_one(void);\nint low(void)\n{\n\treturn good_one();\n}\n",
     "user/base/a.c:2: user/base must not use good_one of user/http/good.c"),
    ("data upwards", "user/net/a.c",
     LICENCE + "extern const void *good_all[];\nconst void **low(void)\n{\n\treturn good_all;\n}\n",
     "user/net/a.c:2: user/net must not use good_all of user/http/good.c"),
    ("call from no layer", "user/new/a.c", LICENCE, "say in LAYERS"),
    ("object that does not compile", "user/http/a.c", LICENCE + "int f(void)\n{\n\treturn none;\n}\n",
     "user/http/a.c:4: no call was checked"),
    ("home", "user/proxy/a.c", LICENCE + "#include <llhttp.h>\n", "lives in"),
    ("once", "user/http/a.h", LICENCE + "int f(void);\n", "#pragma once"),
    ("print", "user/http/a.c", LICENCE + "void f(void)\n{\n\tfprintf(stderr, \"a\");\n}\n",
     "waits for a reader"),
    ("standard error", "user/http/a.c", LICENCE + "void f(void)\n{\n\twrite(STDERR_FILENO, 0, 0);\n}\n",
     "waits for a reader"),
    ("clock", "user/http/a.c", LICENCE + "long f(void)\n{\n\treturn time(NULL);\n}\n", "pure code"),
    ("socket", "policy/a.c", LICENCE + "long f(void)\n{\n\treturn recv(0, 0, 0, 0);\n}\n", "pure code"),
    ("global", "user/http/a.c", LICENCE + "static int count;\n", "mutable global"),
]
BROKEN_TREES = [
    ("no caller", "user/http/a.h", LICENCE + "#pragma once\n\nint lonely_one(int a,\n\t       int b);\n",
     "only tests call lonely_one"),
    ("no caller of an inline one", "user/http/a.h",
     LICENCE + "#pragma once\n\nstatic inline int lonely_two(void)\n{\n\treturn 0;\n}\n",
     "only tests call lonely_two"),
    ("python", "scripts/a.py", "# SPDX-License-Identifier: Apache-2.0\nx = (\n", "does not parse"),
    ("shell", "scripts/a.sh", "# SPDX-License-Identifier: Apache-2.0\nif\n", "does not parse"),
    ("readme", "user/net/a.c", LICENCE, "user/net/README.md"),
    ("link", "user/http/README.md", "[x](nowhere.md)\n", "leads nowhere"),
    ("link from the root", "user/http/README.md", "[x](user/http/good.c)\n", "leads nowhere"),
    ("link by name", "user/http/README.md", "[x]\n\n[x]: nowhere.md\n", "leads nowhere"),
    ("link of an image", "user/http/README.md", "[![x](nowhere.svg)](good.c)\n", "leads nowhere"),
    ("link in HTML", "user/http/README.md", "<img src=\"nowhere.svg\">\n", "leads nowhere"),
    ("link to no heading", "user/http/README.md", "# A\n[x](#b)\n",
     "user/http/README.md has no heading for the link #b"),
    ("link to no heading there", "user/http/README.md", "[x](../../config/page.md#b)\n",
     "config/page.md has no heading for the link #b"),
    ("link out of what is installed", "config/page.md", "# A\n\n[x](../user/http/README.md)\n",
     "config/page.md:3: in /usr/share/doc/page.md, which make installs: the link leads nowhere"),
    ("path that is not installed", "config/page.md", "See user/http/good.c.\n",
     "user/http/good.c is not installed"),
    ("file that is not installed", "config/page.md", "See README.md.\n", "README.md is not installed"),
    ("goal that is not installed", "config/page.md", "Say `make demo`.\n", "make demo is not installed"),
    ("nothing to install", "Makefile", MAKEFILE.replace("install-data", "other"),
     "what would be installed is not known"),
    ("named file", "user/http/README.md", "`none.c`\n", "there is no file"),
    ("named path", "user/http/README.md", "`user/http/none.c`\n", "there is no user/http/none.c"),
    ("named function", "user/http/README.md", "`no_such_one()`\n", "there is no function"),
    ("stale table", "user/http/README.md", "<!-- fields: user/http/rows.def -->\n<!-- end of fields -->\n",
     "differs from its rows"),
    ("named function without parentheses", "user/http/README.md", "`good_none`\n", "there is no function"),
    ("function in a picture", "user/http/README.md", "```\nx --> good_none()\n```\n", "there is no function"),
    ("path in a picture", "user/http/README.md", "```\nuser/http/none.c\n```\n", "there is no user/http"),
    ("pinned layout", "bpf/abi.h", ABI.replace("__u64 bytes", "__u32 bytes"), "raise SOCKMAP_ABI_VERSION"),
    ("pinned layout in a hole", "bpf/abi.h", ABI.replace("__u32 pad", "__u32 more"),
     "raise SOCKMAP_ABI_VERSION"),
    ("pinned map", "bpf/maps.h", KERNEL_LICENCE + "#pragma once\nint more;\n", "raise SOCKMAP_ABI_VERSION"),
    ("reason between others", "bpf/sockmap_reasons.def", KERNEL_LICENCE + 'SOCKMAP_REASON(X, "x", 0, "")\n',
     "raise SOCKMAP_ABI_VERSION"),
    ("version alone", "bpf/abi.h", ABI.replace("VERSION 7u", "VERSION 8u"), "SOCKMAP_ABI_FINGERPRINT"),
    ("no version", "bpf/abi.h", ABI.replace("7u", "7"), "define SOCKMAP_ABI_VERSION"),
    ("lone header", "user/http/a.h", LICENCE + "#pragma once\nsize_t f(void);\n", "does not compile alone"),
]


def calling(*names):
    """A file of the first name, whose function calls those of the others."""
    calls = " + ".join(["1", *(f"{name}()" for name in names[1:])])
    declared = "".join(f"int {name}(void);\n" for name in names)
    body = f"int {names[0]}(void)\n{{\n\treturn {calls};\n}}\n"
    return {f"user/http/{names[0]}.c": LICENCE + declared + body}


def lint(files, more_tables="", root=None):
    """(exit status, output) of lint in a tree of these files, with no exceptions but those of more_tables."""
    root = root or os.path.join(tmpdir(), "tree")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(os.path.join(repository_root(), "scripts", "lint"), os.path.join(root, "scripts", "lint"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(os.path.join(repository_root(), "scripts", "states.py"), os.path.join(root, "scripts"))
    for name, text in {"scripts/README.md": "# scripts\n", **files}.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write(text)
    if ".clang-format" not in files:
        shutil.copy(os.path.join(repository_root(), ".clang-format"), root)
    with open(os.path.join(root, "scripts", "lint", "tables.py"), "a", encoding="utf-8") as file:
        file.write("CALL_EXCEPTIONS = {}\nCIRCLES = []\n" + more_tables)
    status, out, error = run([sys.executable, os.path.join(root, "scripts", "lint", "lint.py")])
    return status, out + error


@test("a clean tree has no finding")
def clean():
    eq(lint(CLEAN), (0, COMPILING), "lint")


def find_each(cases):
    folder = tmpdir()

    def broken(number):
        _, name, text, _ = cases[number]
        return lint({**CLEAN, name: text}, root=os.path.join(folder, f"tree-{number}"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(broken, range(len(cases))))
    for (rule, _, _, sentence), (status, out) in zip(cases, results):
        check(status == 1 and sentence in out, f"{rule}: lint ended with {status}: {out}")
        note(rule, "->", out.split("\n", 1)[0])


@test("each rule on a file and on calls finds its violation and says what to write", timeout=60, long=True)
def each_rule_on_a_file():
    find_each(BROKEN_FILES)


@test("each rule on documents, scripts and headers finds its violation and says what to write", timeout=60,
      long=True)
def each_rule_on_the_tree():
    find_each(BROKEN_TREES)


THREE = {**calling("a", "b"), **calling("b", "c"), **calling("c", "a")}
FOUR = {**THREE, **calling("c", "d"), **calling("d", "a")}


def circles(*entries):
    """CIRCLES for tables.py: an entry is the letters of its files."""
    lists = [[f"user/http/{name}.c" for name in entry] for entry in entries]
    return f"CIRCLES = {lists}\n".replace(", ", ",\n")


@test("a circle of four files is found, one of three is not; those that are excepted only shrink", timeout=60)
def call_circles():
    def finds(files, more_tables, *sentences):
        status, out = lint({**CLEAN, **files}, more_tables)
        lines = out.rstrip("\n").split("\n")[1:]
        eq(len(lines), len(sentences) + bool(sentences), f"number of lines of: {out}")
        for sentence in sentences:
            check(status == 1 and sentence in out, f"{sentence}: lint ended with {status}: {out}")

    finds(THREE, "")
    finds(FOUR, "", *(f"user/http/{name}.c:3: closes a circle of 4 files" for name in "abcd"))
    finds(FOUR, circles("abcd"))
    finds(FOUR, circles("abc"), "user/http/d.c:3: closes a circle of 4 files, 3 is the most: it uses a of "
                                "user/http/a.c, and user/http/c.c uses its d")
    finds({**FOUR, **calling("e", "a")}, circles("abcde"), "user/http/e.c is in no circle")
    finds(THREE, circles("abcd"), *(f"user/http/{name}.c is in no circle of more than 3" for name in "abcd"))
    second = {**calling("e", "f"), **calling("f", "g"), **calling("g", "h"), **calling("h", "e")}
    finds({**FOUR, **second}, circles("abcdefgh"), "has become 2 circles")
    finds({**FOUR, **second}, circles("abcd", "efgh"))
    joined = {**FOUR, **second, **calling("h", "e", "a"), **calling("a", "b", "e")}
    finds(joined, circles("abcd", "efgh"), *(f"user/http/{name}.c:" for name in "efgh"))


@test("an exception of a call upwards works as long as there is such a call", timeout=60)
def call_exceptions():
    low = {"user/base/README.md": "# base\n",
           "user/base/a.c": LICENCE + "int good_one(void);\nint low(void)\n{\n\treturn good_one();\n}\n"}
    exception = 'CALL_EXCEPTIONS = {("user/base/a.c", "user/http/good.c")}\n'
    status, out = lint({**CLEAN, **low}, exception)
    check(status == 0, f"with the call, lint ended with {status}: {out}")
    around = {**low, **calling("good_one", "b"), **calling("b", "c"), **calling("c", "low")}
    around["user/http/good.c"] = around.pop("user/http/good_one.c")
    status, out = lint({**CLEAN, **around})
    check(status == 1 and out.endswith(" 1 finding\n"), f"beside the call upwards: {out}")
    status, out = lint({**CLEAN, **around}, exception)
    check(out.count("closes a circle of 4 files") == 4, f"an exception hides the circle: {out}")
    status, out = lint(CLEAN, exception)
    check(status == 1 and "user/base/a.c uses nothing of user/http/good.c" in out,
          f"without the call, lint ended with {status}: {out}")


@test("lint without nm, or with objects whose symbols nm cannot show, does not say that all is well")
def call_symbols():
    bare = MAKEFILE.replace("@gcc -I. -w -c $< -o $@", "@gcc -I. -w -c $< -o $@ && strip $@")
    status, out = lint({**CLEAN, "Makefile": bare})
    check(status == 1 and "Makefile:1: no call was checked: nm" in out, f"lint ended with {status}: {out}")
