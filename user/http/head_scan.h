/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/base/span.h"
#include "user/http/refusal.h"

/*
 * The strict scan of a head: one pass over the bytes, resumable at any byte, in front of every other parser.
 * It finds the end of the head, refuses whatever two parsers could read in two ways (bare CR or LF, control
 * bytes, folded lines, blanks around names, a third blank in the request line), and enforces the limits as
 * early as the bytes arrive. RFC 9112 2.2, 3, 4, 5.
 *
 * The result is a function of the bytes alone: however they were cut into calls, the same byte is the first
 * one refused, for the same reason.
 *
 * One empty line before a request line is skipped (RFC 9112 2.2: some clients end a body with a CRLF that is
 * not counted), a second one is REQUEST_LINE. Stricter than the RFC, on purpose:
 *   - a status line may end after the three digits (RFC 9112 4 wants a blank): no two parsers differ on that.
 * Laxer in one place: the line "PRI * HTTP/2.0", with which HTTP/2 begins, passes. It is no request.
 */
struct head_limits {
	uint32_t line_bytes; /* request line, without its CRLF; 414 */
	uint32_t head_bytes; /* whole head with its final CRLF; 431. The bound of a status line as well */
	uint32_t fields; /* 431 */
};

enum scan_step {
	SCAN_MORE, /* not complete; every byte given so far is fine */
	SCAN_DONE, /* head_bytes is set */
	SCAN_BAD, /* bad says why */
};

struct head_scan {
	bool is_response;
	uint8_t state; /* enum scan_state in head_scan.c */
	uint32_t offset; /* bytes already judged; after SCAN_BAD that of the refused byte */
	uint32_t word_start; /* of the word of the start line that is being read */
	uint32_t field_count;
	uint32_t head_bytes; /* to the end of its final CRLF, when done; the next one included */
	uint8_t lead_bytes; /* of the empty line before it, which is no part of it: 0 or 2 */
	enum http_bad bad;
};

void head_scan_init(struct head_scan *scan, bool is_response);
/*
 * `head` is all bytes of the connection from the first byte of the head on; call again with more at the
 * end. Bytes before scan->offset are not looked at again. After SCAN_DONE or SCAN_BAD every call repeats
 * the answer.
 */
enum scan_step head_scan_run(struct head_scan *scan, struct span head, const struct head_limits *limits);
/* A request is there, as far as the bytes say: an empty line, or its CR, is nothing yet. */
bool head_scan_has_begun(const struct head_scan *scan);
