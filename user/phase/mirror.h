/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

struct stream;

/*
 * requestMirror: sends a copy of a request to another backend and discards the response. The copy uses
 * HTTP/1.1 and requests no protocol switch. A body is kept as for a retry, within the same limits (replay.h),
 * and the copy is sent once the body is complete: a body that is too large, or not complete when the response
 * begins, is not copied but counted (COUNTER_MIRROR_DROPPED). policy_compile() warns if the backend of a
 * mirror uses HTTP/2. A mirror cannot affect the client: a mirror that is slow, broken or gone is cancelled
 * after its backend's connectTimeout or requestTimeout, and after LIMIT_MIRROR_MS in any case.
 *
 * Requests that want an upgrade are not mirrored: without the upgrade they would mean something else.
 */

/*
 * Starts the copies that the route of the stream, and the chosen backend, request. stream->exchange->head: as
 * sent to any backend. Never fails.
 */
void mirror_request(struct stream *stream);
/*
 * Call after bytes of a request body moved, while stream->exchange->mirror_plans is set: starts the copies
 * that wait for it.
 */
void mirror_body_moved(struct stream *stream);
/* Cancels and frees all copies, when the worker ends. */
void mirrors_stop(struct proxy *proxy);
