/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate lint -f FILE ...`, without the first two words: prints what is valid but surely not meant, with
 * its place. Returns the exit status: 0 without findings.
 */
int lint_command(int argc, char **argv);
