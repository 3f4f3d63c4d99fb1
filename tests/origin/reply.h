/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing answers. reply_head starts a head (status line, x-origin, type, framing, Connection), reply_field
 * adds to it, reply_head_end closes it; reply_text does all of it and the body. HEAD requests get the same
 * head without body: the callers that stream look at reply_has_body.
 */
#ifndef HTTPBIN_REPLY_H
#define HTTPBIN_REPLY_H

#include "tests/origin/conn.h"

/* Instead of a length. Chunked falls back to an answer that ends with the connection for HTTP/1.0. */
#define REPLY_CHUNKED UINT64_MAX
#define REPLY_UNTIL_CLOSE (UINT64_MAX - 1)
#define REPLY_NO_LENGTH (UINT64_MAX - 2)

const char *reply_reason(unsigned status);
void reply_status_line(struct conn *conn, unsigned status);
void reply_head(struct conn *conn, unsigned status, const char *type, uint64_t length);
void reply_field(struct conn *conn, const char *name, struct text value);
void reply_head_end(struct conn *conn);
/* Whether body bytes may follow the head: not for HEAD, 1xx, 204, 304. */
bool reply_has_body(const struct conn *conn, unsigned status);
/* A piece of body, chunked when the answer is. */
void reply_piece(struct conn *conn, const void *data, size_t size);
/* The end of the body (trailer: field lines with CRLF, or empty) and of the answer. */
void reply_end(struct conn *conn, struct text trailer);
/* Nothing more follows. */
void reply_done(struct conn *conn);

/* A whole answer; also ends it. */
void reply_text(struct conn *conn, unsigned status, const char *type, struct text body);
void reply_json(struct conn *conn, const struct buffer *body);
/* A whole answer of one line. */
void reply_line(struct conn *conn, unsigned status, const char *line);

#endif
