/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* The destination of an attempt: a backend of the route, and one of its endpoints. */

/*
 * Chooses an endpoint of stream->backend, preferably one not tried yet: 0 or -ENOMEM. BACKEND_DYNAMIC, whose
 * endpoint is the host of the request: also -EINVAL (the request names none), -EACCES
 * (user/upstream/forward.h).
 */
int place_choose(struct stream *stream);
/* A backend of the route with a connection bound to this client (connection_auth.h); NULL: none. */
const struct backend_ref *place_bound_backend(const struct stream *stream);
/* True if another backend than the chosen one may be tried. */
bool place_may_change_backend(const struct stream *stream);
/* Keeps the head and its metadata as they are now, before those of a backend are made of them. */
void place_keep_plain(struct stream *stream);
/* Makes the head for stream->backend. 0 or -ENOMEM. */
int place_use_backend(struct stream *stream);
/* Records that the attempt at this endpoint failed. */
void place_add_previous_host(struct stream *stream);
/* True if there is an endpoint that the request may use and has not tried. */
bool place_has_elsewhere(const struct stream *stream);
/*
 * Changes to another backend of the rule once each endpoint of the current one has had an attempt. 0 or
 * -ENOMEM.
 */
int place_change_backend(struct stream *stream);
