/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/obs/record.h"

struct proxy;

/* A copy of one stream for /streams, made by its worker: it needs nothing of the stream any more. */
struct stream_view {
	uint64_t id; /* below 2^53: many readers of JSON know no larger whole numbers */
	struct stream_record record; /* texts in the list's arena */
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
	struct arena texts; /* owner */
};
void stream_list_done(struct stream_list *list);

/* Copies of a worker's streams for /streams, made by the worker itself. 0 or -ENOMEM with the list empty. */
int stream_view_running(struct proxy *proxy, struct stream_list *ret_list);
int stream_view_history(struct proxy *proxy, struct stream_list *ret_list);
/*
 * Moves everything of `part` behind `all`; part is empty afterwards. On no memory part is dropped: -ENOMEM.
 */
int stream_view_join(struct stream_list *all, struct stream_list *part);
