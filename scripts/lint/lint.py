#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of this tree that a machine can check: one line per finding, file:line: what to write instead.

    lint.py            findings only, exit 1 when there are any
    lint.py --report   also one "ok <rule>" or "FAIL <rule>" line per rule, for the test runner
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import abi_rules
import call_rules
import code_rules
import format_rules
import link_rules
import tables
import tree_rules
from source import Tree

RULES = [
    ("text: tabs, 110 columns, 600 lines, clean line ends", code_rules.check_text),
    ("text: C as clang-format lays it out", format_rules.check_format),
    ("licence: SPDX line first", code_rules.check_licence),
    ("words: plain ones, nothing left to do, no typedef'd structs, no paths of one machine",
     code_rules.check_words),
    ("words: none in names that has a better one", code_rules.check_identifiers),
    ("includes: from the root, downwards only", code_rules.check_layers),
    (f"calls: downwards only, no circle of more than {tables.CIRCLE_FILES} files", call_rules.check_calls),
    ("libraries: one home each", code_rules.check_homes),
    ("output: only commands print", code_rules.check_printing),
    ("pure code: no clock, socket, randomness or mutable global", code_rules.check_pure),
    ("scripts: parse", tree_rules.check_scripts),
    ("documents: a README per directory", tree_rules.check_readmes),
    ("documents: what they name exists", tree_rules.check_names),
    ("documents: links lead to a file, and to a heading of it", link_rules.check_links),
    ("documents: what is installed names only what is installed", link_rules.check_installed),
    ("documents: tables and pictures are those of their rows", tree_rules.check_drawn),
    ("rows: each end, event and metric is used", tree_rules.check_rows),
    ("functions: each has a caller in the product", tree_rules.check_used),
    ("kernel side: what pins carry has a version", abi_rules.check_abi),
    ("headers: each compiles alone", tree_rules.check_headers),
]


def main():
    report = "--report" in sys.argv[1:]
    root = os.path.dirname(os.path.dirname(HERE))
    os.chdir(root)
    tree = Tree(root)
    total = 0
    for name, rule in RULES:
        findings = sorted(set(rule(tree)))
        total += len(findings)
        for path, line, message in findings:
            print(f"{path}:{line}: {message}")
        if report:
            print(("FAIL" if findings else "ok") + f" lint {name}", flush=True)
    if report or total:
        print(f"lint: {len(RULES)} rules, {total} finding{'s' if total != 1 else ''}", file=sys.stderr)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
