/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/mcp/target/child_spawn.h"
#include "user/mcp/target/target.h"

/*
 * A target that is a child process: a message a line, in and out (stdio of the Model Context Protocol). It is
 * a guest that may be hostile:
 *   - it has three descriptors and none of ours, its own process group, default signals, and no privilege
 *     that the gateway gave up before (no_new_privs is inherited, and with root's id no capability comes back
 *     by exec);
 *   - a line of more than limits.mcpMessageBytes is dropped, and an error of the request that it answers; one
 *     that goes on for LIMIT_MCP_SKIP_FACTOR times as much loses it. What it does not read waits, up to
 *     LIMIT_MCP_QUEUE_FACTOR times as much;
 *   - it has LIMIT_TURN_BYTES a turn of the loop, others come next;
 *   - what it writes to standard error goes to our log, LIMIT_MCP_LOG_LINES of it a second;
 *   - its end is seen through a pidfd, and whatever is left of its group is killed before the process is
 *     reaped, while the number of the group cannot be anybody else's. A descendant that has left the group is
 *     not followed. Closing it closes its input; after LIMIT_MCP_CHILD_PAUSE_MS the group gets SIGTERM, after
 *     the same time SIGKILL.
 */

/* 0 with *ret_target, or -errno with `error` saying what could not be started. */
int child_open(struct mcp_targets *targets, const struct child_options *options,
	       const struct mcp_target_events *events, void *owner, struct text *error,
	       struct mcp_target **ret_target);
