/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/test.h"
#include "user/base/arena.h"
#include "user/base/limits.h"
#include "user/http/h1_parse.h"
#include "user/http/head_scan.h"

/* Heads the way a connection reads them, scan and then parse, for the unit tests of user/http. */

static const struct head_limits message_limits = {
	.line_bytes = LIMIT_REQUEST_LINE_BYTES,
	.head_bytes = LIMIT_HEAD_BYTES,
	.fields = LIMIT_HEADERS,
};

/* A string literal with its embedded NULs, for tables. */
/* clang-format off */
#define TEXT(literal) { (literal), sizeof(literal) - 1 }
/* clang-format on */

static inline enum http_error message_scan(struct span text, bool is_response, struct span *ret_head)
{
	struct head_scan scan;

	head_scan_init(&scan, is_response);
	switch (head_scan_run(&scan, text, &message_limits)) {
	case SCAN_BAD:
		return scan.http_error;
	case SCAN_MORE:
		fail_msg("the head is not complete: %.*s", SPAN_FMT(text));
		break;
	case SCAN_DONE:
		break;
	}
	*ret_head = span_first(text, scan.head_bytes);
	return HTTP_ERROR_NONE;
}

/* `text` is a complete head, or one that is to be refused: then the reason. */
static inline enum http_error message_request(struct span text, struct arena *arena,
					      struct request_head *ret_head)
{
	struct body_framing framing;
	struct span bytes;
	enum http_error http_error = message_scan(text, false, &bytes);

	return http_error == HTTP_ERROR_NONE ? h1_parse_request(bytes, arena, ret_head, &framing)
					     : http_error;
}

static inline enum http_error message_response(struct span text, struct arena *arena,
					       struct response_head *ret_head)
{
	struct span bytes;
	enum http_error http_error = message_scan(text, true, &bytes);

	return http_error == HTTP_ERROR_NONE ? h1_parse_response(bytes, arena, ret_head) : http_error;
}

static inline void assert_span(struct span actual, const char *expected)
{
	if (!span_eq(actual, span_str(expected)))
		fail_msg("\"%.*s\" instead of \"%s\"", SPAN_FMT(actual), expected);
}

static inline void assert_bad(enum http_error actual, enum http_error expected, struct span text)
{
	if (actual != expected)
		fail_msg("\"%s\" instead of \"%s\" for:\n%.*s", http_error_text(actual),
			 http_error_text(expected), SPAN_FMT(text));
}
