/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/* The table of headgate top: rows from the JSON of GET /streams, rates from two of them. No I/O. */

struct top_row {
	uint64_t id;
	uint64_t age_ms;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t rate_in; /* bytes per second */
	uint64_t rate_out;
	uint64_t deadline_left_ms;
	bool has_deadline;
	char client[48];
	char route[64];
	char endpoint[48];
	char protocol[16];
	char state[16];
	char lane[20];
	char deadline[20];
};

struct top_table {
	struct top_row *row_list; /* owner; by id after parsing, by rate after top_table_rank() */
	size_t row_count;
};

/* 0, -EPROTO if the text is not such a list, -ENOMEM. */
int top_table_parse(struct span json, struct top_table *ret_table);
int top_table_copy(const struct top_table *table, struct top_table *ret_copy); /* 0 or -ENOMEM */
void top_table_done(struct top_table *table);
/*
 * Computes the rates since `before` (NULL: none), elapsed_ms ago; both tables in the order of parsing. A
 * stream that is not in `before` gets its average since its start.
 */
void top_table_rates(struct top_table *table, const struct top_table *before, uint64_t elapsed_ms);
void top_table_rank(struct top_table *table); /* fastest first, then most bytes, then oldest */
/* Draws at most `rows` lines of at most `columns` columns, including the two header lines; 0: no limit. */
void top_table_draw(const struct top_table *table, size_t rows, size_t columns, struct text *out);
