# SPDX-License-Identifier: Apache-2.0
"""The same sources give the same packages: make deb-reproducible."""
import glob
import os
import shutil

from hg import *
from hg.framework import repository_root
from hg.process import read_text


def built(folder):
    """{name: content} of the packages in a directory."""
    found = {}
    for path in glob.glob(os.path.join(folder, "*.deb")):
        with open(path, "rb") as file:
            found[os.path.basename(path)] = file.read()
    return found


@test("another directory, time zone, language and umask give the same packages, bit by bit", timeout=1800)
def reproducible():
    first = built(os.path.join(repository_root(), "build", "deb"))
    eq(len(first), 2, "packages in build/deb: run make deb first")
    folder = os.path.join(tmpdir(), "a", "rather", "deep", "directory")
    script = os.path.join(repository_root(), "scripts", "deb.sh")
    base = read_text(os.path.join(repository_root(), "Makefile")).split("VERSION_BASE := ")[1].split("\n")[0]
    status, out, error = run(["sh", "-c", 'umask 077; exec "$@"', "sh", script, base, folder], timeout=1700,
                             env={"TZ": "Pacific/Chatham", "LANG": "C", "LC_ALL": "C.UTF-8", "USER": "other"})
    eq(status, 0, out + error)
    again = built(folder)
    eq(sorted(again), sorted(first), "packages")
    different = [name for name, content in first.items() if again[name] != content]
    for name in different:
        kept = os.path.join(repository_root(), "build", "deb", name + ".other")
        shutil.copy(os.path.join(folder, name), kept)
        note(f"{kept}: diffoscope shows what differs")
    eq(different, [], "packages that differ")
