/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "admin/http/server.h"
#include "user/cluster/cluster.h"
#include "user/loop/signals.h"
#include "user/gateway/expiry.h"
#include "user/gateway/heap_trim.h"
#include "user/gateway/health_registry.h"
#include "user/gateway/fetcher.h"
#include "user/gateway/kernel_lanes.h"
#include "user/gateway/mcp_service.h"
#include "user/gateway/messages.h"
#include "user/gateway/options.h"
#include "user/gateway/rate_registry.h"
#include "user/gateway/supervisor.h"
#include "user/gateway/watch.h"
#include "user/health/health_checker.h"
#include "user/restart/stream/takeover.h"
#include "user/worker/worker.h"

/*
 * The main thread's part of the program: loads configurations, owns the listening ports, starts the workers,
 * serves the admin servers, and shuts everything down in order.
 */
enum gateway_phase {
	GATEWAY_RUNNING,
	GATEWAY_DRAINING, /* minimum deadline: not ready, still accepting */
	GATEWAY_CLOSING, /* maximum deadline: nothing new, streams finish */
	GATEWAY_ENDED,
};

/*
 * One listening address of the process: the same port on two addresses is two of them. Never freed before the
 * end: clients of a removed one still decrement its counts.
 */
struct gateway_port {
	struct list node;
	struct address address;
	bool is_open; /* the workers listen */
	/* loop time at which the workers started to close it; 0: not since it was opened */
	uint64_t closed_ms;
	int error; /* why it could not be opened, while everything else is in force; 0: it could */
	struct proxy_counts counts;
};

struct gateway {
	const struct options *options; /* borrowed */
	struct cluster *cluster; /* borrowed; NULL: the configuration comes from files only */
	struct loop *loop;
	struct mailbox *mailbox;
	struct resolver *resolver;
	struct proxy_shared shared;
	struct mcp_service mcp;
	struct health_registry health;
	struct outbound outbound;
	struct fetcher fetcher;
	struct health_checker checker;
	struct rate_registry rates;
	struct takeover takeover;
	struct supervisor supervisor;
	struct kernel_lanes lanes;
	int syn_filter_program; /* owner; user/net/syn_filter.h, negative: none */
	int reuseport_balancer_program; /* owner; user/net/reuseport_balancer.h, negative: none */
	struct signals signals;
	struct watch watch;
	struct admin *admin;
	struct admin_hooks hooks;
	struct worker **workers; /* owner */
	uint32_t worker_count;
	struct list ports;
	struct snapshot *snapshot; /* one reference: the configuration in force */
	struct snapshot *start_snapshot; /* one reference: the admin servers borrow its addresses */
	struct admin_config_status status;
	struct messages messages;
	enum gateway_phase phase;
	struct heap_trim heap_trim;
	struct expiry expiry;
	struct timer reload_timer; /* retries a reload that waits for a port to close */
	uint64_t drain_begin_ms;
	uint64_t drain_close_ms; /* when idle connections close */
	struct timer drain_timer;
};

/*
 * Runs until a signal or /quitquitquit ends it. Takes over the snapshot, its messages, and the contents of
 * takeover; seen: watch_signature() from before the snapshot was loaded. Returns the exit status of the
 * program. cluster: stopped; NULL: none.
 */
int gateway_run(struct gateway *gateway, const struct options *options, struct cluster *cluster,
		struct snapshot *snapshot, const struct messages *messages, uint64_t seen,
		const struct takeover *takeover);
