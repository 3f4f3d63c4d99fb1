/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/buf.h"
#include "user/mcp/protocol/id_scan.h"

/* Server-sent events (WHATWG HTML 9.2): writing them, and reading those of a target. */

/*
 * Appends one event with `id` (may be empty) and the pieces as its data, which hold no line feed. `name`: the
 * `event:` line, empty for "message". 0, -ENOMEM, or -ENOBUFS past max_bytes: then nothing was appended.
 */
int events_write(struct buf *to, struct span name, struct span id, const struct iovec *segments, int count,
		 size_t max_bytes);

struct events_event {
	struct span name; /* of its `event:` line, else empty ("message") */
	struct span data; /* lines joined by LF */
	struct span id; /* the last one that was said, empty: none */
	bool is_cut; /* it was larger than max_bytes: without data */
	uint64_t call; /* of one that is cut: the id of the answer in it, 0: none (id_scan.h) */
};

#define EVENTS_TOO_LARGE "a message of more than limits.mcpMessageBytes"

enum events_line {
	EVENTS_LINE_BOM, /* at the begin: an encoding of U+FEFF is skipped */
	EVENTS_LINE,
	EVENTS_LINE_AFTER_CR, /* an LF here belongs to the CR */
};

/* An incremental reader: bytes come in any pieces. */
struct events_reader {
	enum events_line state;
	struct buf line; /* of the line that is not complete */
	struct buf data; /* of the event that is not complete */
	struct buf name;
	struct buf id; /* stays for the following events */
	bool has_data;
	bool is_given; /* the event was given out: it is cleared with the next call */
	size_t cut_bytes; /* of the event, that were not kept; 0: it is whole so far */
	struct mcp_id_scan scan; /* of its data then */
	bool is_line_cut; /* the running line, of data, is larger than max_bytes */
	uint64_t retry_ms; /* of `retry:`; 0: none */
	size_t max_bytes;
};

void events_reader_init(struct events_reader *r, size_t max_bytes);
void events_reader_done(struct events_reader *r);
/*
 * Takes bytes from *input until an event is complete: 1 and the event, which lives until the next call; 0:
 * all taken; -EMSGSIZE: a line that is no data is larger than max_bytes, or an event has no end (it is
 * LIMIT_MCP_SKIP_FACTOR times as large); -ENOMEM. After an error the reader is of no use any more.
 */
int events_read(struct events_reader *r, struct span *input, struct events_event *ret);
