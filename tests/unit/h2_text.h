/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/message.h"

#include <stdio.h>

#include "user/base/check.h"
#include "user/h2/h2_head.h"

/* HTTP/2 heads from texts and back, for the unit tests of user/http. */

static const struct h2_head_limits h2_text_limits = { .bytes = 64 * 1024, .fields = 100 };

/* Lines "name=value", as a peer's block gives them; the names of pseudo-header fields may be anything. */
static inline struct h2_head *h2_head_of(enum h2_head_kind kind, struct span text, bool has_end)
{
	struct h2_head *head = h2_head_create(kind);
	struct span line;

	assert_non_null(head);
	while (text.len && span_split(&text, '\n', &line)) {
		ptrdiff_t equals = span_find(line, '=');

		if (line.len == 0)
			continue;
		assert_true(equals >= 0);
		assert_int_equal(h2_head_add(head, span_first(line, (size_t)equals),
					     span_from(line, (size_t)equals + 1), &h2_text_limits),
				 0);
	}
	head->has_end = has_end;
	h2_head_finish(head);
	return head;
}

/* All of a head as text, in the way of h2_head_of(). */
static inline const char *h2_text_of(const struct h2_head *head)
{
	static char text[4096];
	const struct span pseudo[] = { head->method, head->scheme, head->authority, head->path,
				       head->protocol };
	static const char *const names[] = { ":method", ":scheme", ":authority", ":path", ":protocol" };
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(pseudo); i++) {
		if (pseudo[i].len)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s=%.*s\n", names[i],
						SPAN_FMT(pseudo[i]));
	}
	if (head->status)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ":status=%u\n", head->status);
	for (uint32_t i = 0; i < head->fields.count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s\n",
					SPAN_FMT(head->fields.list[i].name),
					SPAN_FMT(head->fields.list[i].value));
	return text;
}

#define H2_GET ":method=GET\n:scheme=http\n:path=/\n"
#define H2_GET_A H2_GET ":authority=a\n"
