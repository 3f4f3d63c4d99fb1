/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/top/top_table.h"

/* Which rows of a table are shown, in which order, and as which lines. No I/O. */

enum { TOP_FILTER_BYTES = 48 };

struct top_view {
	bool is_history;
	bool is_reversed;
	unsigned int sort; /* below top_sort_count() */
	char filter[TOP_FILTER_BYTES]; /* rows with this text, regardless of case; "": all */
};

unsigned int top_sort_count(void);
const char *top_sort_name(const struct top_view *view);
/* Stores the rows that pass the filter, in their order, in ret_list, which has space for all of the table. */
size_t top_view_rows(const struct top_view *view, const struct top_table *table,
		     const struct top_row **ret_list);
/*
 * Lines without newline and without trailing blanks; columns is the width, and 0 means all columns of the
 * table. A narrow width leaves whole columns out, the least important first; an address is never cut inside
 * of its port.
 */
void top_view_sum(const struct top_view *view, const struct top_table *table, size_t shown, struct text *out);
void top_view_titles(const struct top_view *view, size_t columns, struct text *out);
void top_view_line(const struct top_view *view, const struct top_row *row, size_t columns, struct text *out);
