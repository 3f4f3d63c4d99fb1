/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/target/remote_request.h"

/*
 * A target of the first generation (2024-11-05, "HTTP+SSE"): one GET whose events are everything it says. The
 * first event, `endpoint`, names where messages are POSTed to: a path of the same server, anything else loses
 * the target. What is sent before that waits, as far as there is room (mcp_targets_have_room()). The end of
 * the stream is the end of the target.
 */
struct legacy_options {
	struct remote_place place;
	struct span path; /* of the GET; copied */
	const struct fields *client; /* in whose name it is opened; copied; NULL: in nobody's */
};

/* 0 with *ret_target, or -ENOMEM. */
int legacy_open(struct mcp_targets *targets, const struct legacy_options *options,
		const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target);
