/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes responses. reply_head starts a head (status line, x-origin, type, framing, Connection), reply_field
 * adds a field, reply_head_end ends it; reply_text writes a head and the body. HEAD requests get the same
 * head without body: callers that stream check reply_has_body.
 */
#ifndef HTTPBIN_REPLY_H
#define HTTPBIN_REPLY_H

#include "tests/origin/conn.h"

/* As the length. For HTTP/1.0 the response ends with the connection instead of being chunked. */
#define REPLY_CHUNKED UINT64_MAX
#define REPLY_UNTIL_CLOSE (UINT64_MAX - 1)
#define REPLY_NO_LENGTH (UINT64_MAX - 2)

const char *reply_reason(unsigned status);
void reply_status_line(struct conn *conn, unsigned status);
void reply_head(struct conn *conn, unsigned status, const char *type, uint64_t length);
void reply_field(struct conn *conn, const char *name, struct text value);
void reply_head_end(struct conn *conn);
/* Whether a body may follow the head: not for HEAD, 1xx, 204, 304. */
bool reply_has_body(const struct conn *conn, unsigned status);
/* Writes part of the body, chunked if the response is. */
void reply_piece(struct conn *conn, const void *data, size_t size);
/* Ends the body (trailer: field lines with CRLF, or empty) and the response. */
void reply_end(struct conn *conn, struct text trailer);
/* Ends the response. */
void reply_done(struct conn *conn);

/* Writes a complete response. */
void reply_text(struct conn *conn, unsigned status, const char *type, struct text body);
void reply_json(struct conn *conn, const struct buffer *body);
/* Writes a complete response of one line. */
void reply_line(struct conn *conn, unsigned status, const char *line);

#endif
