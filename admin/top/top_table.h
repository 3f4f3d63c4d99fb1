/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * The streams of headgate top: rows from the JSON of GET /streams, running or of the history, and rates from
 * two lists. All texts are printable ASCII: what clients chose must not reach a terminal as control
 * sequences. No I/O.
 */

struct top_row {
	uint64_t id;
	uint64_t age_ms; /* of one that ended: how long it lasted */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t rate_in; /* bytes per second */
	uint64_t rate_out;
	uint64_t deadline_left_ms;
	uint64_t status; /* 0: none sent */
	bool has_deadline;
	char client[48];
	char route[64];
	char endpoint[64];
	char protocol[16];
	char state[16];
	char lane[20];
	char deadline[20];
	char request[96]; /* method, host and path */
	char ended_at[28]; /* RFC 3339, "" while it runs; so are the next two */
	char close_reason[32];
	char timer[32]; /* the timer that ended it; "": none did */
};

struct top_table {
	struct top_row *row_list; /* owner; by id */
	size_t row_count;
};

/* 0, -EPROTO if the text is not such a list, -ENOMEM. */
int top_table_parse(struct span json, struct top_table *ret_table);
void top_table_done(struct top_table *table);
/*
 * Computes the rates since `before` (NULL: none), elapsed_ms ago. A stream that is not in `before` gets its
 * average since its start.
 */
void top_table_rates(struct top_table *table, const struct top_table *before, uint64_t elapsed_ms);
/*
 * Appends all that the list has of one stream, one "name  value" a line; what explains its state or its end
 * comes first. 0, -ENOENT if it is not in the list, -EPROTO, -ENOMEM.
 */
int top_table_detail(struct span json, uint64_t id, struct text *out);
