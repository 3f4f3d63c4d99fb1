/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/ui/query.h"
#include "user/base/json_writer.h"

/* The response of /ui/data: one object with the parts that the query names. */
struct ui_facts {
	const struct admin_hooks *hooks;
	const struct ui_query *query;
	uint64_t now_ms; /* monotonic */
	uint64_t wall_us;
	/* What the workers and the MCP thread have sent; NULL: not asked for, or no memory. */
	const struct stream_list *streams;
	const struct stream_list *ends;
	const struct text *sessions; /* JSON */
};

/* Errors show in text_error(). */
void ui_data_write(const struct ui_facts *facts, struct text *out);
