/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/loop/loop.h"
#include "user/obs/numbers.h"
#include "user/stream/view.h"

/*
 * Services of the rest of the program for the admin servers. The gateway fills in the functions; admin never
 * accesses a worker directly. All are called on the main thread.
 */

struct health_history;
struct series_table;

struct admin_config_status {
	uint64_t generation; /* of the current snapshot */
	uint64_t loaded_wall_us;
	bool last_reload_ok;
	uint64_t reloads_ok;
	uint64_t reloads_failed;
	struct span errors; /* text of the last failed reload, one message per line; empty if it succeeded */
	struct span warnings;
};

/* The last starts of the gateway, oldest first. */
enum { ADMIN_STARTS = 16 };

struct admin_restarts {
	uint32_t start_count;
	struct admin_start {
		uint64_t wall_us;
		const char *cause; /* a word */
	} start_list[ADMIN_STARTS];
	uint64_t crashes;
	uint64_t resumed; /* clients and streams taken over from earlier processes */
	uint64_t not_resumed;
};

struct admin_hooks {
	void *context;
	const struct snapshot *(*snapshot)(void *context); /* borrowed until return to the loop */
	void (*config_status)(void *context, struct admin_config_status *ret_status);
	/* *ret_pending: the reason, e.g. "draining" */
	bool (*is_ready)(void *context, struct span *ret_pending);
	size_t (*worker_count)(void *context);
	void (*worker_numbers)(void *context, size_t index, struct worker_numbers *ret_numbers);
	/*
	 * Asks every worker for the streams that the query wants, and calls done exactly once, now or later,
	 * on this thread, with the rows in the order of the query. done takes the entries of the list
	 * (stream_list_done). The query must live until then.
	 */
	void (*list_streams)(void *context, const struct stream_query *query,
			     void (*done)(void *argument, struct stream_list *list), void *argument);
	/* found: such a stream was running. done is called exactly once. */
	void (*close_stream)(void *context, uint64_t id, void (*done)(void *argument, bool found),
			     void *argument);
	/*
	 * Collects the MCP sessions as JSON; done is called exactly once, now or later, on this thread, and
	 * takes the text. NULL: no memory.
	 */
	void (*list_sessions)(void *context, void (*done)(void *argument, struct text *json), void *argument);
	/* Counters of the MCP thread; NULL: there is none. */
	const struct counters *(*session_counters)(void *context);
	const struct series_table *(*session_calls)(void *context);
	uint64_t (*rate_buckets)(void *context); /* of all rate limits; NULL: none */
	/* False: no keeper, which would know. May be NULL. */
	bool (*restarts)(void *context, struct admin_restarts *ret_restarts);
	/*
	 * Verifies a password in another thread, and calls done exactly once, now or later, on this thread:
	 * enum guard_verdict, -EBUSY if too many wait, or another error. client: a hash of its address.
	 */
	void (*verify_password)(void *context, const struct htpasswd *users, struct span name,
				struct span password, uint64_t client,
				void (*done)(void *argument, int verdict), void *argument);
	const struct health_history *(*health_history)(void *context); /* changes of endpoints; may be NULL */
	void (*quit)(void *context); /* as SIGTERM */
	/*
	 * Appends lines in Prometheus format for modules with their own numbers (the kernel lane); may be
	 * NULL.
	 */
	void (*extra_metrics)(void *context, struct text *out);
	void (*write_lanes)(void *context, struct text *out); /* GET /lanes, as JSON */
	/* Returns a socket that already listens on a TCP address, owned by the caller, or -1. May be NULL. */
	int (*take_listener)(void *context, const struct address *address);
};
