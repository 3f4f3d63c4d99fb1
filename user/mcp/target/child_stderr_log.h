/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/base/limits.h"

/*
 * What a child process says on standard error: a line of our log each, with the target's name, at most
 * LIMIT_MCP_LOG_LINES a second and LIMIT_MCP_LOG_BYTES of each. The last one is kept for when it dies.
 * Without memory a line is shorter.
 */
struct child_stderr_log {
	char *name; /* owner; of the target */
	uint64_t second_ms; /* the running second began */
	uint32_t lines; /* logged in it */
	uint64_t left_out; /* since the last line that was logged */
	struct buf line; /* owner; as much of the line under way as is kept of one */
	struct span last; /* owner of the data: no more than the line had, for it is kept for long */
};

int child_stderr_log_init(struct child_stderr_log *stderr_log, struct span name); /* 0 or -ENOMEM */
void child_stderr_log_done(struct child_stderr_log *stderr_log);
void child_stderr_log_take(struct child_stderr_log *stderr_log, struct span bytes, uint64_t now_ms);
