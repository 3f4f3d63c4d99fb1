# SPDX-License-Identifier: Apache-2.0
"""Every rule of lint finds what it is there for, and nothing in a clean tree."""
import os
import shutil
import sys

from hg import *
from hg.framework import repository_root

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
KERNEL_LICENCE = "/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */\n"
ABI = KERNEL_LICENCE + """#pragma once

/* A comment. */
#define GATE_ABI_VERSION 7u
#define GATE_ABI_FINGERPRINT "ce3424441180d281"
#define __u32 unsigned int
#define __u64 unsigned long long
struct gate_record {
	__u64 bytes; /* of something */
	__u32 pad;
};
"""
MAKEFILE = "compile-command:\n\t@echo 'C gcc -I.'\n\t@echo 'BPF gcc -I.'\n"
CLEAN = {
    "Makefile": MAKEFILE,
    "bpf/README.md": "# bpf\n",
    "bpf/abi.h": ABI,
    "user/http/README.md": "# user/http\n\n`good.h`, `user/http/good.c`, `good_one()`, [here](good.c)\n",
    "user/http/rows.def": LICENCE + 'FIELD(A, "a", "what it is")\n',
    "user/http/good.h": LICENCE + "#pragma once\n\n#include <stddef.h>\n\nsize_t good_one(void);\n",
    "user/http/good.c": LICENCE + '#include "user/http/good.h"\n\n'
                        "static const int three[] = { 1, 2, 3 };\n\n"
                        "size_t good_one(void)\n{\n\t/* time(NULL) */\n"
                        "\treturn sizeof(three); /* \"recv()\" */\n}\n\n"
                        "size_t (*const good_all[])(void) = { good_one };\n",
}
# (rule, file, text, what the finding says)
BROKEN = [
    ("columns", "user/http/a.c", LICENCE + "/* " + "x" * 110 + " */\n", "columns; break the line"),
    ("length", "user/http/a.c", LICENCE + "int a;\n" * 600, "split the file"),
    ("tabs", "user/http/a.c", LICENCE + "int f(void)\n{\n    return 0;\n}\n", "indent with tabs"),
    ("blanks", "user/http/a.c", LICENCE + "int f(void); \n", "blanks at the end"),
    ("newline", "user/http/a.c", LICENCE + "int f(void);", "end the last line"),
    ("licence", "user/http/a.c", "int f(void);\n", "begin the file with"),
    ("kernel licence", "bpf/a.c", LICENCE, "BSD-2-Clause OR GPL-2.0"),
    ("unfinished", "user/http/a.c", LICENCE + "/* TO" + "DO */\n", "finish it"),
    ("word", "user/http/README.md", "it goes on for" " ever\n", "say forever"),
    ("machine path", "user/http/README.md", "# x\n/ro" + "ot/x\n", "not of one machine"),
    ("typedef", "user/http/a.c", LICENCE + "typedef struct a a_t;\n", "without a typedef"),
    ("include path", "user/http/a.c", LICENCE + '#include "good.h"\n', "from the root"),
    ("missing include", "user/http/a.c", LICENCE + '#include "user/http/none.h"\n', "there is no"),
    ("layer", "user/base/a.c", LICENCE + '#include "user/http/good.h"\n', "must not see"),
    ("sibling layer", "user/net/a.c", LICENCE + '#include "user/http/good.h"\n', "must not see"),
    ("home", "user/proxy/a.c", LICENCE + "#include <llhttp.h>\n", "lives in"),
    ("once", "user/http/a.h", LICENCE + "int f(void);\n", "#pragma once"),
    ("clock", "user/http/a.c", LICENCE + "long f(void)\n{\n\treturn time(NULL);\n}\n", "pure code"),
    ("socket", "policy/a.c", LICENCE + "long f(void)\n{\n\treturn recv(0, 0, 0, 0);\n}\n", "pure code"),
    ("global", "user/http/a.c", LICENCE + "static int count;\n", "mutable global"),
    ("no caller", "user/http/a.h", LICENCE + "#pragma once\n\nint lonely_one(int a,\n\t       int b);\n",
     "only tests call lonely_one"),
    ("no caller of an inline one", "user/http/a.h",
     LICENCE + "#pragma once\n\nstatic inline int lonely_two(void)\n{\n\treturn 0;\n}\n",
     "only tests call lonely_two"),
    ("python", "scripts/a.py", "# SPDX-License-Identifier: Apache-2.0\nx = (\n", "does not parse"),
    ("shell", "scripts/a.sh", "# SPDX-License-Identifier: Apache-2.0\nif\n", "does not parse"),
    ("readme", "user/net/a.c", LICENCE, "user/net/README.md"),
    ("link", "user/http/README.md", "[x](nowhere.md)\n", "leads nowhere"),
    ("named file", "user/http/README.md", "`none.c`\n", "there is no file"),
    ("named path", "user/http/README.md", "`user/http/none.c`\n", "there is no user/http/none.c"),
    ("named function", "user/http/README.md", "`no_such_one()`\n", "there is no function"),
    ("stale table", "user/http/README.md", "<!-- fields: user/http/rows.def -->\n<!-- end of fields -->\n",
     "differs from its rows"),
    ("named function without parentheses", "user/http/README.md", "`good_none`\n", "there is no function"),
    ("function in a picture", "user/http/README.md", "```\nx --> good_none()\n```\n", "there is no function"),
    ("path in a picture", "user/http/README.md", "```\nuser/http/none.c\n```\n", "there is no user/http"),
    ("pinned layout", "bpf/abi.h", ABI.replace("__u64 bytes", "__u32 bytes"), "raise GATE_ABI_VERSION"),
    ("pinned layout in a hole", "bpf/abi.h", ABI.replace("__u32 pad", "__u32 more"),
     "raise GATE_ABI_VERSION"),
    ("pinned map", "bpf/maps.h", KERNEL_LICENCE + "#pragma once\nint more;\n", "raise GATE_ABI_VERSION"),
    ("reason between others", "bpf/gate_reasons.def", KERNEL_LICENCE + 'GATE_REASON(X, "x", 0, "")\n',
     "raise GATE_ABI_VERSION"),
    ("version alone", "bpf/abi.h", ABI.replace("VERSION 7u", "VERSION 8u"), "GATE_ABI_FINGERPRINT"),
    ("no version", "bpf/abi.h", ABI.replace("7u", "7"), "define GATE_ABI_VERSION"),
    ("lone header", "user/http/a.h", LICENCE + "#pragma once\nsize_t f(void);\n", "does not compile alone"),
]


def lint(files):
    root = os.path.join(tmpdir(), "tree")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(os.path.join(repository_root(), "scripts", "lint"), os.path.join(root, "scripts", "lint"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(os.path.join(repository_root(), "scripts", "states.py"), os.path.join(root, "scripts"))
    for name, text in {"scripts/README.md": "# scripts\n", **files}.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write(text)
    status, out, error = run([sys.executable, os.path.join(root, "scripts", "lint", "lint.py")])
    return status, out + error


@test("a clean tree has no finding")
def clean():
    eq(lint(CLEAN), (0, ""), "lint")


@test("each rule finds its violation and says what to write", timeout=60)
def each_rule():
    for rule, name, text, sentence in BROKEN:
        status, out = lint({**CLEAN, name: text})
        check(status == 1 and sentence in out, f"{rule}: lint ended with {status}: {out}")
        note(rule, "->", out.split("\n", 1)[0])
