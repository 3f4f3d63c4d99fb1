# SPDX-License-Identifier: Apache-2.0
"""What bash offers after headgate and Tab, by the installed completions; zsh and fish read theirs."""
import os
import shutil

from hg import *
from hg.framework import repository_root

FOLDER = os.path.join(repository_root(), "scripts", "packaging", "completions")
# compopt exists only while bash completes.
ASK = """compopt() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_headgate headgate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offers(*words):
    file = os.path.join(FOLDER, "headgate.bash")
    status, out, error = run(["bash", "-c", ASK, "bash", file, "headgate", *words])
    eq((status, error), (0, ""), words)
    return out.split()


@test("bash: commands, the options of each command, words of an option, files")
def in_bash():
    path = os.path.join(tmpdir(), "some file.yaml")
    open(path, "w").close()
    for words, want in ((["li"], ["lint"]), (["--val"], ["--validate-only"]),
                        (["--log-level", ""], ["error", "warn", "info", "debug"]),
                        (["-f", "x", "--log-format", "j"], ["json"]), (["lint", "--"], ["--file", "--help"]),
                        (["check-request", "--s"], ["--source"]), (["lint", "--js"], []),
                        (["bpf", "st"], ["status"]), (["--restart-limit", ""], []),
                        (["-f", path[:-3]], path.split()), (["lint", "--file", path[:-3]], path.split()),
                        (["convert", path[:-3]], path.split())):
        eq(offers(*words), want, words)


@test("zsh and fish, where they are installed, find no error in their files")
def syntax():
    for shell, name in (("zsh", "_headgate"), ("fish", "headgate.fish")):
        if shutil.which(shell):
            eq(run([shell, "-n", os.path.join(FOLDER, name)]), (0, "", ""), shell)
    if shutil.which("fish"):
        source = f"source {FOLDER}/headgate.fish; complete -C"
        eq(run(["fish", "-c", f"{source} 'headgate li'"])[1].split("\t")[0], "lint")
        eq(run(["fish", "-c", f"{source} 'headgate lint --fi'"])[1].split("\t")[0], "--file")
