/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/base/span.h"
#include "user/http/refusal.h"

/*
 * The strict scan of a head: one pass over the bytes, resumable at any byte, before every other parser. It
 * finds the end of the head, refuses whatever two parsers could read in two ways (bare CR or LF, control
 * bytes, folded lines, blanks around names, a third blank in the request line), and enforces the limits as
 * soon as the bytes arrive. RFC 9112 2.2, 3, 4, 5.
 *
 * The result depends on the bytes alone: however they were split into calls, the same byte is the first one
 * refused, for the same reason.
 *
 * One empty line before a request line is skipped (RFC 9112 2.2: some clients end a body with a CRLF that is
 * not counted), a second one is REQUEST_LINE. Laxer than the RFC, on purpose:
 *   - a status line may end after the three digits (RFC 9112 4 requires a blank): no two parsers differ on
 *     that;
 *   - the line "PRI * HTTP/2.0", with which HTTP/2 starts, passes. It is no request.
 */
struct head_limits {
	uint32_t line_bytes; /* request line, without its CRLF; 414 */
	uint32_t head_bytes; /* whole head with its final CRLF; 431. Also limits a status line */
	uint32_t fields; /* 431 */
};

enum scan_step {
	SCAN_MORE, /* incomplete; all bytes so far are valid */
	SCAN_DONE, /* head_bytes is set */
	SCAN_BAD, /* reason in bad */
};

struct head_scan {
	bool is_response;
	uint8_t state; /* enum scan_state in head_scan.c */
	uint32_t offset; /* bytes already checked; after SCAN_BAD that of the refused byte */
	uint32_t word_start; /* of the current word of the start line */
	uint32_t field_count;
	uint32_t head_bytes; /* when done: up to and including the final CRLF */
	uint8_t lead_bytes; /* of the empty line before the head, which is not part of it: 0 or 2 */
	enum http_error http_error;
};

void head_scan_init(struct head_scan *scan, bool is_response);
/*
 * `head` is all bytes of the connection from the first byte of the head on; call again with more at the end.
 * Bytes before scan->offset are not read again. After SCAN_DONE or SCAN_BAD every call repeats the result.
 */
enum scan_step head_scan_run(struct head_scan *scan, struct span head, const struct head_limits *limits);
/* True if a request has started: an empty line, or its CR, does not count. */
bool head_scan_has_begun(const struct head_scan *scan);
