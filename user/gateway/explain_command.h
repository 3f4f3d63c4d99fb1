/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate explain PATH`, without the first two words: what a key of a standalone file is. Returns the exit
 * status.
 */
int explain_command(int argc, char **argv);
