/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

struct stream;

/*
 * requestMirror: a copy of a request's head goes to another backend, and what that answers is read and thrown
 * away. The copy is one of HTTP/1.1, has no body (Content-Length 0 where the request has one) and asks for no
 * protocol switch. policy_seal() says so where the backend of a mirror is one of HTTP/2.
 * Nothing of it can touch the client: a mirror that is slow, broken or gone is given up after its backend's
 * connectTimeout or requestTimeout, and after LIMIT_MIRROR_MS in any case.
 *
 * Requests that want an upgrade are not mirrored: without the upgrade they would mean something else.
 */

/* Begins the copies that the route of the stream asks for. stream->exchange->head: as it goes to any backend.
 * Never fails. */
void mirror_request(struct stream *stream);
/* When the worker ends: gives up all of them, and frees them. */
void mirrors_stop(struct proxy *proxy);
