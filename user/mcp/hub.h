/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/loop/mailbox.h"
#include "user/net/resolver.h"
#include "user/obs/counters.h"
#include "user/upstream/inner.h"

/*
 * The thread behind all MCP backends: sessions, child processes and connections to targets belong to it, so
 * nothing of them is shared or locked. Workers reach it as they reach any backend, over connections that
 * mcp_hub_inner() opens; the main thread sends it configurations and asks for lists.
 */
struct series_table;
struct mcp_access_table;
struct mcp_hub;

struct mcp_hub_options {
	struct resolver *resolver; /* borrowed, thread-safe */
	struct mailbox *owner; /* where answers go: the main thread */
	struct mcp_access_table *accesses; /* borrowed: what clients may use (policy/guard/mcp_access.h) */
};

/* The configuration has a backend for it. */
bool mcp_hub_is_wanted(const struct snapshot *snapshot);
/* NULL without memory or thread. Has no configuration yet. */
struct mcp_hub *mcp_hub_start(const struct mcp_hub_options *options);
/* What workers call; lives as long as the hub. */
const struct inner *mcp_hub_inner(const struct mcp_hub *hub);
/*
 * A new configuration; takes the reference. Sessions keep what they began with; those of a backend that is
 * gone end when nothing of them is under way. 0 or -ENOMEM (the reference is kept).
 */
int mcp_hub_set_snapshot(struct mcp_hub *hub, struct snapshot *snapshot);
/* No new sessions: 503. 0 or -ENOMEM. */
int mcp_hub_drain(struct mcp_hub *hub);
/*
 * Ends every session and its targets, waits LIMIT_MCP_END_MS for the processes, then kills them. Frees the
 * hub.
 */
void mcp_hub_stop(struct mcp_hub *hub);
/* The JSON text of /mcp/sessions. Answers on the owner's mailbox; the text is the callee's. 0 or -ENOMEM. */
int mcp_hub_list(struct mcp_hub *hub, void (*done)(void *argument, struct text *json), void *argument);
/* Sessions open, children, and so on. On the main thread. */
const struct counters *mcp_hub_counters(const struct mcp_hub *hub);
const struct series_table *mcp_hub_calls(const struct mcp_hub *hub);
