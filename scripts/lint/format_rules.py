# SPDX-License-Identifier: Apache-2.0
"""The layout of C: as clang-format writes it."""
import concurrent.futures
import os
import re
import subprocess

import tables
from source import matches

STYLE = ".clang-format"
FILES_AT_ONCE = 50
PLACE = re.compile(r"^([^:\s]+):(\d+):\d+: warning: code should be clang-formatted", re.M)


def compare(paths):
    return subprocess.run(["clang-format", f"--style=file:{STYLE}", "--dry-run", *paths],
                          capture_output=True, text=True, errors="replace", check=False)


def check_format(tree):
    """C must be as clang-format writes it. Without *.def: clang-format does not parse table rows as C."""
    paths = [path for path in tree.paths
             if path.endswith((".c", ".cc", ".h")) and not matches(path, tables.UNMEASURED)]
    batches = [paths[i:i + FILES_AT_ONCE] for i in range(0, len(paths), FILES_AT_ONCE)]
    try:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            results = list(pool.map(compare, batches))
    except OSError as error:
        yield STYLE, 1, f"no file was compared, install clang-format (scripts/deps.sh check): {error}"
        return
    for result in results:
        if result.returncode:
            reason = result.stderr.strip() or f"clang-format ended with {result.returncode}"
            yield STYLE, 1, "not all files were compared: " + reason.split("\n")[0]
        first = dict(reversed(PLACE.findall(result.stderr)))
        for path, line in first.items():
            yield path, int(line), f"differs from {STYLE}, here first: clang-format -i {path}"
