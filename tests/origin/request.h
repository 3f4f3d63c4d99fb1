/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The origin's own strict reading of a request head (RFC 9112). Everything a careful gateway must never pass
 * on is REQUEST_BAD with a sentence that says why: bare CR or LF, folded lines, control bytes, blanks around
 * a name, a missing or doubled Host, a Host that differs from an absolute target, any doubt about the body
 * length.
 */
#ifndef HTTPBIN_REQUEST_H
#define HTTPBIN_REQUEST_H

#include "tests/origin/text.h"

enum request_step { REQUEST_MORE, REQUEST_READY, REQUEST_BAD, REQUEST_TOO_LARGE };

enum request_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

#define REQUEST_MAX_BYTES (256u * 1024u)

/* All texts are borrowed from the bytes given to request_parse. */
struct request {
	struct text method;
	struct text target; /* as received */
	struct text path; /* without query; of an absolute target the part after the authority */
	struct text query; /* without '?' */
	struct text fields; /* the field lines, each with its CRLF, without the blank line */
	struct text host;
	struct text upgrade;
	struct text websocket_key;
	struct text websocket_version;
	struct text websocket_protocol;
	size_t size; /* of the head with the blank line */
	int minor; /* 0 or 1 */
	enum request_framing framing;
	uint64_t length; /* with FRAMING_LENGTH */
	bool is_head;
	bool has_host;
	bool has_length;
	bool wants_close;
	bool wants_keep_alive;
	bool wants_upgrade; /* "upgrade" in Connection and an Upgrade field */
	bool has_expect;
	bool expects_continue;
};

/*
 * Looks for a whole head in data. *scanned remembers across calls how far lines were looked at (start with
 * 0). REQUEST_BAD sets *ret_why to a constant sentence. Nothing of *ret is valid but with REQUEST_READY.
 */
enum request_step request_parse(const char *data, size_t size, size_t *scanned, struct request *ret,
				const char **ret_why);

/* Walks field lines that were found good; false at the end. */
bool field_next(struct text *rest, struct text *ret_name, struct text *ret_value);
/* One field line without CRLF; NULL when good, otherwise the reason. */
const char *field_split(struct text line, struct text *ret_name, struct text *ret_value);

#endif
