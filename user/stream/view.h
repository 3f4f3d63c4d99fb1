/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/obs/record.h"

struct proxy;

/* A copy of one stream for /streams, made by its worker; independent of the stream. */
struct stream_view {
	uint64_t id; /* below 2^53: many JSON readers support no larger integers */
	struct stream_record record; /* texts in the list's arena */
	const char *state; /* name from stream_states.def; "closed" in the history */
	const char *state_explanation; /* static */
	const char *deadline; /* name of the running deadline, or NULL */
	int64_t deadline_left_ms; /* -1: none */
	uint64_t age_ms;
	uint64_t idle_in_ms; /* since the last byte from the client */
	uint64_t idle_out_ms; /* since the last byte to the client */
	uint32_t worker;
	char gate_in[24]; /* state of a kernel gate, or "" */
	char gate_out[24];
	const char *gate_reason_in; /* why it closed last; NULL: no gate, or never closed */
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

/* Copies a worker's streams for /streams; called by that worker. 0, or -ENOMEM with the list empty. */
int stream_view_running(struct proxy *proxy, struct stream_list *ret_list);
int stream_view_history(struct proxy *proxy, struct stream_list *ret_list);
/* Appends `part` to `all`; part is empty afterwards. Without memory part is freed: -ENOMEM. */
int stream_view_join(struct stream_list *all, struct stream_list *part);
