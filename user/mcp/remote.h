/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/remote_request.h"

/*
 * A target behind streamable HTTP (2025-03-26 and later). Every message is a POST; its response is nothing
 * (202), one message, or a stream of events; after `notifications/initialized` a GET asks for what the server
 * sends on its own, which it may refuse (405). The session that the server names in its answer to
 * `initialize` goes with every further request; 404 to one of those means that it is over, and then the
 * target is lost. Closing it sends DELETE.
 *
 * A stream of events that breaks is asked for again with Last-Event-ID: the one of the GET as long as the
 * target lives, with growing pauses; that of a POST only when its events had ids, LIMIT_MCP_RESUMES times.
 *
 * From 2026-07-28 on there is no session and no GET; what the body says is said again in Mcp-Method and
 * Mcp-Name, and to close the response is to cancel its request (mcp_target_forget()).
 */
struct remote_options {
	struct remote_place place;
	struct span path; /* with its query; copied */
};

/* 0 with *ret_target, or -ENOMEM. Nothing is sent yet. */
int remote_open(struct mcp_targets *targets, const struct remote_options *options,
		const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target);
