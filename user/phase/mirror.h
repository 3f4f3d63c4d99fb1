/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

struct stream;

/*
 * requestMirror: a copy of a request goes to another backend, and what that answers is read and thrown away.
 * The copy is one of HTTP/1.1 and asks for no protocol switch. A body is kept as for a retry, within the same
 * limits (replay.h), and the copy begins when it is complete: one that is too large, or that is not complete
 * when the answer begins, has no copy and is counted (COUNTER_MIRROR_DROPPED). policy_compile() warns where
 * the backend of a mirror is one of HTTP/2. Nothing of it can touch the client: a mirror that is slow, broken
 * or gone is given up after its backend's connectTimeout or requestTimeout, and after LIMIT_MIRROR_MS in any
 * case.
 *
 * Requests that want an upgrade are not mirrored: without the upgrade they would mean something else.
 */

/* Begins the copies that the route of the stream asks for. stream->exchange->head: as it goes to any backend.
 * Never fails. */
void mirror_request(struct stream *stream);
/* After bytes of a request's body moved, while stream->exchange->mirror_plans: begins what waits for it. */
void mirror_body_moved(struct stream *stream);
/* When the worker ends: gives up all of them, and frees them. */
void mirrors_stop(struct proxy *proxy);
