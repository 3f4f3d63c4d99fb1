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

/* In the order of rows; ties by id. */
enum stream_sort {
	STREAM_SORT_ID, /* oldest id first */
	STREAM_SORT_DEADLINE, /* the one whose timer fires first; those without a timer last */
	STREAM_SORT_AGE, /* longest first */
	STREAM_SORT_BYTES, /* most first */
	STREAM_SORT_IDLE, /* longest without a byte first */
};

/* Which streams are wanted. Borrowed until the list is there. */
struct stream_query {
	bool is_history; /* those that have ended, newest first: sort is ignored */
	enum stream_sort sort;
	uint32_t limit; /* most rows, at most SELECTION_MAX; 0: all */
	/* Labels that must be equal; empty: any. */
	struct span listener, route, backend, endpoint, reason;
	struct span state; /* name of a state */
	bool is_failed_only; /* of the history: those that failed */
};

struct stream_list {
	struct stream_view *view_list; /* owner */
	size_t view_count;
	uint64_t total; /* running streams, or known ends */
	uint64_t matched; /* of them, those that the query wants */
	struct arena texts; /* owner */
};
void stream_list_done(struct stream_list *list);

/* Copies a worker's streams for /streams; called by that worker. 0, or -ENOMEM with the list empty. */
int stream_view_running(struct proxy *proxy, const struct stream_query *query, struct stream_list *ret_list);
int stream_view_history(struct proxy *proxy, const struct stream_query *query, struct stream_list *ret_list);
/* Puts the rows of all workers into the order of the query, and cuts them at its limit. */
void stream_view_sort(struct stream_list *list, const struct stream_query *query);
/* Appends `part` to `all`; part is empty afterwards. Without memory part is freed: -ENOMEM. */
int stream_view_join(struct stream_list *all, struct stream_list *part);
