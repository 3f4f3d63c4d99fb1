/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate explain KEY`, without the first two words: what a key of a standalone file is; or
 * `explain route NAME -f FILE` (explain_route.h). Returns the exit status.
 */
int explain_command(int argc, char **argv);
