/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The origin's own strict parser of a request head (RFC 9112). A head that a gateway must never forward is
 * REQUEST_BAD with the reason: bare CR or LF, folded lines, control bytes, blanks around a name, a missing
 * or doubled Host, a Host that differs from an absolute target, an ambiguous body length.
 */
#ifndef HTTPBIN_REQUEST_H
#define HTTPBIN_REQUEST_H

#include "tests/origin/text.h"

enum request_step { REQUEST_MORE, REQUEST_READY, REQUEST_BAD, REQUEST_TOO_LARGE };

enum request_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

#define REQUEST_MAX_BYTES (256u * 1024u)

/* All texts are borrowed from the bytes passed to request_parse. */
struct request {
	struct text method;
	struct text target; /* as received */
	struct text path; /* without query; of an absolute target only the part after the authority */
	struct text query; /* without '?' */
	struct text fields; /* the field lines, each with its CRLF, without the blank line */
	struct text host;
	struct text upgrade;
	struct text websocket_key;
	struct text websocket_version;
	struct text websocket_protocol;
	size_t size; /* of the head, with the blank line */
	int minor; /* 0 or 1 */
	enum request_framing framing;
	uint64_t length; /* with FRAMING_LENGTH */
	bool is_head;
	bool has_host;
	bool has_length;
	bool wants_close;
	bool wants_keep_alive;
	bool wants_upgrade; /* Connection contains "upgrade", and there is an Upgrade field */
	bool has_expect;
	bool expects_continue;
};

/*
 * Searches data for a complete head. *scanned (start with 0) keeps across calls how far lines were scanned.
 * REQUEST_BAD sets *ret_why to a constant sentence. *ret is valid only with REQUEST_READY.
 */
enum request_step request_parse(const char *data, size_t size, size_t *scanned, struct request *ret,
				const char **ret_why);

/* Iterates over valid field lines; false at the end. */
bool field_next(struct text *rest, struct text *ret_name, struct text *ret_value);
/* Splits one field line without CRLF. NULL if it is valid, otherwise the reason. */
const char *field_split(struct text line, struct text *ret_name, struct text *ret_value);

#endif
