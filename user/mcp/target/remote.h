/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/target/remote_request.h"

/*
 * A target over streamable HTTP (2025-03-26 and later). Every message is a POST; the response is empty
 * (202), one message, or an event stream. After `notifications/initialized` a GET requests the messages that
 * the server sends on its own; the server may refuse it (405). The server sets a session id in its response
 * to `initialize`, and every further request carries it; 404 then means that the session has ended, and the
 * target is lost. Closing the target sends DELETE.
 *
 * A broken event stream is resumed with Last-Event-ID: the one of the GET as long as the target lives, with
 * growing pauses; the one of a POST only if its events had ids, at most LIMIT_MCP_RESUMES times.
 *
 * From 2026-07-28 on there is no session and no GET; Mcp-Method and Mcp-Name repeat values of the body, and
 * closing the response cancels the request (mcp_target_forget()).
 */
struct remote_options {
	struct remote_place place;
	struct span path; /* with its query; copied */
};

/* 0 with *ret_target, or -ENOMEM. Sends nothing yet. */
int remote_open(struct mcp_targets *targets, const struct remote_options *options,
		const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target);
