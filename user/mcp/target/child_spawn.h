/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "user/base/span.h"

/*
 * Starts a program with three pipes for its standard descriptors, none of our other descriptors, a process
 * group of its own, and the signals as they are by default.
 */
struct child_options {
	struct span name; /* of the target, for the log; copied */
	const char *command; /* a path, or looked up in the gateway's PATH */
	const char *const *arguments; /* without the command; NULL ends them */
	const char *const *environment; /* "NAME=value", NULL ends them */
	bool clear_environment; /* only those, not the gateway's */
};

/*
 * 0, or -errno. ours: our ends of its standard input, output and error, not blocking; the caller's. Blocks
 * until the program has replaced the copy of this process, which is when -ENOENT is known.
 */
int child_spawn(const struct child_options *options, int ours[3], pid_t *ret_pid);
