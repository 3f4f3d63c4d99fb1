/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * What a stream and a service of this process (user/upstream/inner.h) tell each other beside the messages, in
 * fields that never leave the process:
 *
 *   headgate-request: id=17179869185; client=10.0.0.1; deadline-ms=86400950
 *     the stream's id, the address of its client (that which a trusted peer names), and the loop time at
 *     which it gives up, if any
 *   headgate-note: mcp.method=tools/call<TAB>mcp.tool=echo
 *     for the log; those of the last head count
 *
 * Notes come with a response, or before it in a 1xx of their own (INTERNAL_FIELDS_STATUS), so that a request
 * that is ended by a deadline has them in its log line, too. `reason` among them is why a complete exchange
 * ended, where that is not "ok".
 */
enum { INTERNAL_FIELDS_STATUS = 199 };

/* The backend of the attempt is a service of this process. */
bool internal_fields_are_wanted(const struct stream *stream);
/* Its FIN came behind the whole request of such a service: who has no use for events then, has left. */
bool internal_fields_client_left(const struct stream *stream);
/* Before the head of an attempt goes out. From then on the log has no query. 0 or -ENOMEM. */
int internal_fields_add(struct stream *stream);
/* Takes them off the head in stream->exchange->response. */
void internal_fields_take(struct stream *stream);
/* Empty: not noted. */
struct span internal_fields_get(const struct stream *stream, struct span key);
/* `reason`, or what a service noted instead of END_OK. */
enum end_reason internal_fields_reason(const struct stream *stream, enum end_reason reason);
