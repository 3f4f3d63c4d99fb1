/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/loop/loop.h"
#include "user/obs/access_log.h"
#include "user/obs/counters.h"
#include "user/obs/requests.h"
#include "user/obs/trace.h"

/*
 * What the admin servers may ask of the rest of the program. main.c fills this in; admin never touches a
 * worker directly. Everything is called on the main thread.
 */

/*
 * A copy of one stream for /streams, made by its worker: all text is in `text`, owned by whoever holds the
 * copy.
 */
struct stream_view {
	uint64_t id; /* below 2^53: many readers of JSON know no larger whole numbers */
	struct stream_record record; /* spans point into the holder's text */
	const char *state; /* name from stream_states.def; "closed" in the history */
	const char *deadline; /* name of the timer that runs, or NULL */
	int64_t deadline_left_ms; /* -1: none */
	uint64_t age_ms;
	uint64_t idle_in_ms; /* since the last byte from the client */
	uint64_t idle_out_ms; /* since the last byte to the client */
	uint32_t worker;
	char gate_in[24]; /* state of a kernel gate, or "" */
	char gate_out[24];
	const char *gate_reason_in; /* of its last closing; NULL: no gate, or never closed */
	const char *gate_reason_out;
	uint64_t pauses_in;
	uint64_t pauses_out;
	uint64_t ended_wall_us; /* history only */
};

struct stream_list {
	struct stream_view *view_list; /* owner */
	size_t view_count;
	char *text; /* owner of all span bytes */
	size_t text_len;
};
void stream_list_done(struct stream_list *list);

struct admin_worker_numbers {
	const struct counters *counters; /* borrowed, readable from any thread */
	struct request_metrics *requests; /* borrowed */
	const struct access_log *access_log; /* may be NULL */
	const struct trace *trace; /* may be NULL */
};

struct admin_config_status {
	uint64_t generation; /* of the snapshot in force */
	uint64_t loaded_wall_us;
	bool last_reload_ok;
	uint64_t reloads_ok;
	uint64_t reloads_failed;
	struct span errors; /* text of the last failed reload, one message a line; empty when it worked */
	struct span warnings;
};

struct admin_hooks {
	void *context;
	const struct snapshot *(*snapshot)(void *context); /* borrowed until return to the loop */
	void (*config_status)(void *context, struct admin_config_status *ret_status);
	bool (*is_ready)(void *context, struct span *ret_pending); /* why not, e.g. "draining" */
	size_t (*worker_count)(void *context);
	void (*worker_numbers)(void *context, size_t index, struct admin_worker_numbers *ret_numbers);
	/*
	 * Asks every worker for its streams (running, or the history) and calls done exactly once, now or
	 * later, on this thread. done takes what is in the list (stream_list_done); NULL means no memory.
	 */
	void (*list_streams)(void *context, bool history,
			     void (*done)(void *argument, struct stream_list *list), void *argument);
	/* found: whether such a stream was running. done is called exactly once. */
	void (*close_stream)(void *context, uint64_t id, void (*done)(void *argument, bool found),
			     void *argument);
	void (*quit)(void *context); /* as SIGTERM */
	/*
	 * Lines in Prometheus text form from parts that have their own numbers (the kernel lane); may be
	 * NULL.
	 */
	void (*extra_metrics)(void *context, struct text *out);
};
