/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Internal fields between a stream and a service of this process (user/upstream/inner.h). They never leave
 * the process:
 *
 *   headgate-request: id=17179869185; client=10.0.0.1; deadline-ms=86400950; access=7
 *     the stream's id, the address of its client (as named by a trusted peer), and, if any, the loop time of
 *     the stream's deadline, and what its client may use (grant.h)
 *   headgate-note: mcp.method=tools/call<TAB>mcp.tool=echo
 *     notes for the log; those of the last head are used
 *
 * Notes come with a response, or before it in a separate 1xx (INTERNAL_FIELDS_STATUS), so that the log line
 * of a request that a deadline ends has them, too. The note `reason` is why a complete exchange ended, if not
 * with "ok".
 */
enum { INTERNAL_FIELDS_STATUS = 199 };

/* True if the backend of the attempt is a service of this process. */
bool internal_fields_are_wanted(const struct stream *stream);
/*
 * True if the client sent a FIN after a complete request to such a service: a client that waits for events
 * would keep its side open.
 */
bool internal_fields_client_left(const struct stream *stream);
/*
 * Call before sending the head of an attempt: adds headgate-request and removes the query from the texts for
 * the log. 0 or -ENOMEM.
 */
int internal_fields_add(struct stream *stream);
/* Moves the notes of the head in stream->exchange->response to stream->exchange->notes. */
void internal_fields_take(struct stream *stream);
/* The value of a note; empty: none. */
struct span internal_fields_get(const struct stream *stream, struct span key);
/* `reason`, or the service's own reason instead of END_OK. */
enum end_reason internal_fields_reason(const struct stream *stream, enum end_reason reason);
